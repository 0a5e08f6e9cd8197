// Fetch with a wait and a bound, and the calls that settle messages, from the client's side.
#include <doctest/doctest.h>

#include <thread>

#include "tests/net/delivery_calls.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

constexpr uint64_t long_ms = 60'000;

bool one_waits(const core_metrics& now) {
  return now.shard.waiting == 1;
}

bool nobody_waits(const core_metrics& now) {
  return now.shard.waiting == 0 && now.calls.live == 0;
}

pb::FetchRequest waiting_fetch(const std::string& stream, uint64_t max_wait_ms) {
  pb::FetchRequest request = fetch_request(stream, "c", 10);
  request.set_max_wait_ms(max_wait_ms);
  return request;
}

// A Fetch in a thread of its own, known to wait in the broker.
struct waiting_call {
  waiting_call(test_server& host, const std::string& stream) {
    thread = std::thread([this, target = host.target(), stream] {
      test_client client(target);
      got = client.unary("/waymaker.streams.WaymakerStreamsService/Fetch",
                         waiting_fetch(stream, long_ms).SerializeAsString());
    });
    begun = eventually(host.running(), one_waits);
  }
  pb::FetchResponse join() {
    thread.join();
    pb::FetchResponse response;
    REQUIRE_MESSAGE(got.status.ok(), got.status.error_message());
    REQUIRE(response.ParseFromString(got.only()));
    return response;
  }
  std::thread thread;
  answer got;
  bool begun = false;
};

TEST_CASE("fetch: with max_wait_ms it waits for a message, at home and on another reactor") {
  test_server host(2);
  test_client client(host.target());
  for (const char* stream : {"one", "two", "three", "four"}) {
    make_stream(client, stream);
    make_consumer(client, stream, "c");
    std::thread publisher([&host, stream] {
      test_client other(host.target());
      for (int n = 0; n < 20; ++n) put(other, stream, "s", "x");
    });
    size_t got = 0;
    while (got < 20) {
      auto fetched = ask<pb::FetchResponse>(client, "Fetch", waiting_fetch(stream, long_ms));
      REQUIRE(fetched.success());
      REQUIRE(fetched.messages_size() > 0);
      got += static_cast<size_t>(fetched.messages_size());
    }
    publisher.join();
    auto nothing = ask<pb::FetchResponse>(client, "Fetch", waiting_fetch(stream, 1));
    CHECK(nothing.success());
    CHECK(nothing.messages_size() == 0);
  }
  CHECK(eventually(host.running(), [](const core_metrics& now) { return now.shard.waiting == 0; }));
}

