// ttl_ms: a message that goes by itself.
#include "tests/broker/special_publish.h"
#include "tests/broker/subscription_fixture.h"

namespace weir {
namespace {

uint64_t publish_ttl(shard_fixture& world, uint64_t ttl_ms, const std::string& subject = "a") {
  special what;
  what.ttl_ms = ttl_ms;
  auto placed = publish_special(world, "s", subject, what);
  REQUIRE(placed);
  return placed->seq.raw();
}

TEST_CASE("ttl: a message goes when its time is over, in whatever order, and others stay") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_ttl(world, 5'000);
  publish_ttl(world, 1'000);
  world.publish("s", "a");
  publish_ttl(world, 3'000);
  world.advance_ms(999);
  CHECK(live(world, "s") == seqs{1, 2, 3, 4});
  world.advance_ms(1);
  CHECK(live(world, "s") == seqs{1, 3, 4});
  world.advance_ms(2'500);
  CHECK(live(world, "s") == seqs{1, 3});
  world.advance_ms(60'000);
  CHECK(live(world, "s") == seqs{3});
}

TEST_CASE("ttl: counts from the append, not from ts_ms") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_request request = request_of("s", "a", special{"", 2'000, 0, "", std::nullopt});
  request.ts_ms = 1;
  REQUIRE(world.run(world.now->publish(request)));
  world.advance_ms(1'999);
  CHECK(live(world, "s") == seqs{1});
  world.advance_ms(1);
  CHECK(live(world, "s").empty());
}

TEST_CASE("ttl: survives restarts and kills, and what expired meanwhile is gone at the first look") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_ttl(world, 5'000);
  world.kill();
  world.start();
  publish_ttl(world, 8'000);
  REQUIRE(world.restart());
  world.advance_ms(4'999);
  CHECK(live(world, "s") == seqs{1, 2});
  world.kill();
  world.clock.advance_ms(1);
  world.start();
  CHECK(live(world, "s") == seqs{2});
  REQUIRE(world.restart());
  world.clock.advance_ms(10'000);
  world.kill();
  world.start();
  CHECK(live(world, "s").empty());
  CHECK(world.info("s").stats.last_seq == 2);
  CHECK(publish_ttl(world, 0) == 3);
}

TEST_CASE("ttl: an expired message leaves the consumers' pending sets, and the floor moves on") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  publish_ttl(world, 1'000);
  world.publish("s", "a");
  CHECK(world.fetch("s", "c").size() == 2);
  world.ack("s", "c", 2);
  CHECK(world.consumer("s", "c").ack_floor == 0);
  world.advance_ms(1'000);
  CHECK(world.consumer("s", "c").pending == 0);
  CHECK(world.consumer("s", "c").ack_floor == 2);
  world.kill();
  world.start();
  CHECK(world.consumer("s", "c").ack_floor == 2);
}

TEST_CASE("ttl: what outlived it is not delivered, however late the alarm is") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  publish_ttl(world, 1'000);
  world.publish("s", "a");
  publish_ttl(world, 2'000);
  world.clock.advance_ms(1'000);  // and no timer has run
  CHECK(world.fetch("s", "c") == shown{"2", "3"});
  CHECK(live(world, "s") == seqs{2, 3});
  REQUIRE(world.run(world.now->nak("s", "c", seq_no(3), 0)));
  world.clock.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{});
  CHECK(world.consumer("s", "c").pending == 1);
}

TEST_CASE("ttl: when it ends with a pause in one instant, who waits gets only what is left") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  const int64_t until = world.clock.wall().raw() + 5'000;
  REQUIRE(world.run(world.now->pause_consumer("s", "c", wall_ms(until))));
  publish_ttl(world, 5'000);
  world.publish("s", "a");
  subscriber waiting(world, "s", "c");
  waiting.ask();
  world.advance_ms(10);
  CHECK(waiting.waits());
  world.clock.set_wall(wall_ms(until));
  world.advance_ms(990);  // the tick finds both
  CHECK(waiting.got() == shown{"2"});
}

TEST_CASE("ttl: a wall clock that jumps expires nothing early, in neither direction") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_ttl(world, 60'000);
  const wall_ms before = world.clock.wall();
  world.clock.set_wall(wall_ms(before.raw() + 86'400'000));
  for (int i = 0; i < 10; ++i) world.advance_ms(1'000);
  CHECK(live(world, "s") == seqs{1});
  world.clock.set_wall(wall_ms(before.raw() - 86'400'000));
  publish_ttl(world, 60'000);
  world.advance_ms(1'000);
  world.clock.set_wall(wall_ms(before.raw() + 11'000));
  world.advance_ms(48'999);
  CHECK(live(world, "s") == seqs{1, 2});
  world.advance_ms(1);
  CHECK(live(world, "s") == seqs{2});
  world.advance_ms(10'000);
  CHECK(live(world, "s").empty());
}

TEST_CASE("ttl: thousands at once, settled and not, with removals by other rules between") {
  shard_fixture world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 16u << 10;
  world.start();
  world.create("s", [](stream_config& c) { c.max_msgs_per_subject = 100; });
  for (int i = 0; i < 3'000; ++i) publish_ttl(world, i % 3 == 0 ? 0 : 10'000, "s" + std::to_string(i % 40));
  REQUIRE(world.restart());
  for (uint64_t seq = 1; seq <= 3'000; seq += 10) REQUIRE(world.run(world.now->delete_message("s", seq_no(seq))));
  world.advance_ms(9'999);
  CHECK(world.info("s").stats.msg_count == 2'700);
  world.advance_ms(1);
  uint64_t expected = 0;
  for (uint64_t i = 0; i < 3'000; ++i) expected += i % 3 == 0 && i % 10 != 0 ? 1u : 0u;
  CHECK(world.info("s").stats.msg_count == expected);
  world.kill();
  world.start();
  CHECK(world.info("s").stats.msg_count == expected);
}

TEST_CASE("ttl: in an ephemeral stream too, and the longest is a hundred years") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.ephemeral = true; });
  publish_ttl(world, 1'000);
  world.advance_ms(1'000);
  CHECK(world.info("s").stats.msg_count == 0);
  special what;
  what.ttl_ms = duration_ms_max + 1;
  CHECK(told(publish_special(world, "s", "a", what)) == "invalid_argument");
  what.ttl_ms = duration_ms_max;
  CHECK(told(publish_special(world, "s", "a", what)) == "2");
}

TEST_CASE("ttl: while the disk fails nothing expires, and after the restart it does") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_ttl(world, 1'000);
  world.disk().fail(sim_disk::op::sync, 1, true);
  CHECK(told(publish_special(world, "s", "a", special{"", 1'000, 0, "", std::nullopt})) == "storage_failed");
  world.advance_ms(2'000);
  CHECK(world.info("s").stats.msg_count == 1);
  world.crash(2);
  world.start();
  CHECK(world.info("s").stats.msg_count == 0);
}

TEST_CASE("ttl: a deleted stream's messages expire no more, and its name can be used again") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_ttl(world, 1'000);
  REQUIRE(world.run(world.now->delete_stream("s")));
  world.create("s");
  world.publish("s", "a");
  world.advance_ms(5'000);
  CHECK(world.info("s").stats.msg_count == 1);
}

}  // namespace
}  // namespace weir
