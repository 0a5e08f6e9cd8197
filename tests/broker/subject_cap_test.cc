// max_ack_pending and max_ack_pending_per_subject: ordered work per key, and why nothing comes.
#include "tests/broker/subscription_fixture.h"

namespace weir {
namespace {

void per_key(consumer_config& c) {
  c.max_ack_pending_per_subject = 1;
  c.ack_wait_ms = 1'000;
}
void publish_all(shard_fixture& world, const std::vector<const char*>& subjects) {
  for (const char* subject : subjects) world.publish("s", subject);
}

TEST_CASE("per subject: one message of a key is out at a time, in order; other keys go on") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", per_key);
  publish_all(world, {"a", "a", "b", "a", "b"});
  CHECK(world.fetch("s", "c") == shown{"1", "3"});
  consumer_info info = world.consumer("s", "c");
  CHECK(info.pending == 5);
  CHECK(info.held == 3);
  CHECK(info.blocked == blocked_by::max_ack_pending_per_subject);
  world.ack("s", "c", 1);
  CHECK(world.consumer("s", "c").blocked == blocked_by::nothing);
  CHECK(world.consumer("s", "c").held == 3);
  CHECK(world.fetch("s", "c") == shown{"2"});
  CHECK(world.fetch("s", "c") == shown{});
  world.ack("s", "c", 3);
  world.ack("s", "c", 2);
  CHECK(world.fetch("s", "c") == shown{"4", "5"});
  CHECK(world.consumer("s", "c").ack_floor == 3);
}

TEST_CASE("per subject: a redelivery keeps its key's place; what is given up frees it") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) {
    per_key(c);
    c.max_deliver = 2;
  });
  publish_all(world, {"a", "a"});
  CHECK(world.fetch("s", "c") == shown{"1"});
  REQUIRE(world.run(world.now->nak("s", "c", seq_no(1), 0)));
  CHECK(world.fetch("s", "c") == shown{"1*2"});
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{"2"});
  CHECK(world.consumer("s", "c").parked == 1);
}

TEST_CASE("per subject: acks, removal by the stream and requeues keep the count right, over restarts too") {
  for (const bool clean : {true, false}) {
    shard_fixture world;
    world.start();
    world.create("s", [](stream_config& c) { c.max_msgs_per_subject = 3; });
    world.consume("s", "c", per_key);
    publish_all(world, {"a", "b", "a", "a"});
    CHECK(world.fetch("s", "c") == shown{"1", "2"});
    world.ack("s", "c", 2);
    if (!clean) world.kill();
    const auto back = clean ? world.restart() : world.open();
    REQUIRE(back);
    CHECK(world.consumer("s", "c").held == 2);
    CHECK(world.fetch("s", "c") == shown{});
    world.publish("s", "a");  // 1 goes by the cap: 3 may come
    CHECK(world.fetch("s", "c") == shown{"3"});
    REQUIRE(world.run(world.now->term("s", "c", seq_no(3))));
    CHECK(world.fetch("s", "c") == shown{"4"});
    REQUIRE(world.run(world.now->requeue_parked("s", "c", {})));
    CHECK(world.fetch("s", "c") == shown{"3"});
    world.ack("s", "c", 4);
    CHECK(world.fetch("s", "c") == shown{});
    world.ack("s", "c", 3);
    CHECK(world.fetch("s", "c") == shown{"5"});
  }
}

TEST_CASE("per subject: an ack wakes who waits for that key") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", per_key);
  publish_all(world, {"a", "a"});
  subscriber client(world, "s", "c");
  CHECK(client.take() == shown{"1"});
  client.ask();
  world.settle();
  CHECK(client.waits());
  world.ack("s", "c", 1);
  CHECK(client.got() == shown{"2"});
}

TEST_CASE("per subject: with held_back_max messages held the cursor stops, and goes on when there is room") {
  shard_fixture world;
  world.limits.held_back_max = 2;
  world.start();
  world.create("s");
  world.consume("s", "c", per_key);
  publish_all(world, {"a", "a", "a", "a", "b"});
  CHECK(world.fetch("s", "c") == shown{"1"});
  CHECK(world.consumer("s", "c").held == 2);
  CHECK(world.consumer("s", "c").blocked == blocked_by::max_ack_pending_per_subject);
  world.ack("s", "c", 1);
  CHECK(world.fetch("s", "c") == shown{"2"});  // 4 is held in its place
  world.ack("s", "c", 2);
  CHECK(world.fetch("s", "c") == shown{"3", "5"});
}

TEST_CASE("per subject: the bound comes and goes with an update") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.max_ack_pending_per_subject = 2; });
  publish_all(world, {"a", "a", "a", "a", "a"});
  CHECK(world.fetch("s", "c") == shown{"1", "2"});
  consumer_update update;
  update.stream = "s";
  update.consumer = "c";
  update.max_ack_pending_per_subject = 3;
  REQUIRE(world.run(world.now->update_consumer(update)));
  CHECK(world.fetch("s", "c") == shown{"3"});
  update.max_ack_pending_per_subject = 0;
  REQUIRE(world.run(world.now->update_consumer(update)));
  CHECK(world.fetch("s", "c", 1) == shown{"4"});
  update.max_ack_pending_per_subject = 4;
  REQUIRE(world.run(world.now->update_consumer(update)));
  world.publish("s", "a");
  world.ack("s", "c", 1);
  CHECK(world.fetch("s", "c") == shown{"5"});
}

