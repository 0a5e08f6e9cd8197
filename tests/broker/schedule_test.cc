// deliver_at_ms: messages that are accepted now and become messages later.
#include <random>

#include "broker/schedule.h"
#include "tests/broker/special_publish.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

std::string publish_in(shard_fixture& world, int64_t ms, const std::string& payload = "", const std::string& id = "",
                       uint64_t ttl_ms = 0, const std::string& subject = "a") {
  special what;
  what.id = id;
  what.ttl_ms = ttl_ms;
  what.deliver_at_ms = world.clock.wall().raw() + ms;
  what.payload = payload;
  return told(publish_special(world, "s", subject, what));
}

// The payloads of the live messages, in order.
shown payloads(shard_fixture& world) {
  shown all;
  for (const uint64_t seq : live(world, "s")) {
    auto found = world.run(world.now->get_message("s", seq_no(seq)));
    REQUIRE(found);
    auto view = decode_record((*found)->bytes.bytes());
    REQUIRE(view);
    all.emplace_back(as_text(view->payload));
  }
  return all;
}

TEST_CASE("schedule: a message is not there before its time, then it is a message like any, in order of time") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  CHECK(publish_in(world, 3'000, "third") == "later");
  CHECK(publish_in(world, 1'000, "first") == "later");
  CHECK(publish_in(world, 3'000, "fourth") == "later");
  CHECK(publish_in(world, 2'000, "second") == "later");
  CHECK(publish_in(world, 0, "now") == "1");
  CHECK(world.info("s").scheduled == 4);
  CHECK(world.info("s").stats.msg_count == 1);
  CHECK(world.fetch("s", "c") == shown{"1"});
  world.advance_ms(999);
  CHECK(payloads(world) == shown{"now"});
  world.advance_ms(1);
  CHECK(payloads(world) == shown{"now", "first"});
  CHECK(world.fetch("s", "c") == shown{"2"});
  world.advance_ms(2'000);
  CHECK(payloads(world) == shown{"now", "first", "second", "third", "fourth"});
  CHECK(world.info("s").scheduled == 0);
}

TEST_CASE("schedule: a delivered message has its time, its headers and its payload, and nothing else") {
  shard_fixture world;
  world.start();
  world.create("s");
  const std::string headers = encode_headers({{"k", "v"}, {"k", "w"}});
  special what;
  what.payload = "body";
  what.id = "id:1";
  what.ttl_ms = 50'000;
  what.deliver_at_ms = world.clock.wall().raw() + 500;
  publish_request request = request_of("s", "a.b", what);
  request.headers = as_bytes(headers);
  CHECK(told(world.run(world.now->publish(request))) == "later");
  world.advance_ms(500);
  auto found = world.run(world.now->get_message("s", seq_no(1)));
  REQUIRE(found);
  REQUIRE(*found);
  auto view = decode_record((*found)->bytes.bytes());
  REQUIRE(view);
  CHECK(view->subject == "a.b");
  CHECK(view->time == wall_ms(what.deliver_at_ms));
  CHECK(as_text(view->headers) == headers);
  CHECK(as_text(view->payload) == "body");
}

TEST_CASE("schedule: survives a kill, a clean restart and what came due meanwhile") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_in(world, 5'000, "b");
  world.kill();
  world.start();
  CHECK(world.info("s").scheduled == 1);
  publish_in(world, 4'000, "a");
  publish_in(world, 50'000, "c");
  REQUIRE(world.restart());
  CHECK(world.info("s").scheduled == 3);
  CHECK(payloads(world).empty());
  world.clock.advance_ms(10'000);
  world.kill();
  world.start();
  world.settle();
  CHECK(payloads(world) == shown{"a", "b"});
  CHECK(world.info("s").scheduled == 1);
  world.kill();
  world.start();
  world.advance_ms(40'000);
  CHECK(payloads(world) == shown{"a", "b", "c"});
  REQUIRE(world.restart());
  CHECK(payloads(world) == shown{"a", "b", "c"});
  CHECK(world.info("s").scheduled == 0);
}

TEST_CASE("schedule: ids are looked at when it is scheduled, and point to the message once it was delivered") {
  shard_fixture world;
  world.start();
  world.create("s");
  CHECK(publish_in(world, 5'000, "x", "id") == "later");
  CHECK(publish_in(world, 9'000, "y", "id") == "later again");
  CHECK(publish_id(world, "s", "id") == "later again");
  CHECK(publish_id(world, "s", "other") == "1");
  CHECK(publish_in(world, 9'000, "y", "other") == "1 again");
  world.kill();
  world.start();
  CHECK(publish_id(world, "s", "id") == "later again");
  world.advance_ms(5'000);
  CHECK(publish_id(world, "s", "id") == "2 again");
  world.kill();
  world.start();
  CHECK(publish_id(world, "s", "id") == "2 again");
  REQUIRE(world.restart());
  CHECK(publish_id(world, "s", "id") == "2 again");
  CHECK(*world.run(world.now->purge(purge_request{"s", "", 0, 0})) == 2);
  CHECK(publish_id(world, "s", "id") == "3");
}

TEST_CASE("schedule: a ttl runs from the delivery") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_in(world, 5'000, "x", "", 2'000);
  world.kill();
  world.start();
  world.advance_ms(5'000);
  CHECK(payloads(world) == shown{"x"});
  world.advance_ms(1'999);
  CHECK(payloads(world) == shown{"x"});
  world.advance_ms(1);
  CHECK(payloads(world).empty());
}

TEST_CASE("schedule: purge without bounds drops them, by subject those of the subject, with bounds none") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_in(world, 5'000, "1", "one", 0, "x.1");
  publish_in(world, 5'000, "2", "two", 0, "x.2");
  publish_in(world, 5'000, "3", "three", 0, "y");
  world.publish("s", "x.1");
  CHECK(*world.run(world.now->purge(purge_request{"s", "x.*", 9, 0})) == 1);
  CHECK(*world.run(world.now->purge(purge_request{"s", "", 0, 1})) == 0);
  CHECK(world.info("s").scheduled == 3);
  CHECK(*world.run(world.now->purge(purge_request{"s", "x.1", 0, 0})) == 0);
  CHECK(world.info("s").scheduled == 2);
  world.kill();
  world.start();
  CHECK(world.info("s").scheduled == 2);
  CHECK(publish_id(world, "s", "one") == "2");
  CHECK(publish_id(world, "s", "two") == "later again");
  CHECK(*world.run(world.now->purge(purge_request{"s", "", 0, 0})) == 1);
  CHECK(world.info("s").scheduled == 0);
  CHECK(publish_id(world, "s", "two") == "3");
  world.kill();
  world.start();
  world.advance_ms(10'000);
  CHECK(world.info("s").stats.last_seq == 3);
  CHECK(publish_in(world, 1'000, "again") == "later");
  world.advance_ms(1'000);
  CHECK(payloads(world).back() == "again");
}

TEST_CASE("schedule: a full stream with discard_new makes it wait, others of its time do not wait for it") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.max_msgs_per_subject = 1;
    c.discard_new = true;
    c.discard_new_per_subject = true;
  });
  world.publish("s", "a", "old");
  publish_in(world, 1'000, "waits");
  publish_in(world, 1'500, "goes", "", 0, "b");
  world.advance_ms(2'000);
  CHECK(payloads(world) == shown{"old", "goes"});
  CHECK(world.info("s").scheduled == 1);
  CHECK(*world.run(world.now->delete_message("s", seq_no(1))));
  world.advance_ms(1'000);
  CHECK(payloads(world) == shown{"goes", "waits"});
  CHECK(world.info("s").scheduled == 0);
}

TEST_CASE("schedule: what is refused at once") {
  shard_fixture world;
  world.limits.scheduled_max = 2;
  world.start();
  world.create("s", [](stream_config& c) { c.subjects_filter = {"a"}; });
  CHECK(publish_in(world, 1'000, "", "", 0, "b") == "subject_rejected");
  CHECK(publish_in(world, static_cast<int64_t>(duration_ms_max) + 1) == "invalid_argument");
  special what;
  what.deliver_at_ms = -1;
  CHECK(told(publish_special(world, "s", "a", what)) == "invalid_argument");
  what.deliver_at_ms = world.clock.wall().raw() + 1'000;
  what.expected = 0;
  CHECK(told(publish_special(world, "s", "a", what)) == "invalid_argument");
  what.deliver_at_ms = 1;
  CHECK(told(publish_special(world, "s", "a", what)) == "1");
  CHECK(publish_in(world, 1'000) == "later");
  CHECK(publish_in(world, 1'000) == "later");
  CHECK(publish_in(world, 1'000) == "resource_exhausted");
  world.advance_ms(1'000);
  CHECK(publish_in(world, 1'000) == "later");
}

TEST_CASE("schedule: a wall clock that jumps delivers nothing early") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_in(world, 60'000, "x");
  const wall_ms before = world.clock.wall();
  world.clock.set_wall(wall_ms(before.raw() + 86'400'000));
  for (int i = 0; i < 10; ++i) world.advance_ms(1'000);
  CHECK(payloads(world).empty());
  world.clock.set_wall(wall_ms(before.raw() + 10'000));
  world.advance_ms(50'000);
  CHECK(payloads(world) == shown{"x"});
}

TEST_CASE("schedule: in an ephemeral stream, and gone with its stream") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.ephemeral = true; });
  publish_in(world, 1'000, "x", "id", 5'000);
  CHECK(world.info("s").scheduled == 1);
  world.advance_ms(1'000);
  CHECK(payloads(world) == shown{"x"});
  CHECK(publish_id(world, "s", "id") == "1 again");
  publish_in(world, 1'000, "y");
  REQUIRE(world.run(world.now->delete_stream("s")));
  world.create("s");
  publish_in(world, 9'000, "z");
  world.advance_ms(2'000);
  CHECK(world.info("s").stats.last_seq == 0);
  REQUIRE(world.run(world.now->delete_stream("s")));
  world.kill();
  world.start();
  world.advance_ms(20'000);
  CHECK(world.run(world.now->list_streams())->empty());
  world.create("s");
  CHECK(world.info("s").scheduled == 0);
}

TEST_CASE("schedule: on a failed disk what was not durable is not shown, what was is still scheduled") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_in(world, 1'000, "x");
  world.disk().fail(sim_disk::op::sync, 1, true);
  CHECK(publish_in(world, 1'000, "y") == "storage_failed");
  CHECK(world.info("s").scheduled == 1);
  world.advance_ms(5'000);
  CHECK(world.info("s").scheduled == 1);
  CHECK(world.info("s").stats.last_seq == 0);
  world.crash(4);
  world.start();
  world.settle();
  CHECK(world.info("s").stats.last_seq >= 1);
  CHECK(payloads(world).front() == "x");
}

TEST_CASE("schedule: a disk that fails while a message is delivered leaves it scheduled") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_in(world, 1'000, "x");
  world.disk().fail(sim_disk::op::change, 1, true);
  world.advance_ms(1'000);
  started asking(world.now->get_stream("s"));
  world.settle();
  CHECK(asking.value()->scheduled == 1);
  CHECK(asking.value()->stats.last_seq == 0);
  world.kill();
  world.start();
  world.settle();
  CHECK(payloads(world) == shown{"x"});
  CHECK(world.info("s").scheduled == 0);
}

TEST_CASE("schedule: both snapshots lost, the schedule's log is found again by its label") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_in(world, 60'000, "x");
  world.publish("s", "a", "now");
  world.create("t");
  special other;
  other.deliver_at_ms = world.clock.wall().raw() + 60'000;
  CHECK(told(publish_special(world, "t", "b", other)) == "later");
  REQUIRE(world.restart());
  const auto names = world.disk().list("shard-0");
  REQUIRE(names);
  for (const std::string& name : *names) {
    if (name.starts_with("snapshot-")) REQUIRE(world.disk().remove("shard-0/" + name));
  }
  world.kill();
  world.start();
  CHECK(*world.run(world.now->list_streams()) == shown{"s", "t"});
  CHECK(world.info("s").scheduled == 1);
  CHECK(world.info("t").scheduled == 1);
  world.advance_ms(60'000);
  CHECK(payloads(world) == shown{"now", "x"});
  CHECK(world.info("t").stats.last_seq == 1);
}

TEST_CASE("schedule: headers are put around and taken apart again; others are refused") {
  const std::string own = encode_headers({{"a", "b"}});
  const std::string stored = scheduled_headers(77, "i:d", as_bytes(own));
  const auto parts = take_apart(as_bytes(stored));
  REQUIRE(parts);
  CHECK(parts->ttl_ms == 77);
  CHECK(parts->message_id == "i:d");
  CHECK(as_text(parts->headers) == own);
  CHECK_FALSE(take_apart(as_bytes(own)));
  CHECK_FALSE(take_apart({}));
  for (size_t size = 0; size < stored.size() - own.size(); ++size) {
    CHECK_FALSE(take_apart(as_bytes(stored.substr(0, size))));
  }
}

TEST_CASE("schedule: power cuts at any moment neither lose nor double a message") {
  const seed_range seeds = test_seeds(40, 2000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    shard_fixture world;
    world.storage.journal.segment_bytes = 16u << 10;
    world.storage.journal.batch_bytes_max = 8u << 10;
    world.start();
    world.create("s");
    std::map<std::string, bool> acknowledged;
    int number = 0;
    for (int round = 0; round < 6; ++round) {
      std::vector<special> whats(20);
      std::vector<started<result<published>>> running;
      for (special& what : whats) {
        what.payload = std::to_string(++number);
        what.deliver_at_ms = world.clock.wall().raw() + 1 + static_cast<int64_t>(random() % 3'000);
        what.id = random() % 2 == 0 ? what.payload : "";
        running.emplace_back(world.now->publish(request_of("s", "a", what)));
        if (random() % 3 == 0) world.step(random);
        if (random() % 4 == 0) world.advance_time_ms(static_cast<int64_t>(random() % 400));
      }
      for (uint64_t i = random() % 20; i > 0; --i) world.step(random);
      for (size_t i = 0; i < running.size(); ++i) {
        if (running[i].done() && running[i].value()) acknowledged[whats[i].payload] = true;
      }
      if (random() % 4 == 0) {
        world.kill();
      } else {
        world.crash(random());
      }
      world.start();
      if (random() % 3 == 0) REQUIRE(world.restart());
    }
    world.advance_ms(10'000);
    CHECK(world.info("s").scheduled == 0);
    std::map<std::string, int> seen;
    for (const std::string& payload : payloads(world)) ++seen[payload];
    for (const auto& one : seen) CHECK_MESSAGE(one.second == 1, one.first);
    for (const auto& one : acknowledged) CHECK_MESSAGE(seen.contains(one.first), one.first);
  }
}

}  // namespace
}  // namespace weir
