// Push delivery from the client's side, over streams of both reactors: some subscriptions live on the call's, some on
// the other. What a delivery means is tested with the broker.
#include <doctest/doctest.h>

#include <thread>

#include "tests/net/delivery_calls.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

constexpr int streams = 4;

std::string stream_name(int n) {
  return "stream-" + std::to_string(n);
}

bool nothing_open(const core_metrics& now) {
  return now.calls.live == 0 && now.shard.waiting == 0;
}

TEST_CASE("subscribe: what is there and what is published later arrives in order, from every shard") {
  test_server host(2);
  test_client client(host.target());
  for (int s = 0; s < streams; ++s) {
    const std::string stream = stream_name(s);
    make_stream(client, stream);
    make_consumer(client, stream, "c");
    for (int n = 1; n <= 40; ++n) put(client, stream, "a", std::string(static_cast<size_t>(n) * 100, 'x'));
    subscriber reader(host.target(), stream, "c");
    for (uint64_t seq = 1; seq <= 80; ++seq) {
      if (seq > 40) CHECK(put(client, stream, "a", std::string(seq * 100, 'x')) == seq);
      const pb::MessagePb message = reader.message();
      CHECK(message.seq() == seq);
      CHECK(message.subject() == "a");
      CHECK(message.payload() == std::string(seq * 100, 'x'));
      CHECK(message.deliver_count() == 1);
    }
    pb::ConsumerStatePb state = state_of(client, stream, "c");
    CHECK(state.waiting() == 1);
    CHECK(state.pending() == 80);
    v1::AckManyRequest acks;
    acks.set_stream(stream);
    acks.set_consumer("c");
    acks.set_up_to_seq(80);
    CHECK(ask_admin<v1::AckManyResponse>(client, "AckMany", acks).acked() == 80);
    CHECK(state_of(client, stream, "c").ack_floor() == 80);
  }
  CHECK(eventually(host.running(), nothing_open));
}

TEST_CASE("subscribe: with stop_when_empty it ends when nothing can be delivered, and says so") {
  test_server host(2);
  test_client client(host.target());
  for (int s = 0; s < streams; ++s) {
    const std::string stream = stream_name(s);
    make_stream(client, stream);
    make_consumer(client, stream, "c");
    put_many(client, stream, 7);
    subscriber reader(host.target(), stream, "c", true, 3);
    for (uint64_t seq = 1; seq <= 7; ++seq) CHECK(reader.message().seq() == seq);
    CHECK(reader.stopped() == "empty");
    subscriber again(host.target(), stream, "c", true);
    CHECK(again.stopped() == "empty");
  }
}

TEST_CASE("subscribe: a message that was refused comes again with its count") {
  test_server host(2);
  test_client client(host.target());
  for (int s = 0; s < streams; ++s) {
    const std::string stream = stream_name(s);
    make_stream(client, stream);
    make_consumer(client, stream, "c");
    subscriber reader(host.target(), stream, "c");
    put(client, stream, "a", std::string(3'000, 'p'));
    CHECK(reader.message().deliver_count() == 1);
    pb::NakRequest nak;
    nak.set_stream(stream);
    nak.set_consumer("c");
    nak.set_seq(1);
    CHECK(ask<pb::NakResponse>(client, "Nak", nak).success());
    const pb::MessagePb again = reader.message();
    CHECK(again.deliver_count() == 2);
    CHECK(again.payload() == std::string(3'000, 'p'));
  }
}

TEST_CASE("subscribe: what went on the wire and is not acknowledged in time comes again, each message") {
  test_server host(2);
  test_client client(host.target());
  for (int s = 0; s < streams; ++s) {
    const std::string stream = stream_name(s);
    make_stream(client, stream);
    make_consumer(client, stream, "c", [](auto& config) { config.set_ack_wait_ms(100); });
    put_many(client, stream, 20);
    subscriber reader(host.target(), stream, "c", false, 20);
    std::vector<uint32_t> seen(21, 0);
    for (int n = 0; n < 40; ++n) {
      const pb::MessagePb message = reader.message();
      CHECK(message.deliver_count() == ++seen.at(message.seq()));
    }
    for (uint64_t seq = 1; seq <= 20; ++seq) CHECK(seen[seq] >= 1);
  }
}

TEST_CASE("subscribe: an unknown stream or consumer is NOT_FOUND by name") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "known");
  for (const auto& [stream, consumer] : {std::pair("nowhere", "c"), std::pair("known", "nobody")}) {
    subscriber reader(host.target(), stream, consumer);
    CHECK_FALSE(reader.next());
    const grpc::Status status = reader.finish();
    CHECK(status.error_code() == grpc::NOT_FOUND);
    const std::string missing = std::string(stream) == "known" ? consumer : stream;
    CHECK(status.error_message().find(missing) != std::string::npos);
  }
  CHECK(eventually(host.running(), nothing_open));
}

TEST_CASE("subscribe: when its consumer or stream is deleted it ends with OK and the reason") {
  test_server host(2);
  test_client client(host.target());
  for (int s = 0; s < streams; ++s) {
    const std::string stream = stream_name(s);
    make_stream(client, stream);
    make_consumer(client, stream, "c");
    make_consumer(client, stream, "d");
    put(client, stream, "a", "x");
    subscriber first(host.target(), stream, "c");
    subscriber second(host.target(), stream, "d");
    CHECK(first.message().seq() == 1);
    CHECK(second.message().seq() == 1);
    drop_consumer(client, stream, "c");
    CHECK(first.stopped() == "consumer deleted");
    drop_stream(client, stream);
    CHECK(second.stopped() == "stream deleted");
  }
  CHECK(eventually(host.running(), nothing_open));
}

TEST_CASE("subscribe: several of one consumer share its messages, each comes once") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "jobs", true);
  make_consumer(client, "jobs", "workers");
  put_many(client, "jobs", 300);
  std::vector<std::vector<uint64_t>> seen(3);
  std::vector<std::thread> readers;
  for (auto& mine : seen) {
    readers.emplace_back([&host, &mine] {
      subscriber reader(host.target(), "jobs", "workers", true, 5);
      while (auto event = reader.next()) {
        if (event->has_message()) mine.push_back(event->message().seq());
      }
    });
  }
  for (std::thread& one : readers) one.join();
  std::vector<uint64_t> all;
  for (const auto& mine : seen) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  REQUIRE(all.size() == 300);
  for (uint64_t n = 0; n < 300; ++n) CHECK(all[n] == n + 1);
}

