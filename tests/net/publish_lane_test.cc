// The fast lane of publishing from the client's side, over streams of both reactors.
#include <doctest/doctest.h>

#include "tests/net/delivery_calls.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

const std::string path = "/weir.v1.Broker/Publish";

v1::PublishBatch frame_of(uint64_t number, const std::string& stream, int records, const std::string& subject = "a") {
  v1::PublishBatch frame;
  frame.set_frame(number);
  frame.set_stream(stream);
  for (int n = 0; n < records; ++n) {
    v1::PublishRecord& record = *frame.add_messages();
    record.set_subject(subject);
    record.set_payload(std::to_string(number) + "/" + std::to_string(n));
  }
  return frame;
}

class publisher {
 public:
  explicit publisher(const std::string& target) : call_(target, path) {}
  void send(const v1::PublishBatch& frame) { REQUIRE(call_.write(frame.SerializeAsString())); }
  void send_bytes(const std::string& bytes) { REQUIRE(call_.write(bytes)); }
  v1::PublishBatchAck ack() {
    auto bytes = call_.read();
    REQUIRE(bytes);
    v1::PublishBatchAck answered;
    REQUIRE(answered.ParseFromString(*bytes));
    return answered;
  }
  grpc::Status end() {
    call_.half_close();
    while (call_.read()) {
    }
    return call_.finish();
  }
  test_stream& call() { return call_; }

 private:
  test_stream call_;
};

bool nothing_open(const core_metrics& now) {
  return now.calls.live == 0;
}

TEST_CASE("publish lane: frames are answered in order, with consecutive sequences, whichever shard has the stream") {
  test_server host(2);
  test_client client(host.target());
  for (const std::string stream : {"s-0", "s-1", "s-2", "s-3"}) {
    make_stream(client, stream);
    publisher to(host.target());
    for (uint64_t n = 1; n <= 50; ++n) to.send(frame_of(n, n == 1 ? stream : "", 20));
    for (uint64_t n = 1; n <= 50; ++n) {
      const v1::PublishBatchAck got = to.ack();
      CHECK(got.success());
      CHECK(got.result_code() == "ok");
      CHECK(got.frame() == n);
      CHECK(got.first_seq() == (n - 1) * 20 + 1);
      CHECK(got.count() == 20);
      CHECK(got.has_limits() == (n == 1));
      if (n == 1) CHECK(got.limits().inflight_frames_max() > 0);
    }
    CHECK(to.end().ok());
    make_consumer(client, stream, "c");
    subscriber reader(host.target(), stream, "c");
    for (uint64_t seq = 1; seq <= 1'000; ++seq) {
      const auto message = reader.message();
      CHECK(message.seq() == seq);
      CHECK(message.payload() == std::to_string((seq - 1) / 20 + 1) + "/" + std::to_string((seq - 1) % 20));
    }
  }
  CHECK(eventually(host.running(), nothing_open));
}

TEST_CASE("publish lane: one call may write to streams of several shards") {
  test_server host(2);
  test_client client(host.target());
  for (const std::string stream : {"s-0", "s-1", "s-2", "s-3"}) make_stream(client, stream);
  publisher to(host.target());
  const auto name_of = [](uint64_t n) { return "s-" + std::to_string(n / 10 % 4); };  // ten frames in a row
  for (uint64_t n = 0; n < 400; ++n) to.send(frame_of(n, n % 10 == 0 ? name_of(n) : "", 3));
  for (uint64_t n = 0; n < 400; ++n) {
    const v1::PublishBatchAck got = to.ack();
    CHECK(got.frame() == n);
    CHECK(got.first_seq() == (n / 40 * 10 + n % 10) * 3 + 1);
  }
  CHECK(to.end().ok());
}