TEST_CASE("max_ack_pending: the cap is told, what is due comes all the same, and room wakes (field notes 2.8)") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) {
    c.max_ack_pending = 2;
    c.ack_wait_ms = 1'000;
  });
  world.publish_many("s", "a", 5);
  subscriber client(world, "s", "c");
  CHECK(client.take() == shown{"1", "2"});
  CHECK(world.consumer("s", "c").blocked == blocked_by::max_ack_pending);
  CHECK(world.consumer("s", "c").waiting == 1);
  CHECK(client.take() == shown{});
  client.ask();
  world.advance_ms(1'000);
  CHECK(client.got() == shown{"1*2", "2*2"});
  client.sent(2);
  client.ask();
  world.ack("s", "c", 2);
  CHECK(client.got() == shown{"3"});
}

TEST_CASE("max_ack_pending: what the stream removes while it is out gives its room back (field notes 2.7)") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 3;
    c.limits.strict = true;
  });
  world.consume("s", "c", [](consumer_config& c) { c.max_ack_pending = 2; });
  world.publish_many("s", "a", 3);
  subscriber client(world, "s", "c");
  CHECK(client.take() == shown{"1", "2"});
  client.ask();
  world.settle();
  CHECK(client.waits());
  world.publish("s", "a");
  CHECK(client.got() == shown{"3"});
  REQUIRE(world.run(world.now->delete_message("s", seq_no(2))));
  CHECK(world.consumer("s", "c").pending == 1);
  CHECK(world.consumer("s", "c").ack_floor == 2);
  CHECK(client.take() == shown{"3", "4"});
}

TEST_CASE("blocked: a consumer says why it gets nothing") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "all");
  world.consume("s", "none", [](consumer_config& c) { c.filter_subject = "z.>"; });
  const auto why = [&world](const std::string& name) { return world.consumer("s", name).blocked; };
  CHECK(why("all") == blocked_by::caught_up);
  world.publish_many("s", "a", 2);
  CHECK(why("all") == blocked_by::nothing);
  world.fetch("s", "all");
  world.fetch("s", "none");
  CHECK(why("all") == blocked_by::caught_up);
  CHECK(why("none") == blocked_by::no_match);
  world.publish("s", "z.1");
  world.fetch("s", "none");
  CHECK(why("none") == blocked_by::caught_up);
  CHECK(world.consumer("s", "none").lag == 1);
  CHECK(world.consumer("s", "all").lag == 3);
}

TEST_CASE("create: a refused second create leaves the first consumer with all it has (field notes 2.15)") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", per_key);
  publish_all(world, {"a", "a", "b"});
  CHECK(world.fetch("s", "c") == shown{"1", "3"});
  REQUIRE(world.run(world.now->term("s", "c", seq_no(3))));
  const consumer_info before = world.consumer("s", "c");
  consumer_config config;
  config.name = "c";
  CHECK(world.run(world.now->create_consumer("s", config)).err().code == errc::already_exists);
  const consumer_info after = world.consumer("s", "c");
  CHECK(after.config == before.config);
  CHECK(after.pending == before.pending);
  CHECK(after.held == 1);
  CHECK(after.parked == 1);
  world.ack("s", "c", 1);
  CHECK(world.fetch("s", "c") == shown{"2"});
}

TEST_CASE("per subject: what is requeued has its key's place before what is held, which had room meanwhile") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", per_key);
  publish_all(world, {"a", "a", "b"});
  CHECK(world.fetch("s", "c") == shown{"1", "3"});
  REQUIRE(world.run(world.now->term("s", "c", seq_no(1))));
  REQUIRE(world.run(world.now->requeue_parked("s", "c", {})));
  CHECK(world.fetch("s", "c") == shown{"1"});
  world.ack("s", "c", 1);
  CHECK(world.fetch("s", "c") == shown{"2"});
}

TEST_CASE("per subject: a lower cap holds for what had room by the higher one") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.max_ack_pending_per_subject = 2; });
  publish_all(world, {"a", "a", "a", "a"});
  CHECK(world.fetch("s", "c") == shown{"1", "2"});
  world.ack("s", "c", 1);
  world.ack("s", "c", 2);
  consumer_update update;
  update.stream = "s";
  update.consumer = "c";
  update.max_ack_pending_per_subject = 1;
  REQUIRE(world.run(world.now->update_consumer(update)));
  CHECK(world.fetch("s", "c") == shown{"3"});
  world.ack("s", "c", 3);
  CHECK(world.fetch("s", "c") == shown{"4"});
}

}  // namespace
}  // namespace weir
