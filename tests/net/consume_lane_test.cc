// The fast lane of consuming from the client's side, over streams of both reactors.
#include <doctest/doctest.h>

#include <deque>

#include "tests/net/delivery_calls.h"

namespace weir {
namespace {

const std::string path = "/weir.v1.Broker/Consume";
constexpr uint64_t plenty = 1u << 30;

v1::ConsumeRequest credit(uint32_t messages, uint64_t bytes = plenty) {
  v1::ConsumeRequest request;
  request.set_credit_messages(messages);
  request.set_credit_bytes(bytes);
  return request;
}

class lane {
 public:
  lane(const std::string& target, const std::string& stream, const std::string& consumer, v1::ConsumeRequest first)
      : call_(target, path) {
    first.set_stream(stream);
    first.set_consumer(consumer);
    send(first);
  }
  void send(const v1::ConsumeRequest& request) { REQUIRE(call_.write(request.SerializeAsString())); }
  // nullopt: the call has ended.
  std::optional<v1::ConsumeBatch> batch() {
    auto bytes = call_.read();
    if (!bytes) return std::nullopt;
    v1::ConsumeBatch got;
    REQUIRE(got.ParseFromString(*bytes));
    return got;
  }
  waymaker::streams::MessagePb message() {
    while (messages_.empty()) {
      const auto got = batch();
      REQUIRE(got);
      REQUIRE_MESSAGE(got->success(), got->message());
      for (const auto& one : got->messages()) messages_.push_back(one);
    }
    auto first = std::move(messages_.front());
    messages_.pop_front();
    return first;
  }
  // Waits until the frame is confirmed.
  void confirmed(uint64_t frame) {
    for (;;) {
      const auto got = batch();
      REQUIRE(got);
      REQUIRE_MESSAGE(got->success(), got->message());
      for (const auto& one : got->messages()) messages_.push_back(one);
      if (got->confirmed() >= frame) return;
    }
  }
  test_stream& call() { return call_; }

