// Frames of the fast lane: each record for itself, in order, waited for together.
#include "tests/broker/special_publish.h"

namespace weir {
namespace {

// Keeps what the records point at.
struct frame_of {
  explicit frame_of(std::vector<std::string> names, std::string stream = "s") : subjects(std::move(names)) {
    name = std::move(stream);
    for (const std::string& subject : subjects) {
      all.emplace_back();
      all.back().stream = name;
      all.back().subject = subject;
      all.back().payload = as_bytes(subject);
    }
  }
  frame_of(const frame_of&) = delete;
  std::string name;
  std::vector<std::string> subjects;
  std::vector<publish_request> all;
};

// "first 2 stored 3", "1 failed subject_rejected", "each 4, 5 again, later".
std::string told(const result<batch_outcome>& placed) {
  if (!placed) return std::string(to_string(placed.err().code));
  std::string text = "first " + std::to_string(placed->first.raw()) + " stored " + std::to_string(placed->stored);
  for (const batch_outcome::failure& one : placed->failed) {
    text += "; " + std::to_string(one.index) + " failed " + std::string(to_string(one.why.code));
  }
  for (const published& one : placed->each) {
    text += "; " + std::to_string(one.seq.raw());
    if (one.duplicate) text += " again";
    if (one.scheduled) text += " later";
  }
  return text;
}

result<batch_outcome> place(shard_fixture& world, const frame_of& frame, bool atomic = false) {
  return world.run(world.now->place_batch(frame.all, atomic));
}

std::string publish_frame(shard_fixture& world, const frame_of& frame, bool atomic = false) {
  auto placed = place(world, frame, atomic);
  if (placed) {
    auto safe = world.run(world.now->batch_safe(placed->level, placed->end));
    REQUIRE(safe);
    CHECK(*safe >= placed->end);
  }
  return told(placed);
}

TEST_CASE("batch: plain records get consecutive sequences, in order, and are there after a kill") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish("s", "a");
  CHECK(publish_frame(world, frame_of({"x", "y", "x"})) == "first 2 stored 3");
  CHECK(publish_frame(world, frame_of({"z"})) == "first 5 stored 1");
  CHECK(world.info("s").stats.last_seq == 5);
  world.kill();
  world.start();
  CHECK(live(world, "s") == seqs{1, 2, 3, 4, 5});
  CHECK(world.latest("s", "x") == "x");
  CHECK(world.run(world.now->scan_subject({"s", "x", 0, 10}))->records.size() == 2);
  REQUIRE(world.restart());
  CHECK(live(world, "s") == seqs{1, 2, 3, 4, 5});
}

TEST_CASE("batch: whoever looks at what is placed waits until it is safe") {
  shard_fixture world;
  world.start();
  world.create("s");
  REQUIRE(place(world, frame_of({"x", "y"})));
  CHECK(world.info("s").stats.last_seq == 2);
  CHECK(live(world, "s") == seqs{1, 2});
}

TEST_CASE("batch: a record that may not be stored is named, the others are stored") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.subjects_filter = {"ok.>"};
    c.max_msg_bytes = 100;
  });
  const std::string big(101, 'x');
  frame_of frame({"ok.1", "no", "ok.2", "ok.3", "ok.*"});
  frame.all[2].payload = as_bytes(big);
  CHECK(publish_frame(world, frame) ==
        "first 1 stored 2; 1 failed subject_rejected; 2 failed oversize; 4 failed subject_rejected");
  CHECK(live(world, "s") == seqs{1, 2});
  CHECK(world.latest("s", "ok.3") == "ok.3");
  CHECK(publish_frame(world, frame_of({"no"})) == "first 0 stored 0; 0 failed subject_rejected");
  CHECK(publish_frame(world, frame_of({"ok.1"}, "unknown")) == "no_such_stream");
}

