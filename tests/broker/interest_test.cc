// Interest retention: a block goes once every consumer is done with it.
#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

constexpr int64_t sweep_ms = 5'000;

void create_interest(shard_fixture& world) {
  world.create("s", [](stream_config& c) {
    c.policy = retention_policy::interest;
    c.block_size = 4;
  });
}

uint64_t first_live(shard_fixture& world) {
  const stream_stats stats = world.info("s").stats;
  return stats.msg_count == 0 ? 0 : stats.last_seq - stats.msg_count + 1;
}

void fetch_and_ack(shard_fixture& world, const std::string& consumer, uint64_t up_to) {
  while (true) {
    const auto got = world.run(world.now->fetch("s", consumer, 1));
    REQUIRE(got);
    if (got->deliveries.empty()) return;
    const uint64_t seq = got->deliveries[0].record.seq.raw();
    world.ack("s", consumer, seq);
    if (seq >= up_to) return;
  }
}

TEST_CASE("interest: blocks go at the sweep when every floor has passed them, never at the ack") {
  shard_fixture world;
  world.start();
  create_interest(world);
  world.consume("s", "one");
  world.consume("s", "two");
  world.publish_many("s", "a", 10);
  fetch_and_ack(world, "one", 10);
  world.advance_ms(sweep_ms);
  CHECK(first_live(world) == 1);
  fetch_and_ack(world, "two", 5);
  CHECK(first_live(world) == 1);
  world.advance_ms(sweep_ms);
  CHECK(first_live(world) == 5);
  fetch_and_ack(world, "two", 10);
  world.advance_ms(sweep_ms);
  CHECK(first_live(world) == 9);  // the last block is not complete
  world.publish_many("s", "a", 2);
  world.advance_ms(sweep_ms);
  CHECK(first_live(world) == 9);
  fetch_and_ack(world, "one", 12);
  fetch_and_ack(world, "two", 12);
  world.advance_ms(sweep_ms);
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.info("s").stats.last_seq == 12);
}

TEST_CASE("interest: one sweep is enough when what goes takes a pending message along and the floor rises") {
  shard_fixture world;
  world.start();
  create_interest(world);
  world.consume("s", "c", [](consumer_config& c) { c.max_deliver = 1; });
  world.publish_many("s", "a", 4);
  REQUIRE(world.fetch("s", "c").size() == 4);
  REQUIRE(world.run(world.now->term("s", "c", seq_no(1))));
  for (uint64_t seq = 2; seq <= 4; ++seq) world.ack("s", "c", seq);
  REQUIRE(*world.run(world.now->requeue_parked("s", "c", std::vector<seq_no>(1, seq_no(1)))) == 1);
  world.publish_many("s", "a", 4);
  REQUIRE(world.fetch("s", "c") == shown{"1", "5", "6", "7", "8"});
  for (uint64_t seq = 5; seq <= 8; ++seq) world.ack("s", "c", seq);
  CHECK(world.consumer("s", "c").ack_floor == 4);
  world.advance_ms(sweep_ms);
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.consumer("s", "c").ack_floor == 8);
}

TEST_CASE("interest: without consumers everything goes at the sweep, the incomplete block too") {
  shard_fixture world;
  world.start();
  create_interest(world);
  world.publish_many("s", "a", 6);
  CHECK(world.info("s").stats.msg_count == 6);
  world.advance_ms(sweep_ms);
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.info("s").stats.last_seq == 6);
  world.kill();
  world.start();
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.publish("s", "a") == 7);
}

TEST_CASE("interest: deleting the consumer that held them back lets them go at once") {
  shard_fixture world;
  world.start();
  create_interest(world);
  world.consume("s", "slow");
  world.consume("s", "fast");
  world.publish_many("s", "a", 9);
  fetch_and_ack(world, "fast", 9);
  REQUIRE(world.run(world.now->delete_consumer("s", "slow")));
  CHECK(first_live(world) == 9);
  REQUIRE(world.run(world.now->delete_consumer("s", "fast")));
  CHECK(world.info("s").stats.msg_count == 0);
  REQUIRE(world.restart());
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.info("s").stats.last_seq == 9);
}

TEST_CASE("interest: what does not concern a consumer's filter does not wait for it once it looked") {
  shard_fixture world;
  world.start();
  create_interest(world);
  world.consume("s", "c", [](consumer_config& c) { c.filter_subject = "a"; });
  world.publish_many("s", "b", 8);
  world.advance_ms(sweep_ms);
  CHECK(first_live(world) == 1);  // nobody has looked at them yet
  CHECK(world.fetch("s", "c").empty());
  world.advance_ms(sweep_ms);
  CHECK(world.info("s").stats.msg_count == 0);
  REQUIRE(world.restart());
  CHECK(world.publish("s", "a") == 9);
  CHECK(world.fetch("s", "c") == shown{"9"});
}

TEST_CASE("interest: a message that is pending holds its block, across a kill") {
  shard_fixture world;
  world.start();
  create_interest(world);
  world.consume("s", "c");
  world.publish_many("s", "a", 8);
  CHECK(world.fetch("s", "c").size() == 8);
  for (uint64_t seq = 1; seq <= 8; ++seq) {
    if (seq != 3) world.ack("s", "c", seq);
  }
  world.advance_ms(sweep_ms);
  CHECK(first_live(world) == 1);
  world.kill();
  world.start();
  world.advance_ms(sweep_ms);
  CHECK(first_live(world) == 1);
  world.ack("s", "c", 3);
  world.advance_ms(sweep_ms);
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.consumer("s", "c").ack_floor == 8);
}

TEST_CASE("interest: a late consumer begins with what is left, and one that starts ahead holds nothing below") {
  shard_fixture world;
  world.start();
  create_interest(world);
  world.consume("s", "first");
  world.publish_many("s", "a", 8);
  fetch_and_ack(world, "first", 8);
  world.consume("s", "ahead", [](consumer_config& c) {
    c.policy = delivery_policy::by_start_seq;
    c.start_seq = 100;
  });
  world.advance_ms(sweep_ms);
  CHECK(world.info("s").stats.msg_count == 0);
  world.consume("s", "late");
  world.publish_many("s", "a", 4);
  CHECK(world.fetch("s", "late") == shown{"9", "10", "11", "12"});
}

TEST_CASE("interest: in an ephemeral stream too; on a failed disk nothing goes") {
  shard_fixture world;
  world.start();
  world.create("e", [](stream_config& c) {
    c.policy = retention_policy::interest;
    c.ephemeral = true;
  });
  world.publish_many("e", "a", 3);
  create_interest(world);
  world.consume("s", "c");
  world.publish_many("s", "a", 4);
  world.advance_ms(sweep_ms);
  CHECK(world.info("e").stats.msg_count == 0);
  fetch_and_ack(world, "c", 4);
  world.disk().fail(sim_disk::op::change, 1, true);
  CHECK_FALSE(world.try_publish("s", "a"));
  world.advance_ms(sweep_ms);
  CHECK(world.info("s").stats.msg_count == 4);
  world.crash(1);
  world.start();
  const uint64_t in_doubt = world.info("s").stats.msg_count - 4;  // what was being written may be there
  CHECK(in_doubt <= 1);
  world.advance_ms(sweep_ms);
  CHECK(world.info("s").stats.msg_count == in_doubt);
}

}  // namespace
}  // namespace weir
