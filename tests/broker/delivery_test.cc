// What workers say of a message: nak, term, in progress, acks of many; and deadlines that pass without a fetch.
#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

void quick(consumer_config& c) {
  c.ack_wait_ms = 1'000;
  c.max_deliver = 2;
}

void nak(shard_fixture& world, uint64_t seq, uint64_t delay_ms = 0) {
  REQUIRE(world.run(world.now->nak("s", "c", seq_no(seq), delay_ms)));
}
uint64_t ack_many(shard_fixture& world, std::vector<uint64_t> seqs, uint64_t up_to = 0) {
  std::vector<seq_no> listed;
  for (const uint64_t seq : seqs) listed.emplace_back(seq);
  auto done = world.run(world.now->ack_many("s", "c", listed, seq_no(up_to)));
  REQUIRE(done);
  return *done;
}

TEST_CASE("nak: without delay a message is due at once, with one after it; the count goes on") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 3);
  CHECK(world.fetch("s", "c") == shown{"1", "2", "3"});
  nak(world, 2);
  CHECK(world.fetch("s", "c") == shown{"2*2"});
  nak(world, 1, 500);
  nak(world, 3, 5'000);
  world.advance_ms(499);
  CHECK(world.fetch("s", "c") == shown{});
  world.advance_ms(1);
  CHECK(world.fetch("s", "c") == shown{"1*2"});
  world.advance_ms(4'500);
  CHECK(world.fetch("s", "c") == shown{"3*2"});
}

TEST_CASE("nak: of what is not pending, held by nobody or done, succeeds and changes nothing") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 2);
  CHECK(world.fetch("s", "c", 1) == shown{"1"});
  world.ack("s", "c", 1);
  nak(world, 1);
  nak(world, 2);
  nak(world, 99, 10);
  REQUIRE(world.run(world.now->term("s", "c", seq_no(1))));
  REQUIRE(world.run(world.now->in_progress("s", "c", seq_no(2))));
  CHECK(world.fetch("s", "c") == shown{"2"});
  const consumer_info info = world.consumer("s", "c");
  CHECK(info.parked == 0);
  CHECK(info.pending == 1);
  CHECK(world.run(world.now->nak("s", "d", seq_no(1), 0)).err().code == errc::no_such_consumer);
  CHECK(world.run(world.now->nak("s", "c", seq_no(1), UINT64_MAX)).err().code == errc::invalid_argument);
}

TEST_CASE("nak: of the last attempt gives the message up at once, delayed when the delay is over") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", quick);
  world.publish_many("s", "a", 2);
  CHECK(world.fetch("s", "c") == shown{"1", "2"});
  nak(world, 1);
  nak(world, 2);
  CHECK(world.fetch("s", "c") == shown{"1*2", "2*2"});
  nak(world, 1);
  nak(world, 2, 300);
  consumer_info info = world.consumer("s", "c");
  CHECK(info.parked == 1);
  CHECK(info.redelivered_dropped == 1);
  CHECK(info.pending == 1);
  CHECK(info.ack_floor == 1);
  world.advance_ms(300);
  info = world.consumer("s", "c");
  CHECK(info.parked == 2);
  CHECK(info.redelivered_dropped == 2);
  CHECK(info.ack_floor == 2);
}

TEST_CASE("in progress: the whole wait begins again, the count stays; a due one is no longer due") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", quick);
  world.publish_many("s", "a", 2);
  CHECK(world.fetch("s", "c") == shown{"1", "2"});
  world.advance_ms(900);
  REQUIRE(world.run(world.now->in_progress("s", "c", seq_no(1))));
  world.advance_ms(100);
  REQUIRE(world.run(world.now->in_progress("s", "c", seq_no(2))));
  CHECK(world.fetch("s", "c") == shown{});
  world.advance_ms(900);
  CHECK(world.fetch("s", "c") == shown{"1*2"});
  world.advance_ms(100);
  CHECK(world.fetch("s", "c") == shown{"2*2"});
}

TEST_CASE("ack many: the listed ones and all that was delivered up to a sequence, each counted once") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 10);
  world.fetch("s", "c", 8);
  CHECK(ack_many(world, {7, 7, 2, 99, 9}, 3) == 4);
  CHECK(ack_many(world, {7, 2}, 3) == 0);
  const consumer_info info = world.consumer("s", "c");
  CHECK(info.ack_floor == 3);
  CHECK(info.pending == 4);
  CHECK(ack_many(world, {}, UINT64_MAX) == 4);
  CHECK(world.consumer("s", "c").ack_floor == 8);
  world.advance_ms(60'000);
  CHECK(world.fetch("s", "c") == shown{"9", "10"});
}

TEST_CASE("ack many: of a filtered consumer touches only what that consumer was given (field notes 2.6)") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.max_msgs_per_subject = 100; });
  world.consume("s", "c", [](consumer_config& c) { c.filter_subject = "a"; });
  world.consume("s", "other");
  for (int i = 0; i < 4; ++i) {
    world.publish("s", "a");
    world.publish("s", "b");
  }
  CHECK(world.fetch("s", "c") == shown{"1", "3", "5", "7"});
  CHECK(world.fetch("s", "other").size() == 8);
  CHECK(ack_many(world, {2, 4}, 8) == 4);
  CHECK(world.info("s").stats.msg_count == 8);
  CHECK(world.consumer("s", "other").pending == 8);
}

TEST_CASE("ack many: thousands at once survive a kill when they were answered") {
  shard_fixture world;
  world.storage.journal.segment_bytes = 1u << 20;
  world.storage.journal.batch_bytes_max = 256u << 10;
  world.start();
  world.create("s");
  world.consume("s", "c");
  for (int i = 0; i < 5'000; ++i) world.publish("s", "a");
  CHECK(world.fetch("s", "c", 10'000).size() == 5'000);
  CHECK(ack_many(world, {4'999}, 4'500) == 4'501);
  world.kill();
  REQUIRE(world.open());
  CHECK(world.consumer("s", "c").ack_floor == 4'500);
  CHECK(world.consumer("s", "c").pending == 499);
  world.advance_ms(60'000);
  CHECK(world.fetch("s", "c", 10'000).size() == 499);
}

TEST_CASE("deadlines: they pass without a fetch, and the journal knows") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) {
    c.ack_wait_ms = 1'000;
    c.max_deliver = 1;
  });
  world.publish_many("s", "a", 3);
  CHECK(world.fetch("s", "c") == shown{"1", "2", "3"});
  world.advance_ms(1'000);
  world.kill();
  REQUIRE(world.open());
  const consumer_info info = world.consumer("s", "c");
  CHECK(info.parked == 3);
  CHECK(info.redelivered_dropped == 3);
  CHECK(info.ack_floor == 3);
  CHECK(world.fetch("s", "c") == shown{});
}

TEST_CASE("deadlines: one timer for each consumer, however many messages are out") {
  shard_fixture world;
  world.start();
  world.create("s");
  const size_t before = world.deadlines.armed();
  world.consume("s", "c");
  world.publish_many("s", "a", 50);
  for (int i = 0; i < 50; ++i) {
    world.fetch("s", "c", 1);
    world.advance_ms(1);
  }
  CHECK(world.deadlines.armed() == before + 1);
  ack_many(world, {}, 50);
  world.advance_ms(60'000);
  CHECK(world.deadlines.armed() == before);
}

}  // namespace
}  // namespace weir
