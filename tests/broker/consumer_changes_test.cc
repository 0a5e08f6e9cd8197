// Changes of a consumer that exists: update, pause, reset, and its end when nobody uses it.
#include "tests/broker/subscription_fixture.h"

namespace weir {
namespace {

consumer_update change() {
  consumer_update update;
  update.stream = "s";
  update.consumer = "c";
  return update;
}
consumer_config updated_to(shard_fixture& world, const consumer_update& update) {
  auto info = world.run(world.now->update_consumer(update));
  REQUIRE(info);
  return info->config;
}
void pause(shard_fixture& world, int64_t ms) {
  const wall_ms until(world.clock.wall().raw() + ms);
  REQUIRE(world.run(world.now->pause_consumer("s", "c", until)));
}
errc reset(shard_fixture& world, reset_target to) {
  auto done = world.run(world.now->reset_consumer("s", "c", to));
  return done ? errc::internal : done.err().code;
}
reset_target to_seq(uint64_t seq) {
  reset_target to;
  to.seq = seq;
  return to;
}

TEST_CASE("update: what is absent stays, the whole is validated like a creation, and it survives a kill") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  consumer_update update = change();
  update.filter_subjects = std::vector<std::string>{"a", "b.*"};
  update.backoff_ms = std::vector<uint64_t>{100, 200};
  CHECK(world.run(world.now->update_consumer(update)).err().code == errc::invalid_config);
  update.ack_wait_ms = 0;
  update.inactive_ms = 60'000;
  const consumer_config after = updated_to(world, update);
  CHECK(after.filter_subjects == std::vector<std::string>{"a", "b.*"});
  CHECK(after.ack_wait_ms == 100);
  CHECK(after.max_deliver == default_max_deliver);
  update = change();
  update.max_ack_pending = 1'000'001;
  CHECK(world.run(world.now->update_consumer(update)).err().code == errc::invalid_config);
  update = change();
  update.consumer = "d";
  CHECK(world.run(world.now->update_consumer(update)).err().code == errc::no_such_consumer);
  CHECK(world.consumer("s", "c").config == after);
  world.kill();
  REQUIRE(world.open());
  CHECK(world.consumer("s", "c").config == after);
}

TEST_CASE("update: other filters count from the cursor on; a lower max_deliver at the next deadline") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) {
    c.filter_subject = "a";
    c.ack_wait_ms = 1'000;
  });
  for (const char* subject : {"a", "b", "a", "b"}) world.publish("s", subject);
  CHECK(world.fetch("s", "c", 1) == shown{"1"});
  subscriber client(world, "s", "c");
  CHECK(client.take() == shown{"3"});
  client.ask();
  consumer_update update = change();
  update.filter_subject = "b";
  update.max_deliver = 1;
  updated_to(world, update);
  world.publish("s", "b");
  CHECK(client.got() == shown{"5"});
  client.sent(1);
  world.advance_ms(1'000);
  CHECK(world.consumer("s", "c").parked == 3);
}

TEST_CASE("update: room for more wakes who waits") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.max_ack_pending = 1; });
  world.publish_many("s", "a", 3);
  subscriber client(world, "s", "c");
  CHECK(client.take() == shown{"1"});
  client.ask();
  world.settle();
  CHECK(client.waits());
  consumer_update update = change();
  update.max_ack_pending = 2;
  updated_to(world, update);
  world.settle();
  CHECK(client.got() == shown{"2"});
}

TEST_CASE("backoff: the n-th delivery waits for the n-th time, the last one repeats") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) {
    c.backoff_ms = {100, 300};
    c.unlimited_deliver = true;
  });
  world.publish("s", "a");
  CHECK(world.fetch("s", "c") == shown{"1"});
  for (const int64_t wait : {100, 300, 300, 300}) {
    world.advance_ms(wait - 1);
    CHECK(world.fetch("s", "c").empty());
    world.advance_ms(1);
    CHECK(world.fetch("s", "c").size() == 1);
  }
  CHECK(world.consumer("s", "c").pending == 1);
}

