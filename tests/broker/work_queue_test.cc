// Work queues: each message belongs to one consumer, and goes with its ack.
#include <random>

#include "tests/broker/shard_fixture.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

void queue(stream_config& c) {
  c.policy = retention_policy::work_queue;
}

errc refused(shard_fixture& world, const std::string& name, const std::vector<std::string>& filters) {
  consumer_config config;
  config.name = name;
  config.filter_subjects = filters;
  auto made = world.run(world.now->create_consumer("s", config));
  return made ? errc::internal : made.err().code;
}

TEST_CASE("work queue: an ack removes the message, and both survive a kill") {
  shard_fixture world;
  world.start();
  world.create("s", queue);
  world.consume("s", "c");
  world.publish_many("s", "a", 5);
  CHECK(world.fetch("s", "c", 4) == shown{"1", "2", "3", "4"});
  world.ack("s", "c", 2);
  world.ack("s", "c", 2);
  auto many = world.run(world.now->ack_many("s", "c", {seq_no(3), seq_no(5)}, seq_no(1)));
  REQUIRE(many);
  CHECK(*many == 2);
  CHECK(world.info("s").stats.msg_count == 2);
  CHECK(world.consumer("s", "c").ack_floor == 3);
  world.kill();
  REQUIRE(world.open());
  CHECK(world.info("s").stats.msg_count == 2);
  CHECK(world.consumer("s", "c").ack_floor == 3);
  world.advance_ms(30'000);
  CHECK(world.fetch("s", "c") == shown{"4*2", "5"});
}

TEST_CASE("work queue: consumers whose filters overlap are refused, whatever the form of the filters") {
  shard_fixture world;
  world.start();
  world.create("s", queue);
  CHECK(refused(world, "orders", {"orders.*.new", "bills"}) == errc::internal);
  for (const std::vector<std::string>& filters : std::vector<std::vector<std::string>>{
           {}, {">"}, {"*"}, {"orders.>"}, {"orders.eu.*"}, {"orders.eu.new"}, {"a", "*.*.*"}, {"bills"}}) {
    CHECK(refused(world, "other", filters) == errc::invalid_config);
  }
  CHECK(refused(world, "rest", {"orders.*", "orders.*.old", "bills.>"}) == errc::internal);
  consumer_update update;
  update.stream = "s";
  update.consumer = "rest";
  update.filter_subjects = std::vector<std::string>{"bill.*", "orders.eu.*"};
  auto changed = world.run(world.now->update_consumer(update));
  REQUIRE_FALSE(changed);
  CHECK(changed.err().code == errc::invalid_config);
  CHECK(changed.err().message.find("\"orders\"") != std::string::npos);
  REQUIRE(world.run(world.now->delete_consumer("s", "orders")));
  CHECK(world.run(world.now->update_consumer(update)));
}

TEST_CASE("work queue: two consumers that overlap and are created at once: one of them is refused") {
  shard_fixture world;
  world.start();
  world.create("s", queue);
  consumer_config left;
  left.name = "left";
  left.filter_subject = "a.*";
  consumer_config right;
  right.name = "right";
  right.filter_subject = "*.b";
  started first(world.now->create_consumer("s", left));
  started second(world.now->create_consumer("s", right));
  world.settle();
  CHECK(first.value());
  CHECK(second.value().err().code == errc::invalid_config);
}

TEST_CASE("work queue: what is given up stays in the stream and is counted; the next owner starts anew") {
  shard_fixture world;
  world.start();
  world.create("s", queue);
  world.consume("s", "c", [](consumer_config& c) {
    c.ack_wait_ms = 1'000;
    c.max_deliver = 1;
  });
  world.publish_many("s", "a", 3);
  world.fetch("s", "c", 2);
  world.advance_ms(1'000);
  CHECK(world.consumer("s", "c").parked == 2);
  CHECK(world.info("s").stats.msg_count == 3);
  REQUIRE(world.run(world.now->delete_consumer("s", "c")));
  world.consume("s", "d");
  CHECK(world.fetch("s", "d") == shown{"1", "2", "3"});
}

TEST_CASE("work queue: a dead letter takes the place of its message") {
  shard_fixture world;
  world.start();
  world.create("s", queue);
  world.consume("s", "c", [](consumer_config& c) {
    c.filter_subject = "a";
    c.dead_letter_subject = "dead";
  });
  world.publish_many("s", "a", 2);
  world.fetch("s", "c");
  REQUIRE(world.run(world.now->term("s", "c", seq_no(1))));
  CHECK(world.info("s").stats.msg_count == 2);
  CHECK(world.latest("s", "dead") == "m0");
  CHECK(world.consumer("s", "c").ack_floor == 1);
  world.consume("s", "undertaker", [](consumer_config& c) { c.filter_subject = "dead"; });
  CHECK(world.fetch("s", "undertaker") == shown{"3"});
  world.ack("s", "undertaker", 3);
  CHECK(world.info("s").stats.msg_count == 1);
}

// published = acknowledged + live, at every moment (field notes 2.5).
TEST_CASE("work queue: through kills, workers that vanish and restarts every message is live or was acknowledged") {
  const seed_range seeds = test_seeds(20, 200);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    shard_fixture world;
    world.storage.journal.segment_bytes = 64u << 10;
    world.storage.journal.batch_bytes_max = 16u << 10;
    world.start();
    world.create("s", queue);
    world.consume("s", "even", [](consumer_config& c) {
      c.filter_subject = "even";
      c.ack_wait_ms = 1'000;
      c.max_deliver = 3;
    });
    world.consume("s", "odd", [](consumer_config& c) {
      c.filter_subject = "odd.>";
      c.ack_wait_ms = 1'000;
      c.unlimited_deliver = true;
    });
    uint64_t published = 0;
    std::set<uint64_t> acked;
    for (int step = 0; step < 400; ++step) {
      const std::string name = random() % 2 == 0 ? "even" : "odd";
      const uint64_t dice = random() % 100;
      if (dice < 40) {
        published = world.publish("s", name == "even" ? "even" : "odd.x", std::string(200, 'x'));
      } else if (dice < 85) {
        auto got = world.run(world.now->fetch("s", name, 1 + static_cast<uint32_t>(random() % 5)));
        REQUIRE(got);
        for (const delivery& one : got->deliveries) {
          CHECK_FALSE(acked.contains(one.record.seq.raw()));
          if (random() % 3 == 0) continue;
          world.ack("s", name, one.record.seq.raw());
          acked.insert(one.record.seq.raw());
        }
      } else if (dice < 97) {
        world.advance_ms(static_cast<int64_t>(random() % 1'500));
      } else {
        const bool killed = random() % 2 == 0;
        if (killed) world.kill();
        const auto back = killed ? world.open() : world.restart();
        REQUIRE(back);
      }
      const uint64_t live = world.info("s").stats.msg_count;
      REQUIRE(published == acked.size() + live);
    }
    const consumer_info even = world.consumer("s", "even");
    CHECK(even.parked == even.redelivered_dropped);
  }
}

}  // namespace
}  // namespace weir