TEST_CASE(
    "subscribe: of a client that reads nothing, one batch is pending and the rest waits; once gone, nothing is lost") {
  test_server host(2);
  test_client client(host.target());
  for (int s = 0; s < 2; ++s) {
    const std::string stream = stream_name(s);
    make_stream(client, stream);
    make_consumer(client, stream, "c", [](auto& config) { config.set_ack_wait_ms(600'000); });
    put_many(client, stream, 40, 400'000);
    subscriber stalled(host.target(), stream, "c", false, 4);
    REQUIRE(stalled.headers());
    CHECK(stalled.message().seq() == 1);
    // It moves on while the transport takes more, and then no further.
    auto moving = [delivered = uint64_t{0}, still = 0](const core_metrics& now) mutable {
      still = now.shard.delivered == std::exchange(delivered, now.shard.delivered) ? still + 1 : 0;
      return still > 100;
    };
    REQUIRE(eventually(host.running(), moving));
    const uint64_t pending = state_of(client, stream, "c").pending();
    CHECK(pending < 40);
    CHECK(pending >= 2);
    stalled.cancel();
    CHECK(stalled.finish().error_code() == grpc::CANCELLED);
    REQUIRE(eventually(host.running(), nothing_open));
    // In hand and unsent: due at once, and that delivery did not count.
    subscriber next(host.target(), stream, "c", true);
    uint64_t got = 0;
    uint64_t fresh = 0;
    while (auto event = next.next()) {
      if (!event->has_message()) break;
      ++got;
      if (event->message().deliver_count() == 1) ++fresh;
    }
    CHECK(fresh == got);
    CHECK(state_of(client, stream, "c").pending() == 40);
    CHECK(got > 40 - pending);
  }
}

TEST_CASE("subscribe: when the server stops, a waiting call ends with UNAVAILABLE") {
  test_server host(2);
  test_client client(host.target());
  std::vector<std::unique_ptr<subscriber>> readers;
  for (int s = 0; s < streams; ++s) {
    make_stream(client, stream_name(s));
    make_consumer(client, stream_name(s), "c");
    readers.push_back(std::make_unique<subscriber>(host.target(), stream_name(s), "c"));
    REQUIRE(readers.back()->headers());
  }
  std::vector<grpc::Status> statuses(readers.size());
  std::vector<std::thread> waiting;
  for (size_t n = 0; n < readers.size(); ++n) {
    waiting.emplace_back([&, n] {
      while (readers[n]->next()) {
      }
      statuses[n] = readers[n]->finish();
    });
  }
  auto stopped = host.running().stop();
  CHECK(stopped);
  for (std::thread& one : waiting) one.join();
  for (const grpc::Status& status : statuses) {
    CHECK(status.error_code() == grpc::UNAVAILABLE);
    CHECK(status.error_message().find("stopping") != std::string::npos);
  }
}

TEST_CASE("subscribe: a stop does not wait for clients that read nothing") {
  test_server host(2);
  test_client client(host.target());
  std::vector<std::unique_ptr<subscriber>> readers;
  for (int s = 0; s < 2; ++s) {
    make_stream(client, stream_name(s));
    make_consumer(client, stream_name(s), "c");
    put_many(client, stream_name(s), 30, 500'000);
    readers.push_back(std::make_unique<subscriber>(host.target(), stream_name(s), "c"));
    CHECK(readers.back()->message().seq() == 1);
  }
  const auto began = std::chrono::steady_clock::now();
  auto stopped = host.running().stop();
  CHECK(stopped);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::milliseconds(host.options().stop_grace_ms));
}

TEST_CASE("subscribe: thousands of calls that are cancelled, in any state, leave nothing behind") {
  const bool longer = std::getenv("WEIR_LONG") != nullptr;
  const int rounds = longer ? 200 : 40;
  constexpr int calls_a_round = 50;
  test_server host(2);
  test_client client(host.target());
  for (int s = 0; s < streams; ++s) {
    make_stream(client, stream_name(s));
    make_consumer(client, stream_name(s), "c", [](auto& config) { config.set_unlimited_deliver(true); });
    put_many(client, stream_name(s), 50, 2'000);
  }
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::unique_ptr<subscriber>> calls;
    for (int n = 0; n < calls_a_round; ++n) {
      calls.push_back(std::make_unique<subscriber>(host.target(), stream_name(n % streams), "c"));
      if (n % 3 == 0) REQUIRE(calls.back()->headers());
      if (n % 7 == 0) put(client, stream_name(n % streams), "s", "more");
      if (n % 2 == 0) calls.back()->cancel();
    }
    calls.clear();  // cancels the others
  }
  CHECK(eventually(host.running(), nothing_open));
  for (int s = 0; s < streams; ++s) CHECK(state_of(client, stream_name(s), "c").waiting() == 0);
}

}  // namespace
}  // namespace weir
