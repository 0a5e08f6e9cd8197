// discard_new: a stream that refuses what would exceed its bounds instead of dropping the oldest.
#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

void check_full(const result<published>& placed, const std::string& said) {
  REQUIRE_FALSE(placed);
  CHECK(placed.err().code == errc::stream_full);
  CHECK_MESSAGE(placed.err().message.find(said) != std::string::npos, placed.err().message);
}

TEST_CASE("discard_new: at max_msgs a publish is refused, nothing is dropped, and a deletion makes room") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 3;
    c.limits.strict = true;
    c.discard_new = true;
  });
  world.publish_many("s", "a", 3);
  check_full(world.try_publish("s", "a"), "max_msgs");
  CHECK(world.info("s").stats.first_block == 0);
  CHECK(world.info("s").stats.msg_count == 3);
  CHECK(*world.run(world.now->delete_message("s", seq_no(2))));
  CHECK(world.publish("s", "a") == 4);
  check_full(world.try_publish("s", "a"), "max_msgs");
  REQUIRE(world.restart());
  check_full(world.try_publish("s", "a"), "max_msgs");
  world.kill();
  world.start();
  check_full(world.try_publish("s", "a"), "max_msgs");
  CHECK(world.info("s").stats.msg_count == 3);
}

TEST_CASE("discard_new: by bytes exactly up to the bound, and ages go on") {
  shard_fixture world;
  world.start();
  world.create("sizes");
  world.publish("sizes", "a", std::string(100, 'x'));
  const uint64_t one = world.info("sizes").stats.bytes;
  stream_config config;
  config.name = "s";
  config.limits.max_bytes = 3 * one;
  config.limits.max_age_ms = 60'000;
  config.limits.strict = true;
  config.discard_new = true;
  REQUIRE(world.run(world.now->create_stream(config)));
  for (int i = 0; i < 3; ++i) world.publish("s", "a", std::string(100, 'x'));
  check_full(world.try_publish("s", "a", "x"), "max_bytes");
  CHECK(world.info("s").stats.bytes == 3 * one);
  world.advance_ms(70'000);
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.publish("s", "a", std::string(100, 'x')) == 4);
}

TEST_CASE("discard_new: with a subject cap the subject's oldest makes room for the new, if that is enough") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 2;
    c.max_msgs_per_subject = 1;
    c.discard_new = true;
  });
  world.publish_many("s", "a", 1);
  world.publish_many("s", "b", 1);
  check_full(world.try_publish("s", "c"), "max_msgs");
  CHECK(world.publish("s", "a", "again") == 3);
  CHECK(world.latest("s", "a") == "again");
  CHECK(world.info("s").stats.msg_count == 2);
}

TEST_CASE("discard_new: by bytes with a subject cap, also when the size of what goes must be read from a block") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_bytes = 1000;
    c.max_msgs_per_subject = 2;
    c.discard_new = true;
  });
  world.publish("s", "a", std::string(400, 'x'));
  world.publish("s", "a", std::string(400, 'y'));
  REQUIRE(world.restart());
  check_full(world.try_publish("s", "b", std::string(400, 'z')), "max_bytes");
  CHECK(world.publish("s", "a", std::string(400, 'z')) == 3);
  check_full(world.try_publish("s", "a", std::string(800, 'z')), "max_bytes");
  CHECK(world.info("s").stats.msg_count == 2);
}

TEST_CASE("discard_new_per_subject: the subject at its cap is refused, others are not, and interior deletes count") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.max_msgs_per_subject = 2;
    c.discard_new = true;
    c.discard_new_per_subject = true;
  });
  for (const char* subject : {"a", "b", "a"}) world.publish("s", subject);
  check_full(world.try_publish("s", "a"), "max_msgs_per_subject");
  CHECK(world.publish("s", "b") == 4);
  REQUIRE(world.restart());
  check_full(world.try_publish("s", "a"), "max_msgs_per_subject");
  CHECK(*world.run(world.now->delete_message("s", seq_no(3))));
  REQUIRE(world.restart());
  CHECK(world.publish("s", "a") == 5);
  check_full(world.try_publish("s", "a"), "max_msgs_per_subject");
}

TEST_CASE("discard_new: a wrong revision is told before a full stream") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 1;
    c.discard_new = true;
  });
  world.publish("s", "a");
  CHECK(world.try_publish("s", "a", "", 0).err().code == errc::wrong_revision);
  CHECK(world.try_publish("s", "a", "", 1).err().code == errc::stream_full);
}

TEST_CASE("discard_new: a stream that is full of what a failed disk never kept says that the disk failed") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 1;
    c.discard_new = true;
  });
  world.disk().fail(sim_disk::op::sync, 1, true);
  started first(world.publish_task("s", "a", "x"));
  started second(world.publish_task("s", "a", "y"));
  world.settle();
  CHECK(first.value().err().code == errc::storage_failed);
  CHECK(second.value().err().code == errc::storage_failed);
  world.crash(3);
  world.start();
  world.publish("s", "a");
}

TEST_CASE("discard_new: an update of the bounds keeps the rule, and one without any bound is refused") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 5;
    c.discard_new = true;
  });
  world.publish_many("s", "a", 5);
  stream_update update;
  update.name = "s";
  update.max_msgs = 2;
  CHECK(world.run(world.now->update_stream(update))->pruned == 0);
  CHECK(world.info("s").stats.msg_count == 5);
  check_full(world.try_publish("s", "a"), "max_msgs");
  update.max_msgs = 0;
  CHECK(world.run(world.now->update_stream(update)).err().code == errc::invalid_config);
}

}  // namespace
}  // namespace weir