TEST_CASE("fetch: max_bytes bounds an answer, and a first message always fits") {
  test_server host(2);
  test_client client(host.target());
  for (const char* stream : {"one", "two", "three"}) {
    make_stream(client, stream);
    make_consumer(client, stream, "c");
    put_many(client, stream, 6, 1'000);
    pb::FetchRequest request = fetch_request(stream, "c", 100);
    request.set_max_bytes(2'500);
    CHECK(seqs_of(ask<pb::FetchResponse>(client, "Fetch", request)) == std::vector<uint64_t>{1, 2});
    request.set_max_bytes(1);
    CHECK(seqs_of(ask<pb::FetchResponse>(client, "Fetch", request)) == std::vector<uint64_t>{3});
    request.set_max_wait_ms(long_ms);
    CHECK(seqs_of(ask<pb::FetchResponse>(client, "Fetch", request)) == std::vector<uint64_t>{4});
    request.set_max_bytes(UINT64_MAX);
    CHECK(seqs_of(ask<pb::FetchResponse>(client, "Fetch", request)) == std::vector<uint64_t>{5, 6});
  }
}

TEST_CASE("fetch: what is wrong with a waiting one is said by name and limit") {
  test_server host(1);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  auto refused = ask<pb::FetchResponse>(client, "Fetch", waiting_fetch("s", UINT64_MAX));
  CHECK(refused.result_code() == "invalid_argument");
  CHECK(refused.message().find("max_wait_ms") != std::string::npos);
  CHECK(refused.message().find(std::to_string(duration_ms_max)) != std::string::npos);
  CHECK(ask<pb::FetchResponse>(client, "Fetch", waiting_fetch("none", 5)).result_code() == "no_such_stream");
  pb::FetchRequest nobody = waiting_fetch("s", 5);
  nobody.set_consumer("nobody");
  CHECK(ask<pb::FetchResponse>(client, "Fetch", nobody).result_code() == "no_such_consumer");
}

TEST_CASE("fetch: one that waits ends when its consumer goes, and with the server") {
  test_server host(1);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  {
    waiting_call held(host, "s");
    REQUIRE(held.begun);
    drop_consumer(client, "s", "c");
    CHECK(held.join().result_code() == "no_such_consumer");
  }
  make_consumer(client, "s", "c");
  waiting_call held(host, "s");
  REQUIRE(held.begun);
  auto stopped = host.running().stop();
  CHECK(stopped);
  held.thread.join();
  CHECK(held.got.status.error_code() == grpc::UNAVAILABLE);
}

TEST_CASE("fetch: one whose client is gone waits no longer and takes nothing with it") {
  for (unsigned shards : {1u, 2u}) {
    test_server host(shards);
    test_client client(host.target());
    for (const char* stream : {"one", "two", "three"}) {
      make_stream(client, stream);
      make_consumer(client, stream, "c");
      {
        test_client impatient(host.target());
        answer got =
            impatient.call("/waymaker.streams.WaymakerStreamsService/Fetch",
                           {waiting_fetch(stream, long_ms).SerializeAsString()}, std::chrono::milliseconds(30));
        CHECK(got.status.error_code() == grpc::DEADLINE_EXCEEDED);
      }
      CHECK(eventually(host.running(), nobody_waits));
      put(client, stream, "s", "x");
      auto fetched = fetch_now(client, stream, "c");
      REQUIRE(fetched.messages_size() == 1);
      CHECK(fetched.messages(0).deliver_count() == 1);
    }
  }
}

template <class Request>
Request about(const std::string& consumer, uint64_t seq) {
  Request request;
  request.set_stream("s");
  request.set_consumer(consumer);
  request.set_seq(seq);
  return request;
}

TEST_CASE("settling: nak, term, in-progress and ack of one message each") {
  test_server host(1);
  test_client client(host.target());
  make_stream(client, "s", true);
  make_consumer(client, "s", "c", [](auto& config) { config.set_ack_wait_ms(600'000); });
  put_many(client, "s", 4);
  CHECK(seqs_of(fetch_now(client, "s", "c")) == std::vector<uint64_t>{1, 2, 3, 4});
  CHECK(ask<pb::NakResponse>(client, "Nak", about<pb::NakRequest>("c", 1)).success());
  CHECK(ask<pb::TermResponse>(client, "Term", about<pb::TermRequest>("c", 2)).success());
  CHECK(ask<pb::InProgressResponse>(client, "InProgress", about<pb::InProgressRequest>("c", 3)).success());
  CHECK(ask<pb::AckResponse>(client, "Ack", about<pb::AckRequest>("c", 4)).success());
  auto again = fetch_now(client, "s", "c");
  CHECK(seqs_of(again) == std::vector<uint64_t>{1});
  CHECK(again.messages(0).deliver_count() == 2);
  pb::NakRequest later = about<pb::NakRequest>("c", 1);
  later.set_delay_ms(600'000);
  CHECK(ask<pb::NakResponse>(client, "Nak", later).success());
  CHECK(fetch_now(client, "s", "c").messages_size() == 0);
  const pb::ConsumerStatePb state = state_of(client, "s", "c");
  CHECK(state.pending() == 2);
  CHECK(state.parked() == 1);
  CHECK(state.lag() == 4);
  CHECK(state.blocked() == v1::BLOCKED_CAUGHT_UP);
}

TEST_CASE("settling: what is not pending changes nothing, who is not known is said") {
  test_server host(1);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  for (uint64_t seq : {uint64_t{0}, uint64_t{1}, UINT64_MAX}) {
    CHECK(ask<pb::NakResponse>(client, "Nak", about<pb::NakRequest>("c", seq)).success());
    CHECK(ask<pb::TermResponse>(client, "Term", about<pb::TermRequest>("c", seq)).success());
    CHECK(ask<pb::InProgressResponse>(client, "InProgress", about<pb::InProgressRequest>("c", seq)).success());
    CHECK(ask<pb::AckResponse>(client, "Ack", about<pb::AckRequest>("c", seq)).success());
  }
  CHECK(ask<pb::NakResponse>(client, "Nak", about<pb::NakRequest>("d", 1)).result_code() == "no_such_consumer");
  CHECK(ask<pb::TermResponse>(client, "Term", about<pb::TermRequest>("d", 1)).result_code() == "no_such_consumer");
  CHECK(ask<pb::InProgressResponse>(client, "InProgress", about<pb::InProgressRequest>("d", 1)).result_code() ==
        "no_such_consumer");
}

}  // namespace
}  // namespace weir
