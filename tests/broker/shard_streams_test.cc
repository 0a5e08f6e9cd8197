// Streams as a whole: creation, races, update, deletion, limits, what survives a restart.
#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

TEST_CASE("streams: a new stream answers with its effective config and empty stats") {
  shard_fixture world;
  world.start();
  const stream_info made = world.create("orders");
  CHECK(made.config.block_size == default_block_size);
  CHECK(made.config.level == durability::fsync);
  CHECK(made.stats.last_seq == 0);
  CHECK(made.stats.block_count == 0);
  CHECK(made.stats.first_block == 0);
  CHECK(world.info("orders").config == made.config);
}

TEST_CASE("streams: of two racing creates exactly one succeeds, and the other hears it when that is certain") {
  shard_fixture world;
  world.start();
  stream_config config;
  config.name = "s";
  started first(world.now->create_stream(config));
  started second(world.now->create_stream(config));
  started gone(world.now->get_stream("never"));
  CHECK_FALSE(first.done());
  CHECK_FALSE(second.done());
  world.settle();
  CHECK(first.value());
  CHECK(second.value().err().code == errc::already_exists);
  CHECK(gone.value().err().code == errc::no_such_stream);
}

TEST_CASE("streams: a create that fails with its disk does not tell the racing one that the stream exists") {
  shard_fixture world;
  world.start();
  world.disk().fail(sim_disk::op::sync, 1, true);
  stream_config config;
  config.name = "s";
  started first(world.now->create_stream(config));
  started second(world.now->create_stream(config));
  world.settle();
  CHECK(first.value().err().code == errc::storage_failed);
  CHECK(second.value().err().code == errc::storage_failed);
}

TEST_CASE("streams: the absence of a stream is told only when its deletion is durable") {
  shard_fixture world;
  world.start();
  world.create("s");
  started deleting(world.now->delete_stream("s"));
  started asking(world.now->get_stream("s"));
  started publishing(world.publish_task("s", "a", "x"));
  CHECK_FALSE(asking.done());
  CHECK_FALSE(publishing.done());
  world.settle();
  CHECK(deleting.value());
  CHECK(asking.value().err().code == errc::no_such_stream);
  CHECK(publishing.value().err().code == errc::no_such_stream);
}

TEST_CASE("streams: a name can be used again at once, the new stream begins empty") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish_many("s", "a", 5);
  world.consume("s", "c");
  started deleting(world.now->delete_stream("s"));
  stream_config config;
  config.name = "s";
  started again(world.now->create_stream(config));
  world.settle();
  CHECK(deleting.value());
  CHECK(again.value());
  CHECK(world.info("s").stats.last_seq == 0);
  CHECK(world.run(world.now->list_consumers("s"))->empty());
  CHECK(world.publish("s", "a") == 1);
  REQUIRE(world.restart());
  CHECK(world.info("s").stats.last_seq == 1);
}

TEST_CASE("streams: the list is sorted and holds no deleted stream") {
  shard_fixture world;
  world.start();
  for (const char* name : {"b", "a", "obj:x", "Z"}) world.create(name);
  CHECK(world.run(world.now->delete_stream("b")));
  CHECK(*world.run(world.now->list_streams()) == std::vector<std::string>{"Z", "a", "obj:x"});
}

TEST_CASE("streams: bad input is refused by field, and nothing changes") {
  shard_fixture world;
  world.start();
  stream_config config;
  for (const std::string& name : {std::string(), std::string("a/b"), std::string(".."), std::string("\xff"),
                                  std::string(300, 'x'), std::string("a\nb")}) {
    config.name = name;
    const auto made = world.run(world.now->create_stream(config));
    CHECK(made.err().code == errc::invalid_config);
    CHECK(world.run(world.now->get_stream(name)).err().code == errc::no_such_stream);
    CHECK(world.run(world.now->delete_stream(name)).err().code == errc::no_such_stream);
    CHECK(world.try_publish(name, "a").err().code == errc::no_such_stream);
    CHECK(world.run(world.now->fetch(name, "c", 1)).err().code == errc::no_such_stream);
    CHECK(world.run(world.now->list_consumers(name)).err().code == errc::no_such_stream);
  }
  stream_update update;
  update.name = "unknown";
  CHECK(world.run(world.now->update_stream(update)).err().code == errc::no_such_stream);
  CHECK(world.run(world.now->list_streams())->empty());
}

