// A server that stops tells the clients of the fast lane what it has done for them, all of it, before their calls end.
#include <doctest/doctest.h>

#include "tests/net/delivery_calls.h"

namespace weir {
namespace {

v1::PublishBatch frame_of(uint64_t number, const std::string& stream, int records) {
  v1::PublishBatch frame;
  frame.set_frame(number);
  frame.set_stream(stream);
  for (int n = 0; n < records; ++n) {
    frame.add_messages()->set_subject("a");
    frame.mutable_messages(n)->set_payload(std::string(100, 'x'));
  }
  return frame;
}

uint64_t last_seq(test_client& client, const std::string& stream) {
  waymaker::streams::GetStreamInfoRequest request;
  request.set_name(stream);
  return ask<waymaker::streams::GetStreamInfoResponse>(client, "GetStreamInfo", request).stats().last_seq();
}

TEST_CASE("fast lane: a server that stops answers every frame it has placed") {
  test_server host(2);
  for (int round = 0; round < 6; ++round) {
    const std::string stream = "s-" + std::to_string(round);
    uint64_t answered = 0;
    uint64_t frames = 0;
    {
      test_client client(host.target());
      make_stream(client, stream);
      test_stream call(host.target(), "/weir.v1.Broker/Publish");
      const uint64_t sent = 20 + 60 * static_cast<uint64_t>(round);
      for (uint64_t n = 1; n <= sent; ++n) REQUIRE(call.write(frame_of(n, stream, 50).SerializeAsString()));
      host.restart();
      while (auto bytes = call.read()) {
        v1::PublishBatchAck got;
        REQUIRE(got.ParseFromString(*bytes));
        CHECK(got.success());
        CHECK(got.frame() == ++frames);
        CHECK(got.first_seq() == answered + 1);
        answered += got.count();
      }
      CHECK(call.finish().error_code() == grpc::StatusCode::UNAVAILABLE);
    }
    test_client after(host.target());
    CHECK(last_seq(after, stream) == answered);
  }
}

TEST_CASE("fast lane: a server that stops confirms every acknowledgement it has taken") {
  constexpr uint64_t a_frame = 10;
  test_server host(2);
  for (int round = 0; round < 6; ++round) {
    const std::string stream = "s-" + std::to_string(round);
    const uint64_t frames = 5 + 10 * static_cast<uint64_t>(round);
    uint64_t confirmed = 0;
    {
      test_client client(host.target());
      make_stream(client, stream);
      make_consumer(client, stream, "c");
      put_many(client, stream, static_cast<int>(frames * a_frame));
      test_stream call(host.target(), "/weir.v1.Broker/Consume");
      v1::ConsumeRequest first;
      first.set_stream(stream);
      first.set_consumer("c");
      first.set_credit_messages(10'000);
      first.set_credit_bytes(1u << 30);
      REQUIRE(call.write(first.SerializeAsString()));
      uint64_t delivered = 0;
      const auto look = [&confirmed, &delivered](const std::string& bytes) {
        v1::ConsumeBatch got;
        REQUIRE(got.ParseFromString(bytes));
        REQUIRE(got.success());
        confirmed = std::max(confirmed, got.confirmed());
        delivered += static_cast<uint64_t>(got.messages_size());
      };
      while (delivered < frames * a_frame) {
        auto bytes = call.read();
        REQUIRE(bytes);
        look(*bytes);
      }
      for (uint64_t n = 1; n <= frames; ++n) {
        v1::ConsumeRequest acks;
        acks.set_frame(n);
        for (uint64_t seq = (n - 1) * a_frame + 1; seq <= n * a_frame; ++seq) acks.add_ack_seqs(seq);
        REQUIRE(call.write(acks.SerializeAsString()));
      }
      host.restart();
      while (auto bytes = call.read()) look(*bytes);
      CHECK(call.finish().error_code() == grpc::StatusCode::UNAVAILABLE);
    }
    test_client after(host.target());
    CHECK(state_of(after, stream, "c").ack_floor() == confirmed * a_frame);
  }
}

TEST_CASE("fast lane: a server stops in time though a client reads no answers") {
  test_server host(1);
  test_client client(host.target());
  make_stream(client, "s");
  test_stream call(host.target(), "/weir.v1.Broker/Publish");
  for (uint64_t n = 1; n <= 500; ++n) REQUIRE(call.write(frame_of(n, "s", 1).SerializeAsString()));
  const auto began = std::chrono::steady_clock::now();
  host.restart();
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(8));
}

}  // namespace
}  // namespace weir