TEST_CASE("pause: nothing is delivered until it is over, deadlines run on, and it survives a kill") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) {
    c.ack_wait_ms = 1'000;
    c.max_deliver = 2;
  });
  world.publish_many("s", "a", 2);
  CHECK(world.fetch("s", "c", 1) == shown{"1"});
  pause(world, 10'000);
  CHECK(world.consumer("s", "c").blocked == blocked_by::paused);
  CHECK(world.consumer("s", "c").paused_until_ms == world.clock.wall().raw() + 10'000);
  CHECK(world.fetch("s", "c") == shown{});
  subscriber client(world, "s", "c");
  client.ask();
  world.kill();
  REQUIRE(world.open());
  subscriber again(world, "s", "c");
  again.ask();
  world.advance_ms(9'999);
  CHECK(again.waits());
  world.advance_ms(1);
  CHECK(again.got() == shown{"1*2", "2"});
  CHECK(world.consumer("s", "c").paused_until_ms == 0);
}

TEST_CASE("pause: a time that has passed resumes at once; a jump of the wall clock ends no pause") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 2);
  pause(world, 3'600'000);
  subscriber client(world, "s", "c");
  client.ask(1);
  world.clock.set_wall(wall_ms(world.clock.wall().raw() + 24 * 3'600'000));
  world.advance_ms(5'000);
  CHECK(client.waits());
  CHECK(world.consumer("s", "c").blocked == blocked_by::paused);
  REQUIRE(world.run(world.now->pause_consumer("s", "c", wall_ms(1))));
  world.settle();
  CHECK(client.got() == shown{"1"});
}

TEST_CASE("pause: ends by the wall clock that was set, at the next look, or within a second for who waits") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 3);
  pause(world, 600'000);
  world.clock.set_wall(wall_ms(world.clock.wall().raw() + 600'000));
  CHECK(world.fetch("s", "c", 1) == shown{"1"});
  pause(world, 600'000);
  subscriber client(world, "s", "c");
  client.ask(1);
  world.clock.set_wall(wall_ms(world.clock.wall().raw() + 600'000));
  world.advance_ms(1'000);
  CHECK(client.got() == shown{"2"});
  world.ack("s", "c", 1);
  world.ack("s", "c", 2);
  pause(world, 1'000);
  client.ask(1);
  world.clock.set_wall(wall_ms(world.clock.wall().raw() - 600'000));
  world.advance_ms(600'999);
  CHECK(client.waits());
  world.advance_ms(1);
  CHECK(client.got() == shown{"3"});
}

TEST_CASE("pause: its time passes while the wall clock is not to be trusted too, and it can be asked for then") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 2);
  const wall_ms before = world.clock.wall();
  pause(world, 10'000);
  world.clock.set_wall(wall_ms(before.raw() - 24 * 3'600'000));
  world.advance_ms(9'999);
  CHECK(world.fetch("s", "c", 1) == shown{});
  world.advance_ms(1);
  CHECK(world.fetch("s", "c", 1) == shown{"1"});
  world.clock.set_wall(wall_ms(before.raw() + 24 * 3'600'000));
  REQUIRE(world.run(world.now->pause_consumer("s", "c", wall_ms(before.raw() + 30'000))));
  subscriber client(world, "s", "c");
  client.ask();
  world.advance_ms(19'999);
  CHECK(client.waits());
  world.advance_ms(1);
  CHECK(client.got() == shown{"2"});
}

TEST_CASE("pause: one that ended does not begin again when the wall clock goes back, after a restart neither") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  pause(world, 5'000);
  world.advance_ms(5'000);
  world.clock.set_wall(wall_ms(world.clock.wall().raw() - 600'000));
  world.publish_many("s", "a", 2);
  CHECK(world.consumer("s", "c").paused_until_ms == 0);
  CHECK(world.fetch("s", "c", 1) == shown{"1"});
  world.kill();
  REQUIRE(world.open());
  CHECK(world.consumer("s", "c").paused_until_ms == 0);
  CHECK(world.fetch("s", "c", 1) == shown{"2"});
}

TEST_CASE("reset: goes back or forth, forgets what was pending and parked, and attempts begin at 1") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 3);
  world.advance_ms(1'000);
  const int64_t later = world.clock.wall().raw();
  world.publish_many("s", "a", 2);
  world.fetch("s", "c");
  REQUIRE(world.run(world.now->term("s", "c", seq_no(2))));
  world.ack("s", "c", 1);
  CHECK(reset(world, to_seq(7)) == errc::invalid_argument);
  CHECK(reset(world, reset_target()) == errc::invalid_argument);
  CHECK(world.consumer("s", "c").ack_floor == 2);
  CHECK(reset(world, to_seq(1)) == errc::internal);
  consumer_info info = world.consumer("s", "c");
  CHECK(info.ack_floor == 0);
  CHECK(info.pending == 0);
  CHECK(info.parked == 0);
  world.kill();
  REQUIRE(world.open());
  CHECK(world.consumer("s", "c").ack_floor == 0);
  CHECK(world.fetch("s", "c") == shown{"1", "2", "3", "4", "5"});
  reset_target to;
  to.time = wall_ms(later);
  CHECK(reset(world, to) == errc::internal);
  CHECK(world.consumer("s", "c").ack_floor == 3);
  CHECK(world.fetch("s", "c") == shown{"4", "5"});
  CHECK(reset(world, to_seq(6)) == errc::internal);
  CHECK(world.fetch("s", "c") == shown{});
  CHECK(world.consumer("s", "c").ack_floor == 5);
}

TEST_CASE("reset: wakes who waits, and what was in hand before it is nobody's any more") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  world.publish_many("s", "a", 2);
  subscriber old(world, "s", "c");
  subscriber fresh(world, "s", "c");
  old.ask();
  CHECK(old.got() == shown{"1", "2"});
  fresh.ask();
  CHECK(reset(world, to_seq(1)) == errc::internal);
  CHECK(fresh.got() == shown{"1", "2"});
  old.sent(2);
  old.end();
  world.advance_ms(5'000);
  CHECK(world.fetch("s", "c") == shown{});
  fresh.sent(2);
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{"1*2", "2*2"});
}

TEST_CASE("unused: a consumer that nobody uses goes, one that is used or subscribed to stays") {
  shard_fixture world;
  world.start();
  world.create("s");
  for (const char* name : {"idle", "fetched", "subscribed", "for-ever"}) {
    world.consume("s", name, [](consumer_config& c) { c.inactive_ms = 5'000; });
  }
  consumer_update update = change();
  update.consumer = "for-ever";
  update.inactive_ms = 0;
  updated_to(world, update);
  subscriber client(world, "s", "subscribed");
  client.ask();
  world.advance_ms(4'999);
  world.fetch("s", "fetched");
  world.advance_ms(1);
  CHECK(world.run(world.now->get_consumer("s", "idle")).err().code == errc::no_such_consumer);
  CHECK(world.events.all.back().kind == watch_kind::consumer_deleted);
  CHECK(world.events.all.back().consumer == "idle");
  world.advance_ms(4'999);
  CHECK(world.run(world.now->list_consumers("s"))->size() == 2);
  client.end();
  world.settle();
  world.kill();
  REQUIRE(world.open());
  CHECK(world.run(world.now->list_consumers("s"))->size() == 2);
  world.advance_ms(4'999);
  CHECK(world.run(world.now->list_consumers("s"))->size() == 2);
  world.advance_ms(1);
  CHECK(world.run(world.now->list_consumers("s"))->size() == 1);
}

TEST_CASE("unused: a refused request is a use too, a list is none") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.inactive_ms = 5'000; });
  consumer_update update = change();
  update.max_ack_pending = 1'000'001;
  world.advance_ms(4'000);
  CHECK(world.run(world.now->update_consumer(update)).err().code == errc::invalid_config);
  world.advance_ms(4'000);
  CHECK(reset(world, to_seq(7)) == errc::invalid_argument);
  world.advance_ms(4'999);
  CHECK(world.run(world.now->list_consumers("s"))->size() == 1);
  CHECK(world.run(world.now->list_parked("s", "c", seq_no(), 10)));
  world.advance_ms(1);
  CHECK(world.run(world.now->list_consumers("s"))->empty());
}

TEST_CASE("unused: the shard may stop while a consumer is on its way out") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.policy = retention_policy::interest; });
  world.consume("s", "c", [](consumer_config& c) { c.inactive_ms = 1'000; });
  world.publish_many("s", "a", 3);
  world.advance_time_ms(1'000);
  REQUIRE(world.restart());
  CHECK(world.run(world.now->list_consumers("s"))->empty());
}

}  // namespace
}  // namespace weir
