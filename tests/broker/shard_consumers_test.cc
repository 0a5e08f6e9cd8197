// Delivery: policies, filters, acknowledgement, redelivery, the floor, and what survives.
#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

TEST_CASE("consumers: each delivery policy starts where it says") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish_many("s", "a", 3);
  world.advance_ms(1'000);
  world.publish_many("s", "b", 2);
  world.consume("s", "all");
  world.consume("s", "last", [](consumer_config& c) { c.policy = delivery_policy::last; });
  world.consume("s", "last-a", [](consumer_config& c) {
    c.policy = delivery_policy::last;
    c.filter_subject = "a";
  });
  world.consume("s", "last-z", [](consumer_config& c) {
    c.policy = delivery_policy::last;
    c.filter_subject = "z.>";
  });
  world.consume("s", "seq", [](consumer_config& c) {
    c.policy = delivery_policy::by_start_seq;
    c.start_seq = 3;
  });
  world.consume("s", "ahead", [](consumer_config& c) {
    c.policy = delivery_policy::by_start_seq;
    c.start_seq = 7;
  });
  consumer_config config;
  config.name = "time";
  config.policy = delivery_policy::by_start_time;
  config.start_time_ms = world.clock.wall().raw() - 500;
  REQUIRE(world.run(world.now->create_consumer("s", config)));
  config.name = "future";
  config.start_time_ms = world.clock.wall().raw() + 500;
  REQUIRE(world.run(world.now->create_consumer("s", config)));
  CHECK(world.consumer("s", "seq").ack_floor == 2);
  world.publish("s", "a");
  world.publish("s", "b");
  CHECK(world.fetch("s", "all") == shown{"1", "2", "3", "4", "5", "6", "7"});
  CHECK(world.fetch("s", "last") == shown{"5", "6", "7"});
  CHECK(world.fetch("s", "last-a") == shown{"3", "6"});
  CHECK(world.fetch("s", "last-z") == shown{});
  CHECK(world.fetch("s", "seq") == shown{"3", "4", "5", "6", "7"});
  CHECK(world.fetch("s", "ahead") == shown{"7"});
  CHECK(world.fetch("s", "time") == shown{"4", "5", "6", "7"});
  CHECK(world.fetch("s", "future") == shown{"6", "7"});
}

TEST_CASE("consumers: filters with wildcards choose, and what they skip does not hold the floor") {
  shard_fixture world;
  world.start();
  world.create("s");
  for (const char* subject : {"a.x", "b", "a.y", "a.x.z", "b"}) world.publish("s", subject);
  world.consume("s", "star", [](consumer_config& c) { c.filter_subject = "a.*"; });
  world.consume("s", "rest", [](consumer_config& c) { c.filter_subject = "a.>"; });
  world.consume("s", "exact", [](consumer_config& c) { c.filter_subject = "b"; });
  CHECK(world.fetch("s", "star") == shown{"1", "3"});
  CHECK(world.fetch("s", "rest") == shown{"1", "3", "4"});
  CHECK(world.fetch("s", "exact") == shown{"2", "5"});
  world.ack("s", "star", 1);
  CHECK(world.consumer("s", "star").ack_floor == 2);
  world.ack("s", "star", 3);
  CHECK(world.consumer("s", "star").ack_floor == 5);
}

TEST_CASE("consumers: a fetch gives at most the batch, and nothing twice before its time") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 5);
  CHECK(world.fetch("s", "c", 2) == shown{"1", "2"});
  CHECK(world.fetch("s", "c", 0) == shown{"3"});
  CHECK(world.fetch("s", "c", UINT32_MAX) == shown{"4", "5"});
  CHECK(world.fetch("s", "c") == shown{});
  CHECK(world.consumer("s", "c").pending == 5);
  CHECK(world.consumer("s", "c").last_delivered == 5);
  CHECK(world.consumer("s", "c").ack_floor == 0);
}

TEST_CASE("consumers: a fetch ends at fetch_bytes_max, but a first message larger than it is delivered") {
  shard_fixture world;
  world.limits.fetch_bytes_max = 1000;
  world.start();
  world.create("s");
  world.consume("s", "c");
  for (const size_t size : {300u, 300u, 5000u, 10u, 10u}) world.publish("s", "a", std::string(size, 'x'));
  CHECK(world.fetch("s", "c") == shown{"1", "2"});
  CHECK(world.fetch("s", "c") == shown{"3"});
  CHECK(world.fetch("s", "c") == shown{"4", "5"});
}

TEST_CASE("consumers: only what is durable is delivered") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  started publishing(world.publish_task("s", "a", "x"));
  started early(world.now->fetch("s", "c", 10));
  REQUIRE(early.done());
  CHECK(early.value()->deliveries.empty());
  world.settle();
  CHECK(world.fetch("s", "c") == shown{"1"});
}