TEST_CASE("batch: ids, expectations, ttl and schedule mean what they mean in a publish") {
  shard_fixture world;
  world.start();
  world.create("s");
  frame_of frame({"a", "b", "a", "c", "d"});
  frame.all[0].message_id = "one";
  frame.all[2].message_id = "one";
  frame.all[3].deliver_at_ms = world.clock.wall().raw() + 1'000;
  frame.all[4].expected_last_seq = 0;
  CHECK(publish_frame(world, frame) == "first 1 stored 3; 1; 2; 1 again; 0 later; 3");
  frame_of again({"d", "d", "b"});
  again.all[0].expected_last_seq = 0;
  again.all[1].expected_last_seq = 3;
  again.all[2].ttl_ms = 10;
  auto placed = place(world, again);
  CHECK(told(placed) == "first 4 stored 2; 0 failed wrong_revision");
  CHECK(placed->failed[0].why.detail == 3);
}

TEST_CASE("batch: a whole frame of repetitions waits once, not once a record") {
  shard_fixture world;
  world.start();
  world.create("s");
  const std::vector<std::string> ids{"1", "2", "3", "4"};
  frame_of frame({"a", "a", "a", "a"});
  for (size_t i = 0; i < ids.size(); ++i) frame.all[i].message_id = ids[i];
  CHECK(publish_frame(world, frame) == "first 1 stored 4");
  CHECK(publish_frame(world, frame) == "first 0 stored 0; 1 again; 2 again; 3 again; 4 again");
  CHECK(world.now->metrics().duplicates == 4);
}

TEST_CASE("batch: the rules of the stream hold within a frame") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.max_msgs_per_subject = 1; });
  CHECK(publish_frame(world, frame_of({"k", "k", "l", "k"})) == "first 1 stored 4");
  CHECK(live(world, "s") == seqs{3, 4});
  world.create("full", [](stream_config& c) {
    c.discard_new = true;
    c.limits.max_msgs = 2;
  });
  CHECK(publish_frame(world, frame_of({"a", "b", "c", "d"}, "full")) ==
        "first 1 stored 2; 2 failed stream_full; 3 failed stream_full");
  world.create("small", [](stream_config& c) {
    c.limits.max_msgs = 2;
    c.limits.strict = true;
  });
  CHECK(publish_frame(world, frame_of({"a", "b", "c"}, "small")) == "first 1 stored 3");
  CHECK(live(world, "small") == seqs{2, 3});
}

TEST_CASE("batch: an atomic frame is stored as a whole or not at all") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.subjects_filter = {"ok.>"}; });
  CHECK(publish_frame(world, frame_of({"ok.1", "no"}), true) == "subject_rejected");
  CHECK(publish_frame(world, frame_of({}), true) == "invalid_argument");
  CHECK(publish_frame(world, frame_of({"ok.1", "ok.2"}), true) == "first 1 stored 2");
  CHECK(live(world, "s") == seqs{1, 2});
}

TEST_CASE("batch: an empty frame is answered, one with too many records is refused") {
  shard_fixture world;
  world.limits.batch_messages_max = 3;
  world.start();
  world.create("s");
  CHECK(publish_frame(world, frame_of({})) == "first 0 stored 0");
  CHECK(publish_frame(world, frame_of({"a", "a", "a", "a"})) == "oversize");
  CHECK(world.info("s").stats.last_seq == 0);
  CHECK(publish_frame(world, frame_of({"a", "a", "a"})) == "first 1 stored 3");
}

TEST_CASE("batch: a frame is safe at once where memory is the level") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.level = durability::memory; });
  started<result<batch_outcome>> placing(world.now->place_batch(frame_of({"a", "b"}).all, false));
  REQUIRE(placing.done());
  const batch_outcome placed = *placing.value();
  REQUIRE(placed.end != lsn());
  started<result<lsn>> waiting(world.now->batch_safe(placed.level, placed.end));
  REQUIRE(waiting.done());
  CHECK(*waiting.value() >= placed.end);
}

TEST_CASE("batch: an ephemeral stream takes frames, and answers at once") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.ephemeral = true; });
  auto placed = place(world, frame_of({"a", "b"}));
  CHECK(told(placed) == "first 1 stored 2");
  CHECK(placed->end == lsn());
  CHECK(live(world, "s") == seqs{1, 2});
}

}  // namespace
}  // namespace weir