TEST_CASE("publish lane: a record that fails is named in the answer, and the lane goes on") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  publisher to(host.target());
  v1::PublishBatch mixed = frame_of(1, "s", 3);
  mixed.mutable_messages(1)->set_subject("no wildcards *");
  to.send(mixed);
  to.send(frame_of(2, "unknown", 1));
  v1::PublishBatch expecting = frame_of(3, "s", 2);
  expecting.mutable_messages(0)->set_expected_last_seq(7);
  expecting.mutable_messages(1)->set_message_id("id");
  to.send(expecting);
  v1::PublishBatch atomic = mixed;
  atomic.set_frame(4);
  atomic.set_atomic(true);
  to.send(atomic);
  v1::PublishBatch again = frame_of(5, "s", 2);
  again.mutable_messages(1)->set_message_id("id");
  to.send(again);
  v1::PublishBatchAck got = to.ack();
  CHECK_FALSE(got.success());
  CHECK(got.result_code() == "subject_rejected");
  CHECK(got.count() == 2);
  REQUIRE(got.failed_size() == 1);
  CHECK(got.failed(0).index() == 1);
  CHECK(got.failed(0).message().find("subject") != std::string::npos);
  got = to.ack();
  CHECK(got.frame() == 2);
  CHECK(got.result_code() == "no_such_stream");
  got = to.ack();
  CHECK(got.result_code() == "wrong_revision");
  CHECK(got.first_seq() == 3);
  CHECK(got.failed(0).current_seq() == 2);
  got = to.ack();
  CHECK(got.frame() == 4);
  CHECK(got.count() == 0);
  CHECK(got.message().find("messages[1]") != std::string::npos);
  got = to.ack();
  CHECK(got.success());
  CHECK(got.count() == 1);
  REQUIRE(got.seqs_size() == 2);
  CHECK(got.seqs(0) == 4);
  CHECK(got.seqs(1) == 3);
  REQUIRE(got.duplicates_size() == 1);
  CHECK(got.duplicates(0) == 1);
  CHECK(to.end().ok());
}

TEST_CASE(
    "publish lane: bytes that are no frame, and a frame without a stream, end the call after the answers before it") {
  test_server host(1);
  test_client client(host.target());
  make_stream(client, "s");
  publisher garbage(host.target());
  garbage.send(frame_of(1, "s", 2));
  garbage.send_bytes("\x22\x05\x12\x09");
  CHECK(garbage.ack().count() == 2);
  grpc::Status status = garbage.end();
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status.error_message().find("PublishBatch") != std::string::npos);
  publisher nameless(host.target());
  nameless.send(frame_of(1, "", 2));
  status = nameless.end();
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status.error_message().find("stream") != std::string::npos);
}

TEST_CASE("publish lane: frames to a stream with level memory are answered, though they are not on disk yet") {
  test_server host(2);
  test_client client(host.target());
  waymaker::streams::CreateStreamRequest fast;
  fast.mutable_config()->set_name("s");
  fast.mutable_config()->set_durability(v1::DURABILITY_MEMORY);
  REQUIRE(ask<waymaker::streams::CreateStreamResponse>(client, "CreateStream", fast).success());
  publisher to(host.target());
  for (uint64_t n = 1; n <= 20; ++n) to.send(frame_of(n, "s", 5));
  for (uint64_t n = 1; n <= 20; ++n) CHECK(to.ack().first_seq() == (n - 1) * 5 + 1);
  CHECK(to.end().ok());
}

TEST_CASE("publish lane: a client that never reads is held at its limits, and costs nothing when it goes") {
  test_server host(1);
  host.options().publish_inflight_frames_max = 4;
  host.restart();
  test_client client(host.target());
  make_stream(client, "s");
  publisher to(host.target());
  for (uint64_t n = 1; n <= 100; ++n) to.send(frame_of(n, "s", 1));
  for (uint64_t n = 1; n <= 100; ++n) CHECK(to.ack().first_seq() == n);
  to.send(frame_of(101, "s", 1));
  to.call().cancel();
  CHECK(eventually(host.running(), nothing_open));
}

TEST_CASE("publish lane: a server that stops ends the call with UNAVAILABLE, and keeps what it answered") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  publisher to(host.target());
  to.send(frame_of(1, "s", 10));
  CHECK(to.ack().count() == 10);
  host.restart();
  CHECK_FALSE(to.call().read());
  CHECK(to.call().finish().error_code() == grpc::StatusCode::UNAVAILABLE);
  test_client after(host.target());
  CHECK(put(after, "s", "a", "x") == 11);
}

}  // namespace
}  // namespace weir