TEST_CASE("consumers: what is not acknowledged in time comes again, in order, before anything new, and counts") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  world.publish_many("s", "a", 4);
  CHECK(world.fetch("s", "c", 3) == shown{"1", "2", "3"});
  world.ack("s", "c", 2);
  world.advance_ms(999);
  CHECK(world.fetch("s", "c", 1) == shown{"4"});
  world.publish("s", "a");
  world.advance_ms(1);
  CHECK(world.fetch("s", "c", 10) == shown{"1*2", "3*2", "5"});
  world.advance_ms(999);
  CHECK(world.fetch("s", "c", 10) == shown{"4*2"});
  world.advance_ms(1);
  CHECK(world.fetch("s", "c", 10) == shown{"1*3", "3*3", "5*2"});
}

TEST_CASE("consumers: after max_deliver attempts a message is dropped and counted, and the floor goes on") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) {
    c.ack_wait_ms = 1'000;
    c.max_deliver = 2;
  });
  world.publish_many("s", "a", 2);
  CHECK(world.fetch("s", "c") == shown{"1", "2"});
  world.ack("s", "c", 2);
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{"1*2"});
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{});
  const consumer_info info = world.consumer("s", "c");
  CHECK(info.redelivered_dropped == 1);
  CHECK(info.pending == 0);
  CHECK(info.ack_floor == 2);
  REQUIRE(world.restart());
  CHECK(world.consumer("s", "c").redelivered_dropped == 1);
  CHECK(world.fetch("s", "c") == shown{});
}

TEST_CASE("consumers: an ack that is late, repeated or of nothing succeeds and changes nothing") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 2);
  world.fetch("s", "c", 1);
  world.ack("s", "c", 1);
  world.ack("s", "c", 1);
  world.ack("s", "c", 2);
  world.ack("s", "c", 99);
  world.ack("s", "c", 0);
  CHECK(world.fetch("s", "c") == shown{"2"});
  CHECK(world.consumer("s", "c").ack_floor == 1);
  CHECK(world.run(world.now->ack("s", "d", seq_no(1))).err().code == errc::no_such_consumer);
  CHECK(world.run(world.now->ack("t", "c", seq_no(1))).err().code == errc::no_such_stream);
}

TEST_CASE("consumers: a repeated ack is answered only when the first one is durable") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish("s", "a");
  world.fetch("s", "c", 1);
  started first(world.now->ack("s", "c", seq_no(1)));
  started second(world.now->ack("s", "c", seq_no(1)));
  CHECK_FALSE(first.done());
  CHECK_FALSE(second.done());
  world.settle();
  CHECK(first.value());
  CHECK(second.value());
}

TEST_CASE("consumers: what retention or a cap removes leaves the pending set, and the floor moves on") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 5;
    c.limits.strict = true;
    c.max_msgs_per_subject = 4;
  });
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  world.consume("s", "idle");
  world.publish_many("s", "a", 4);
  world.fetch("s", "c");
  CHECK(world.consumer("s", "c").pending == 4);
  world.publish("s", "a");  // the cap removes 1
  CHECK(world.consumer("s", "c").pending == 3);
  CHECK(world.consumer("s", "c").ack_floor == 1);
  CHECK(world.consumer("s", "idle").ack_floor == 1);
  for (int i = 0; i < 3; ++i) world.publish("s", "b");  // the limit removes 2, 3
  CHECK(world.consumer("s", "c").pending == 1);
  CHECK(world.consumer("s", "c").ack_floor == 3);
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{"4*2", "5", "6", "7", "8"});
  CHECK(world.fetch("s", "idle") == shown{"4", "5", "6", "7", "8"});
}

TEST_CASE("consumers: a second create is refused and leaves the first one as it was") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 3);
  world.fetch("s", "c", 2);
  world.ack("s", "c", 1);
  consumer_config config;
  config.name = "c";
  config.policy = delivery_policy::last;
  CHECK(world.run(world.now->create_consumer("s", config)).err().code == errc::already_exists);
  CHECK(world.consumer("s", "c").ack_floor == 1);
  CHECK(world.consumer("s", "c").config.policy == delivery_policy::all);
  config.name = "d";
  started first(world.now->create_consumer("s", config));
  started second(world.now->create_consumer("s", config));
  world.settle();
  CHECK(first.value());
  CHECK(second.value().err().code == errc::already_exists);
}

