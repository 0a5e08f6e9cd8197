// Limits retention through the shard: strict and by block, by count, bytes and age.
#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

constexpr int64_t minute_ms = 60'000;

void check_blocks(shard_fixture& world, uint64_t first_block, uint64_t block_count, uint64_t messages) {
  const stream_stats stats = world.info("s").stats;
  CHECK(stats.first_block == first_block);
  CHECK(stats.block_count == block_count);
  CHECK(stats.msg_count == messages);
}

TEST_CASE("retention by block: whole blocks go, and never more than leaves max_msgs") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.block_size = 4;
    c.limits.max_msgs = 6;
  });
  world.publish_many("s", "a", 9);
  check_blocks(world, 0, 3, 9);
  world.publish("s", "a");  // ten: without the first block six are left
  check_blocks(world, 1, 2, 6);
  world.publish_many("s", "a", 3);
  check_blocks(world, 1, 3, 9);
  world.publish("s", "a");
  check_blocks(world, 2, 2, 6);
}

TEST_CASE("retention: a deadline that passes with the sweep is counted before the message goes") {
  shard_fixture world;
  world.limits.retention_sweep_ms = 5'000;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.strict = true;
    c.limits.max_age_ms = 4'000;
  });
  world.consume("s", "c", [](consumer_config& c) {
    c.ack_wait_ms = 5'000;
    c.max_deliver = 1;
  });
  world.publish("s", "a");
  CHECK(world.fetch("s", "c") == std::vector<std::string>{"1"});
  world.advance_ms(5'000);
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.consumer("s", "c").redelivered_dropped == 1);
}

TEST_CASE("retention by block: a sweep looks at ages though another bound is looked at just then") {
  shard_fixture world;
  world.limits.retention_sweep_ms = 5'000;
  world.start();
  world.create("s", [](stream_config& c) {
    c.block_size = 2;
    c.limits.max_bytes = 2'000;
    c.limits.max_age_ms = 7'000;
  });
  const std::string payload(1'000, 'x');
  world.publish("s", "a", payload);
  world.publish("s", "a", payload);
  world.advance_ms(3'000);
  REQUIRE(world.restart());  // so that what the bound asks for must be read; sweeps come 5 s and 10 s later
  world.advance_ms(4'990);
  publish_request third;
  third.stream = "s";
  third.subject = "a";
  third.payload = as_bytes(payload);
  started<result<published>> publishing(world.now->publish(third));
  world.advance_time_ms(10);
  world.settle();
  REQUIRE(publishing.done());
  CHECK(world.info("s").stats.msg_count == 1);
}

TEST_CASE("retention by block: by bytes, and the block of the last message stays however small the bound") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.block_size = 2;
    c.limits.max_bytes = 1;
  });
  world.publish_many("s", "a", 2);
  check_blocks(world, 0, 1, 2);
  world.publish("s", "a");
  check_blocks(world, 1, 1, 1);
}

TEST_CASE("retention by block: a block goes by age only when its newest message is too old") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.block_size = 2;
    c.limits.max_age_ms = 10 * minute_ms;
  });
  world.publish("s", "a");
  world.advance_ms(9 * minute_ms);
  world.publish_many("s", "a", 2);
  world.advance_ms(2 * minute_ms);
  check_blocks(world, 0, 2, 3);
  world.advance_ms(9 * minute_ms);
  check_blocks(world, 1, 1, 1);
  world.advance_ms(60 * minute_ms);
  check_blocks(world, 1, 1, 1);
}

TEST_CASE("retention, strict: exactly the newest max_msgs, also over holes that a subject cap made") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 3;
    c.limits.strict = true;
    c.max_msgs_per_subject = 1;
  });
  for (const char* subject : {"a", "b", "a", "c", "d", "b", "e"}) world.publish("s", subject);
  CHECK(*world.run(world.now->list_subjects("s", "")) == shown{"b", "d", "e"});
  CHECK(world.info("s").stats.msg_count == 3);
}

TEST_CASE("retention, strict: bytes hold when the publish is answered, and a message that cannot fit is refused") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_bytes = 1000;
    c.limits.strict = true;
  });
  for (int i = 0; i < 200; ++i) {
    world.publish("s", "a", std::string(static_cast<size_t>(i), 'x'));
    CHECK(world.info("s").stats.bytes <= 1000);
  }
  CHECK(world.info("s").stats.msg_count >= 3);
  const auto whale = world.try_publish("s", "a", std::string(1000, 'x'));
  CHECK(whale.err().code == errc::oversize);
  CHECK(whale.err().message.find("max_bytes") != std::string::npos);
}

TEST_CASE("retention, strict: messages expire one by one, and only by sweeps") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_age_ms = 10'000;
    c.limits.strict = true;
  });
  for (int i = 0; i < 10; ++i) {
    world.publish("s", "a");
    world.advance_ms(5'000);
  }
  CHECK(world.info("s").stats.msg_count == 2);
  world.advance_ms(100'000);
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.info("s").stats.last_seq == 10);
  REQUIRE(world.restart());
  CHECK(world.info("s").stats.last_seq == 10);
  CHECK(world.publish("s", "a") == 11);
}

TEST_CASE("retention: a wall clock that jumps a day expires nothing, and expiry goes on when it is back") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_age_ms = 600'000;
    c.limits.strict = true;
  });
  world.publish_many("s", "a", 5);
  const wall_ms before = world.clock.wall();
  world.clock.set_wall(wall_ms(before.raw() + 24 * 60 * minute_ms));
  for (int i = 0; i < 20; ++i) world.advance_ms(5'000);
  CHECK(world.info("s").stats.msg_count == 5);
  stream_update update;
  update.name = "s";
  update.max_age_ms = 500'000;
  CHECK(world.run(world.now->update_stream(update))->pruned == 0);
  world.clock.set_wall(wall_ms(before.raw() + 100'000));
  world.advance_ms(5'000);
  CHECK(world.info("s").stats.msg_count == 5);
  world.advance_ms(10 * minute_ms);
  CHECK(world.info("s").stats.msg_count == 0);
}

TEST_CASE("retention: limits hold over what was settled to blocks and loaded after a restart") {
  shard_fixture world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 16u << 10;
  world.start();
  world.create("s", [](stream_config& c) { c.block_size = 50; });
  const std::string payload(200, 'x');
  for (int i = 0; i < 1000; ++i) world.publish("s", "a", payload);
  REQUIRE(world.restart());
  stream_update update;
  update.name = "s";
  update.max_msgs = 420;
  CHECK(world.run(world.now->update_stream(update))->pruned == 550);
  check_blocks(world, 11, 9, 450);
  update.strict_limits = true;
  CHECK(world.run(world.now->update_stream(update))->pruned == 30);
  update.max_msgs = 0;
  update.max_bytes = world.info("s").stats.bytes / 2;
  const auto halved = world.run(world.now->update_stream(update));
  CHECK(halved->pruned == 210);
  REQUIRE(world.restart());
  CHECK(world.info("s").stats.msg_count == 210);
  CHECK(world.run(world.now->scan_subject({"s", "a", 0, 1}))->records[0].seq == seq_no(791));
}

}  // namespace
}  // namespace weir
