// Messages that were given up and kept: never silently (field notes 2.4).
#include "tests/broker/subscription_fixture.h"

namespace weir {
namespace {

void once(consumer_config& c) {
  c.ack_wait_ms = 1'000;
  c.max_deliver = 1;
}

std::string reasons(shard_fixture& world, uint64_t from = 0, uint32_t limit = 0) {
  auto page = world.run(world.now->list_parked("s", "c", seq_no(from), limit));
  REQUIRE(page);
  std::string text = std::to_string(page->total) + ":";
  for (const parked_page::item& one : page->items) {
    text += " " + std::to_string(one.parked.seq.raw()) + (one.parked.reason == park_reason::term ? "t" : "m");
    REQUIRE(one.record);
    CHECK(one.record->seq == one.parked.seq);
  }
  return text;
}
uint64_t requeue(shard_fixture& world, std::vector<seq_no> seqs = {}) {
  auto done = world.run(world.now->requeue_parked("s", "c", std::move(seqs)));
  REQUIRE(done);
  return *done;
}
void term(shard_fixture& world, uint64_t seq) {
  REQUIRE(world.run(world.now->term("s", "c", seq_no(seq))));
}

TEST_CASE("parked: what ran out of attempts and what was termed is listed with its reason, and survives a kill") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", once);
  world.publish_many("s", "a", 4);
  CHECK(world.fetch("s", "c") == shown{"1", "2", "3", "4"});
  term(world, 3);
  world.ack("s", "c", 1);
  world.advance_ms(1'000);
  CHECK(reasons(world) == "3: 2m 3t 4m");
  CHECK(reasons(world, 3, 1) == "3: 3t");
  CHECK(world.consumer("s", "c").redelivered_dropped == 2);
  CHECK(world.consumer("s", "c").ack_floor == 4);
  const auto before = *world.run(world.now->list_parked("s", "c", seq_no(), 0));
  world.kill();
  REQUIRE(world.open());
  CHECK(reasons(world) == "3: 2m 3t 4m");
  REQUIRE(world.restart());
  const auto after = *world.run(world.now->list_parked("s", "c", seq_no(), 0));
  for (size_t i = 0; i < 3; ++i) CHECK(after.items[i].parked.parked_at == before.items[i].parked.parked_at);
  CHECK(world.fetch("s", "c") == shown{});
}

TEST_CASE("parked: at the bound, what was removed before a kill costs no other its place after it") {
  shard_fixture world;
  world.limits.parked_max = 2;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 4);
  CHECK(world.fetch("s", "c") == shown{"1", "2", "3", "4"});
  term(world, 1);
  term(world, 2);
  for (const uint64_t seq : {1u, 2u}) REQUIRE(world.run(world.now->delete_message("s", seq_no(seq))));
  world.clock.set_wall(wall_ms(world.clock.wall().raw() - 1'000));  // now the removed ones are the younger
  term(world, 3);
  term(world, 4);
  CHECK(reasons(world) == "2: 3t 4t");
  world.kill();
  REQUIRE(world.open());
  CHECK(reasons(world) == "2: 3t 4t");
}

TEST_CASE("parked: an answered term survives a kill at once, an ack of a parked message changes nothing") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 2);
  world.fetch("s", "c");
  started terming(world.now->term("s", "c", seq_no(2)));
  CHECK_FALSE(terming.done());
  world.settle();
  REQUIRE(terming.value());
  world.kill();
  REQUIRE(world.open());
  world.ack("s", "c", 2);
  term(world, 2);
  CHECK(reasons(world) == "1: 2t");
  CHECK(world.consumer("s", "c").pending == 1);
  CHECK(world.consumer("s", "c").redelivered_dropped == 0);
}

TEST_CASE("parked: a requeued message is none any more of the subscription that had it in hand before") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", once);
  world.publish_many("s", "a", 2);
  subscriber before(world, "s", "c");
  subscriber after(world, "s", "c");
  before.ask();
  world.settle();
  CHECK(before.got() == shown{"1", "2"});
  term(world, 1);
  CHECK(requeue(world) == 1);
  after.ask();
  world.settle();
  CHECK(after.got() == shown{"1"});
  before.sent(2);  // 2 is on the wire; 1 is in the other's hand, and no wait begins
  world.advance_ms(1'000);
  CHECK(world.consumer("s", "c").pending == 1);
  CHECK(reasons(world) == "1: 2m");
  before.end();
  CHECK(world.fetch("s", "c") == shown{});
  after.end();
  CHECK(world.fetch("s", "c") == shown{"1"});
}

TEST_CASE("parked: a requeued message of a consumer that is capped by subject since then is held after any restart") {
  for (const bool clean : {true, false}) {
    CAPTURE(clean);
    shard_fixture world;
    world.start();
    world.create("s");
    world.consume("s", "c");
    world.publish_many("s", "a", 2);
    CHECK(world.fetch("s", "c", 1) == shown{"1"});
    term(world, 1);
    CHECK(requeue(world) == 1);
    consumer_update update;
    update.stream = "s";
    update.consumer = "c";
    update.max_ack_pending_per_subject = 1;
    REQUIRE(world.run(world.now->update_consumer(update)));
    if (clean) {
      REQUIRE(world.restart());
    } else {
      world.kill();
      REQUIRE(world.open());
    }
    CHECK(world.consumer("s", "c").held == 1);
    CHECK(world.fetch("s", "c") == shown{"1"});
    CHECK(world.consumer("s", "c").held == 1);  // now 2
  }
}

TEST_CASE("parked: requeued ones are delivered again from attempt 1, wake who waits, and the floor does not go back") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", once);
  world.publish_many("s", "a", 4);
  world.fetch("s", "c", 3);
  for (const uint64_t seq : {1u, 2u, 3u}) term(world, seq);
  CHECK(world.consumer("s", "c").ack_floor == 3);
  CHECK(requeue(world, {seq_no(3), seq_no(1), seq_no(1), seq_no(4), seq_no(99)}) == 2);
  CHECK(requeue(world, {seq_no(3)}) == 0);
  CHECK(world.consumer("s", "c").ack_floor == 3);
  CHECK(world.consumer("s", "c").pending == 2);
  world.kill();
  REQUIRE(world.open());
  CHECK(world.consumer("s", "c").ack_floor == 3);
  CHECK(reasons(world) == "1: 2t");
  CHECK(world.fetch("s", "c") == shown{"1", "3", "4"});
  subscriber client(world, "s", "c");
  client.ask();
  CHECK(requeue(world) == 1);
  CHECK(client.got() == shown{"2"});
  client.sent(1);
  world.advance_ms(1'000);
  CHECK(reasons(world) == "4: 1m 2m 3m 4m");
  CHECK(world.consumer("s", "c").ack_floor == 4);
}

TEST_CASE("parked: purged ones are forgotten, and leave a work queue") {
  for (const retention_policy policy : {retention_policy::limits, retention_policy::work_queue}) {
    shard_fixture world;
    world.start();
    stream_config config;
    config.name = "s";
    config.policy = policy;
    REQUIRE(world.run(world.now->create_stream(config)));
    world.consume("s", "c");
    world.publish_many("s", "a", 3);
    world.fetch("s", "c");
    for (const uint64_t seq : {1u, 2u, 3u}) term(world, seq);
    CHECK(world.info("s").stats.msg_count == 3);
    CHECK(*world.run(world.now->purge_parked("s", "c", {seq_no(2), seq_no(7)})) == 1);
    const bool removes = policy == retention_policy::work_queue;
    CHECK(world.info("s").stats.msg_count == (removes ? 2 : 3));
    world.kill();
    REQUIRE(world.open());
    CHECK(reasons(world) == "2: 1t 3t");
    CHECK(*world.run(world.now->purge_parked("s", "c", {})) == 2);
    CHECK(world.info("s").stats.msg_count == (removes ? 0 : 3));
    CHECK(reasons(world) == "0:");
  }
}

TEST_CASE("parked: more than parked_max forgets the oldest, but never on a work queue") {
  for (const bool queue : {false, true}) {
    shard_fixture world;
    world.limits.parked_max = 2;
    world.start();
    stream_config config;
    config.name = "s";
    if (queue) config.policy = retention_policy::work_queue;
    REQUIRE(world.run(world.now->create_stream(config)));
    world.consume("s", "c");
    world.publish_many("s", "a", 3);
    world.fetch("s", "c");
    for (const uint64_t seq : {2u, 1u, 3u}) {
      term(world, seq);
      world.advance_ms(1);
    }
    CHECK(reasons(world) == (queue ? "3: 1t 2t 3t" : "2: 1t 3t"));
    REQUIRE(world.restart());
    CHECK(reasons(world) == (queue ? "3: 1t 2t 3t" : "2: 1t 3t"));
  }
}

TEST_CASE("parked: what retention removes is no longer parked") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 3;
    c.limits.strict = true;
  });
  world.consume("s", "c");
  world.publish_many("s", "a", 3);
  world.fetch("s", "c");
  for (const uint64_t seq : {1u, 2u, 3u}) term(world, seq);
  world.publish_many("s", "a", 2);
  CHECK(reasons(world) == "1: 3t");
  CHECK(requeue(world, {seq_no(1)}) == 0);
  world.kill();
  REQUIRE(world.open());
  CHECK(reasons(world) == "1: 3t");
}

}  // namespace
}  // namespace weir