TEST_CASE("streams: more than streams_max is refused by name of the limit") {
  shard_fixture world;
  world.limits.streams_max = 2;
  world.start();
  world.create("a");
  world.create("b");
  stream_config config;
  config.name = "c";
  const auto made = world.run(world.now->create_stream(config));
  CHECK(made.err().code == errc::resource_exhausted);
  CHECK(made.err().message.find("streams_max") != std::string::npos);
  CHECK(world.run(world.now->delete_stream("a")));
  CHECK(world.run(world.now->create_stream(config)));
}

TEST_CASE("streams: lowering a bound prunes at once and says how many went") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.limits.strict = true; });
  world.publish_many("s", "a", 10);
  stream_update update;
  update.name = "s";
  update.max_msgs = 4;
  auto done = world.run(world.now->update_stream(update));
  REQUIRE(done);
  CHECK(done->pruned == 6);
  CHECK(done->config.limits.max_msgs == 4);
  CHECK(world.info("s").stats.msg_count == 4);
  update.max_msgs = 0;
  done = world.run(world.now->update_stream(update));
  REQUIRE(done);
  CHECK(done->pruned == 0);
  CHECK_FALSE(done->config.limits.max_msgs.has_value());
  world.publish_many("s", "a", 10);
  CHECK(world.info("s").stats.msg_count == 14);
  REQUIRE(world.restart());
  CHECK(world.info("s").stats.msg_count == 14);
  CHECK_FALSE(world.info("s").config.limits.max_msgs.has_value());
}

TEST_CASE("streams: configs, messages and counters survive a clean restart") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.subjects_filter = {"a.*"};
    c.limits.max_msgs = 50;
    c.block_size = 3;
    c.metadata["team"] = "x";
    c.level = durability::written;
  });
  const stream_info before = world.info("s");
  world.publish_many("s", "a.b", 7);
  const stream_info filled = world.info("s");
  REQUIRE(world.restart());
  CHECK(world.info("s").config == before.config);
  CHECK(world.info("s").stats.bytes == filled.stats.bytes);
  CHECK(world.info("s").stats.block_count == 3);
  CHECK(world.latest("s", "a.b") == "m6");
  CHECK(world.publish("s", "a.b") == 8);
}

TEST_CASE("streams: an ephemeral stream needs no disk and is gone after a restart") {
  shard_fixture world;
  world.start();
  world.create("e", [](stream_config& c) { c.ephemeral = true; });
  world.consume("e", "c");
  world.disk().fail(sim_disk::op::change, 1, true);
  CHECK(world.publish("e", "a", "x") == 1);
  CHECK(world.fetch("e", "c") == shown{"1"});
  world.ack("e", "c", 1);
  CHECK(world.consumer("e", "c").ack_floor == 1);
  CHECK(world.info("e").config.level == durability::memory);
  world.disk().heal();
  REQUIRE(world.restart());
  CHECK(world.run(world.now->list_streams())->empty());
}

TEST_CASE("streams: watchers hear of every change once it is durable, not before, and not of what failed") {
  shard_fixture world;
  world.start();
  stream_config config;
  config.name = "s";
  started creating(world.now->create_stream(config));
  CHECK(world.events.all.empty());
  world.settle();
  world.consume("s", "c");
  stream_update update;
  update.name = "s";
  REQUIRE(world.run(world.now->update_stream(update)));
  REQUIRE(world.run(world.now->delete_consumer("s", "c")));
  REQUIRE(world.run(world.now->delete_stream("s")));
  world.disk().fail(sim_disk::op::sync, 1, true);
  CHECK_FALSE(world.run(world.now->create_stream(config)));
  const std::vector<watch_kind> kinds = {watch_kind::stream_created, watch_kind::consumer_created,
                                         watch_kind::stream_updated, watch_kind::consumer_deleted,
                                         watch_kind::stream_deleted};
  REQUIRE(world.events.all.size() == kinds.size());
  for (size_t i = 0; i < kinds.size(); ++i) {
    CHECK(world.events.all[i].kind == kinds[i]);
    CHECK(world.events.all[i].stream == "s");
    CHECK(world.events.all[i].time == world.clock.wall());
  }
  CHECK(world.events.all[1].consumer == "c");
}

TEST_CASE("streams: while stopping every request is refused, and those under way end first") {
  shard_fixture world;
  world.start();
  world.create("s");
  started publishing(world.publish_task("s", "a", "x"));
  started stopping(world.now->stop());
  CHECK_FALSE(stopping.done());
  CHECK(world.try_publish("s", "a").err().code == errc::unavailable);
  CHECK(publishing.value());
  CHECK(stopping.done());
  CHECK(stopping.value());
  world.now.reset();
  REQUIRE(world.open());
  CHECK(world.info("s").stats.last_seq == 1);
}

}  // namespace
}  // namespace weir