TEST_CASE("consumers: bad configs and limits are refused by name, unknown ones are unknown") {
  shard_fixture world;
  world.limits.consumers_max = 1;
  world.start();
  world.create("s", [](stream_config& c) { c.subjects_filter = {"a"}; });
  consumer_config config;
  config.name = "a b";
  CHECK(world.run(world.now->create_consumer("s", config)).err().code == errc::invalid_config);
  config.name = "c";
  CHECK(world.run(world.now->create_consumer("t", config)).err().code == errc::no_such_stream);
  config.dead_letter_subject = "dlq";
  CHECK(world.run(world.now->create_consumer("s", config)).err().code == errc::invalid_config);
  config.dead_letter_subject = "a";
  CHECK(world.run(world.now->create_consumer("s", config)));
  config.name = "d";
  const auto full = world.run(world.now->create_consumer("s", config));
  CHECK(full.err().code == errc::resource_exhausted);
  CHECK(full.err().message.find("consumers_max") != std::string::npos);
  for (const std::string& name : {std::string("x"), std::string(), std::string("a/b"), std::string("\xff")}) {
    CHECK(world.run(world.now->get_consumer("s", name)).err().code == errc::no_such_consumer);
    CHECK(world.run(world.now->delete_consumer("s", name)).err().code == errc::no_such_consumer);
    CHECK(world.run(world.now->fetch("s", name, 1)).err().code == errc::no_such_consumer);
  }
}

TEST_CASE("consumers: many fetchers of one consumer share the messages, each with one of them at a time") {
  shard_fixture world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 16u << 10;
  world.start();
  world.create("s", [](stream_config& c) { c.block_size = 100; });
  for (int i = 0; i < 1000; ++i) world.publish("s", "a", std::string(100, 'x'));
  world.consume("s", "c");
  REQUIRE(world.restart());  // now they are read from blocks, by the pool
  std::vector<started<result<fetch_outcome>>> all;
  for (int i = 0; i < 50; ++i) all.emplace_back(world.now->fetch("s", "c", 30));
  world.settle();
  std::vector<uint64_t> seen;
  for (auto& one : all) {
    REQUIRE(one.done());
    REQUIRE(one.value());
    for (const delivery& got : one.value()->deliveries) seen.push_back(got.record.seq.raw());
  }
  REQUIRE(seen.size() == 1000);
  for (size_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == i + 1);
}

TEST_CASE("consumers: deleted while it is fetched from, the fetchers hear of it and nothing is left behind") {
  shard_fixture world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 16u << 10;
  world.start();
  world.create("s", [](stream_config& c) { c.block_size = 100; });
  for (int i = 0; i < 500; ++i) world.publish("s", "a", std::string(100, 'x'));
  world.consume("s", "c");
  REQUIRE(world.restart());
  started first(world.now->fetch("s", "c", 10));
  started second(world.now->fetch("s", "c", 10));
  CHECK_FALSE(first.done());
  started removing(world.now->delete_consumer("s", "c"));
  started dropping(world.now->delete_stream("s"));
  world.settle();
  CHECK(first.value().err().code == errc::no_such_consumer);
  CHECK(second.value().err().code == errc::no_such_consumer);
  CHECK(removing.value());
  CHECK(dropping.value());
  world.advance_ms(2'000);
  CHECK(world.run(world.now->list_streams())->empty());
}

TEST_CASE("consumers: floors, pending messages and counts survive a clean restart exactly") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  world.publish_many("s", "a", 6);
  world.fetch("s", "c", 4);
  world.ack("s", "c", 1);
  world.ack("s", "c", 3);
  world.advance_ms(1'000);
  world.fetch("s", "c", 1);
  const consumer_info before = world.consumer("s", "c");
  REQUIRE(world.restart());
  const consumer_info after = world.consumer("s", "c");
  CHECK(after.ack_floor == before.ack_floor);
  CHECK(after.pending == before.pending);
  CHECK(after.last_delivered == before.last_delivered);
  CHECK(after.created_at_ms == before.created_at_ms);
  CHECK(after.config == before.config);
  CHECK(world.fetch("s", "c") == shown{"5", "6"});
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{"2*3", "4*2", "5*2", "6*2"});
}

TEST_CASE("consumers: after a power cut nothing acknowledged comes again and the floor has not gone back") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 10);
  world.fetch("s", "c", 6);
  for (const uint64_t seq : {1u, 2u, 5u}) world.ack("s", "c", seq);
  const uint64_t floor = world.consumer("s", "c").ack_floor;
  world.crash(3);
  REQUIRE(world.open());
  CHECK(world.consumer("s", "c").ack_floor >= floor);
  world.advance_ms(static_cast<int64_t>(default_ack_wait_ms));
  const shown again = world.fetch("s", "c");
  CHECK(again == shown{"3*2", "4*2", "6*2", "7", "8", "9", "10"});
}

}  // namespace
}  // namespace weir
