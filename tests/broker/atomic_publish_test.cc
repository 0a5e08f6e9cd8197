// publish_all: a run of messages, all of them or none.
#include <random>

#include "tests/broker/special_publish.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

// Keeps what the requests point at.
struct run_of {
  explicit run_of(std::vector<std::string> names) : subjects(std::move(names)) {
    for (const std::string& subject : subjects) all.push_back(request_of("s", subject, special()));
    for (publish_request& one : all) {
      one.stream = "s";
      one.payload = {};
    }
  }
  run_of(const run_of&) = delete;
  std::vector<std::string> subjects;
  std::vector<publish_request> all;
};

std::string told_all(shard_fixture& world, const run_of& run) {
  auto placed = world.run(world.now->publish_all(run.all));
  return placed ? std::to_string(placed->raw()) : std::string(to_string(placed.err().code));
}

TEST_CASE("atomic publish: consecutive sequences, in order, there after a kill") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish("s", "a");
  const run_of run({"x", "y", "x"});
  CHECK(told_all(world, run) == "2");
  CHECK(world.info("s").stats.last_seq == 4);
  world.kill();
  world.start();
  CHECK(live(world, "s") == seqs{1, 2, 3, 4});
  CHECK(world.run(world.now->scan_subject({"s", "x", 0, 10}))->records.size() == 2);
  REQUIRE(world.restart());
  CHECK(live(world, "s") == seqs{1, 2, 3, 4});
}

TEST_CASE("atomic publish: one that may not be stored keeps all of them out, and is named") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.subjects_filter = {"ok.>"};
    c.max_msg_bytes = 100;
  });
  const std::string big(101, 'x');
  run_of wrong({"ok.1", "no", "ok.2"});
  auto placed = world.run(world.now->publish_all(wrong.all));
  REQUIRE_FALSE(placed);
  CHECK(placed.err().code == errc::subject_rejected);
  CHECK(placed.err().message.find("messages[1]") != std::string::npos);
  run_of large({"ok.1", "ok.2"});
  large.all[1].payload = as_bytes(big);
  CHECK(told_all(world, large) == "oversize");
  run_of late({"ok.1"});
  late.all[0].deliver_at_ms = 1;
  CHECK(told_all(world, late) == "invalid_argument");
  run_of mixed({"ok.1", "ok.2"});
  mixed.all[1].stream = "other";
  CHECK(told_all(world, mixed) == "invalid_argument");
  CHECK(told_all(world, run_of({})) == "invalid_argument");
  run_of ids({"ok.1", "ok.2"});
  ids.all[0].message_id = ids.all[1].message_id = "same";
  CHECK(told_all(world, ids) == "invalid_argument");
  run_of unknown({"ok.1"});
  unknown.all[0].stream = "unknown";
  CHECK(told_all(world, unknown) == "no_such_stream");
  CHECK(world.info("s").stats.last_seq == 0);
}

TEST_CASE("atomic publish: no more messages and bytes than the limits say") {
  shard_fixture world;
  world.limits.atomic_messages_max = 3;
  world.limits.atomic_bytes_max = 1'000;
  world.start();
  world.create("s");
  CHECK(told_all(world, run_of({"a", "a", "a", "a"})) == "oversize");
  CHECK(told_all(world, run_of({"a", "a", "a"})) == "1");
  const std::string half(480, 'x');
  run_of large({"a", "a", "a"});
  for (publish_request& one : large.all) one.payload = as_bytes(half);
  CHECK(told_all(world, large) == "oversize");
  CHECK(world.info("s").stats.last_seq == 3);
}

TEST_CASE("atomic publish: expectations are against what was there before") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish("s", "a");
  run_of run({"a", "b"});
  run.all[0].expected_last_seq = 1;
  run.all[1].expected_last_seq = 0;
  CHECK(told_all(world, run) == "2");
  CHECK(told_all(world, run) == "wrong_revision");
  run.all[0].expected_last_seq = 2;
  auto placed = world.run(world.now->publish_all(run.all));
  REQUIRE_FALSE(placed);
  CHECK(placed.err().message.find("messages[1]") != std::string::npos);
  CHECK(placed.err().detail == 3);
  run_of twice({"a", "a"});
  twice.all[1].expected_last_seq = 2;
  CHECK(told_all(world, twice) == "invalid_argument");
  CHECK(world.info("s").stats.last_seq == 3);
}