 private:
  test_stream call_;
  std::deque<waymaker::streams::MessagePb> messages_;
};

bool nothing_open(const core_metrics& now) {
  return now.calls.live == 0 && now.shard.waiting == 0;
}

TEST_CASE(
    "consume lane: what is there and what comes later arrives in order, and acks upstream are durable once confirmed") {
  test_server host(2);
  test_client client(host.target());
  for (const std::string stream : {"s-0", "s-1", "s-2", "s-3"}) {
    make_stream(client, stream);
    make_consumer(client, stream, "c");
    put_many(client, stream, 60);
    lane from(host.target(), stream, "c", credit(1'000));
    for (uint64_t seq = 1; seq <= 100; ++seq) {
      if (seq > 60) put(client, stream, "a", std::string(seq * 100, 'x'));
      const auto message = from.message();
      CHECK(message.seq() == seq);
      CHECK(message.deliver_count() == 1);
      if (seq > 60) CHECK(message.payload().size() == seq * 100);
    }
    v1::ConsumeRequest acks;
    for (uint64_t seq = 91; seq <= 100; ++seq) acks.add_ack_seqs(seq);
    acks.set_ack_up_to(50);
    acks.set_frame(7);
    from.send(acks);
    from.confirmed(7);
    CHECK(state_of(client, stream, "c").ack_floor() == 50);
    CHECK(state_of(client, stream, "c").pending() == 40);
    from.call().half_close();
    CHECK_FALSE(from.batch());
    CHECK(from.call().finish().ok());
  }
  CHECK(eventually(host.running(), nothing_open));
}

TEST_CASE("consume lane: nothing comes without credit for messages and for bytes, and never more than that") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  put_many(client, "s", 50, 1'000);
  lane from(host.target(), "s", "c", credit(3, 0));
  v1::ConsumeRequest ask;
  ask.set_frame(1);
  from.send(ask);
  auto got = from.batch();
  REQUIRE(got);
  CHECK(got->confirmed() == 1);
  CHECK(got->messages_size() == 0);
  from.send(credit(0));
  for (uint64_t seq = 1; seq <= 3; ++seq) CHECK(from.message().seq() == seq);
  CHECK(state_of(client, "s", "c").pending() == 3);
  ask = credit(10, 1);
  ask.set_frame(2);
  from.send(ask);
  from.confirmed(2);
  CHECK(from.message().seq() == 4);
  // Bytes were plenty after the first credit: all ten come, and no more.
  for (uint64_t seq = 5; seq <= 13; ++seq) CHECK(from.message().seq() == seq);
  CHECK(state_of(client, "s", "c").pending() == 13);
}

TEST_CASE("consume lane: credit for bytes may be overdrawn by one message") {
  test_server host(1);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  put_many(client, "s", 5, 10'000);
  lane from(host.target(), "s", "c", credit(100, 1));
  CHECK(from.message().seq() == 1);
  v1::ConsumeRequest more = credit(0, 1);
  more.set_frame(1);
  from.send(more);
  from.confirmed(1);
  CHECK(state_of(client, "s", "c").pending() == 1);
  from.send(credit(0, 21'000));
  CHECK(from.message().seq() == 2);
  CHECK(state_of(client, "s", "c").pending() <= 3);
}

TEST_CASE("consume lane: naks come again with a count, terms are parked, what is in progress waits on") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  put_many(client, "s", 4);
  lane from(host.target(), "s", "c", credit(100));
  for (uint64_t seq = 1; seq <= 4; ++seq) CHECK(from.message().seq() == seq);
  v1::ConsumeRequest said;
  said.add_ack_seqs(1);
  said.add_naks()->set_seq(2);
  said.add_term_seqs(3);
  said.add_in_progress_seqs(4);
  said.set_frame(1);
  from.send(said);
  from.confirmed(1);
  const auto again = from.message();
  CHECK(again.seq() == 2);
  CHECK(again.deliver_count() == 2);
  const auto state = state_of(client, "s", "c");
  CHECK(state.pending() == 2);
  CHECK(state.parked() == 1);
  CHECK(state.ack_floor() == 1);
}

TEST_CASE("consume lane: a message goes to one of a lane, a fetch and a subscription of the same consumer") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s", true);
  make_consumer(client, "s", "c");
  put_many(client, "s", 30);
  lane from(host.target(), "s", "c", credit(10));
  for (uint64_t seq = 1; seq <= 10; ++seq) CHECK(from.message().seq() == seq);
  CHECK(seqs_of(fetch_now(client, "s", "c", 5)) == std::vector<uint64_t>{11, 12, 13, 14, 15});
  subscriber push(host.target(), "s", "c");
  for (uint64_t seq = 16; seq <= 30; ++seq) CHECK(push.message().seq() == seq);
}

TEST_CASE("consume lane: what was not sent when the call ends is due again at once, and was no attempt") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  put_many(client, "s", 3);
  {
    lane from(host.target(), "s", "c", credit(2));
    CHECK(from.message().seq() == 1);
    CHECK(from.message().seq() == 2);
    from.call().cancel();
  }
  CHECK(eventually(host.running(), nothing_open));
  CHECK(seqs_of(fetch_now(client, "s", "c")) == std::vector<uint64_t>{3});
}

TEST_CASE("consume lane: ends with a last answer when the consumer or the stream is deleted") {
  test_server host(2);
  test_client client(host.target());
  for (const bool whole : {false, true}) {
    const std::string stream = whole ? "whole" : "part";
    make_stream(client, stream);
    make_consumer(client, stream, "c");
    lane from(host.target(), stream, "c", credit(10));
    CHECK(from.call().headers());
    whole ? drop_stream(client, stream) : drop_consumer(client, stream, "c");
    const auto last = from.batch();
    REQUIRE(last);
    CHECK_FALSE(last->success());
    CHECK(last->result_code() == (whole ? "no_such_stream" : "no_such_consumer"));
    CHECK_FALSE(from.batch());
    CHECK(from.call().finish().ok());
  }
  CHECK(eventually(host.running(), nothing_open));
}

TEST_CASE("consume lane: bad frames are told what is wrong, before and after the first") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  const auto status_of = [&](const std::string& stream, const std::string& consumer) {
    lane from(host.target(), stream, consumer, credit(1));
    CHECK_FALSE(from.batch());
    return from.call().finish();
  };
  CHECK(status_of("", "c").error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(status_of("s", "").error_message().find("consumer") != std::string::npos);
  CHECK(status_of("unknown", "c").error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(status_of("s", "unknown").error_message().find("unknown") != std::string::npos);

  lane other(host.target(), "s", "c", credit(1));
  v1::ConsumeRequest request;
  request.set_stream("t");
  other.send(request);
  CHECK_FALSE(other.batch());
  CHECK(other.call().finish().error_code() == grpc::StatusCode::INVALID_ARGUMENT);

  lane garbled(host.target(), "s", "c", credit(1));
  REQUIRE(garbled.call().write("\x2a\x09\x01"));
  CHECK_FALSE(garbled.batch());
  CHECK(garbled.call().finish().error_message().find("ConsumeRequest") != std::string::npos);

  put_many(client, "s", 1);
  lane late(host.target(), "s", "c", credit(1));
  CHECK(late.message().seq() == 1);
  v1::ConsumeRequest nak;
  nak.add_naks()->set_seq(1);
  nak.mutable_naks(0)->set_delay_ms(~0ull);
  late.send(nak);
  const auto last = late.batch();
  REQUIRE(last);
  CHECK(last->result_code() == "invalid_argument");
  CHECK(last->message().find("delay_ms") != std::string::npos);
  CHECK_FALSE(late.batch());
  CHECK(late.call().finish().ok());
  CHECK(eventually(host.running(), nothing_open));
}

TEST_CASE("consume lane: a server that stops ends the call with UNAVAILABLE") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  lane from(host.target(), "s", "c", credit(1));
  CHECK(from.call().headers());
  host.restart();
  CHECK_FALSE(from.batch());
  CHECK(from.call().finish().error_code() == grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace weir