TEST_CASE("atomic publish: a known message id keeps all of them out; ids and ttl of a run hold after a kill") {
  shard_fixture world;
  world.start();
  world.create("s");
  CHECK(publish_id(world, "s", "x") == "1");
  run_of run({"a", "b"});
  run.all[0].message_id = "y";
  run.all[1].message_id = "x";
  auto placed = world.run(world.now->publish_all(run.all));
  REQUIRE_FALSE(placed);
  CHECK(placed.err().code == errc::already_exists);
  CHECK(placed.err().message.find("messages[1]") != std::string::npos);
  run.all[1].message_id = "z";
  run.all[1].ttl_ms = 1'000;
  CHECK(told_all(world, run) == "2");
  world.kill();
  world.start();
  CHECK(publish_id(world, "s", "z") == "3 again");
  world.advance_ms(1'000);
  CHECK(live(world, "s") == seqs{1, 2});
  CHECK(publish_id(world, "s", "z") == "3 again");
}

TEST_CASE("atomic publish: the caps of its subjects and the limits hold afterwards, also over settled messages") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.max_msgs_per_subject = 2;
    c.limits.max_msgs = 5;
    c.limits.strict = true;
  });
  CHECK(told_all(world, run_of({"a", "b", "a", "b", "c"})) == "1");
  REQUIRE(world.restart());
  CHECK(told_all(world, run_of({"a", "a", "a", "b"})) == "6");
  CHECK(live(world, "s") == seqs{4, 5, 7, 8, 9});
  REQUIRE(world.restart());
  CHECK(told_all(world, run_of({"d", "d", "d"})) == "10");
  CHECK(live(world, "s") == seqs{7, 8, 9, 11, 12});
  world.kill();
  world.start();
  CHECK(live(world, "s") == seqs{7, 8, 9, 11, 12});
}

TEST_CASE("atomic publish: a stream with discard_new takes the run as a whole or refuses it") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 4;
    c.max_msgs_per_subject = 2;
    c.discard_new = true;
  });
  CHECK(told_all(world, run_of({"a", "b", "c"})) == "1");
  CHECK(told_all(world, run_of({"d", "e"})) == "stream_full");
  CHECK(told_all(world, run_of({"a", "a", "a"})) == "4");
  CHECK(live(world, "s") == seqs{2, 3, 5, 6});
}

TEST_CASE("atomic publish: consumers see nothing of it before it is durable, an ephemeral stream has it at once") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  const run_of run({"a", "b"});
  started publishing(world.now->publish_all(run.all));
  started fetching(world.now->fetch("s", "c", 10));
  REQUIRE(fetching.done());
  CHECK(fetching.value()->deliveries.empty());
  world.settle();
  CHECK(world.fetch("s", "c") == shown{"1", "2"});
  world.create("e", [](stream_config& c) { c.ephemeral = true; });
  run_of other({"a", "b"});
  for (publish_request& one : other.all) one.stream = "e";
  CHECK(told_all(world, other) == "1");
  CHECK(world.info("e").stats.msg_count == 2);
}

TEST_CASE("atomic publish: on a failed disk none of it stays") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish("s", "a");
  world.disk().fail(sim_disk::op::sync, 1, true);
  CHECK(told_all(world, run_of({"a", "b", "c"})) == "storage_failed");
  CHECK(live(world, "s") == seqs{1});
  CHECK(told_all(world, run_of({"a"})) == "storage_failed");
}

TEST_CASE("atomic publish: after a power cut at any moment a run is there as a whole or not at all") {
  const seed_range seeds = test_seeds(60, 3000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    shard_fixture world;
    world.storage.journal.segment_bytes = 32u << 10;
    world.storage.journal.batch_bytes_max = 16u << 10;
    world.start();
    world.create("s");
    const std::string text(200, 'x');
    for (int round = 0; round < 4; ++round) {
      // Runs of seven; the first subject of each says where it begins.
      std::vector<std::unique_ptr<run_of>> runs;
      std::vector<started<result<seq_no>>> running;
      for (int i = 0; i < 8; ++i) {
        runs.push_back(std::make_unique<run_of>(std::vector<std::string>{"first", "r", "r", "r", "r", "r", "last"}));
        for (publish_request& one : runs.back()->all) one.payload = as_bytes(text).first(random() % 200);
        running.emplace_back(world.now->publish_all(runs.back()->all));
        if (random() % 3 == 0) world.step(random);
      }
      for (uint64_t i = random() % 12; i > 0; --i) world.step(random);
      uint64_t acknowledged = 0;
      for (auto& one : running) {
        if (one.done() && one.value()) acknowledged = std::max(acknowledged, one.value()->raw() + 6);
      }
      world.crash(random());
      world.start();
      const uint64_t last = world.info("s").stats.last_seq;
      CHECK(last >= acknowledged);
      CHECK(last % 7 == 0);
      CHECK(world.info("s").stats.msg_count == last);
      const auto firsts = world.run(world.now->scan_subject({"s", "first", 0, 1000}));
      REQUIRE(firsts);
      for (size_t i = 0; i < firsts->records.size(); ++i) CHECK(firsts->records[i].seq.raw() == 7 * i + 1);
    }
  }
}

}  // namespace
}  // namespace weir
