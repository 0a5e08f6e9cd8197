// Single messages by sequence, deletion and purge.
#include <random>
#include <set>

#include "tests/broker/shard_fixture.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

uint64_t purge(shard_fixture& world, const std::string& subject, uint64_t up_to = 0, uint64_t keep = 0) {
  auto gone = world.run(world.now->purge(purge_request{"s", subject, up_to, keep}));
  REQUIRE(gone);
  return *gone;
}

std::string text_of(shard_fixture& world, uint64_t seq) {
  auto found = world.run(world.now->get_message("s", seq_no(seq)));
  REQUIRE(found);
  if (!*found) return "-";
  auto view = decode_record((*found)->bytes.bytes());
  REQUIRE(view);
  return std::string(view->subject) + " " + std::string(as_text(view->payload));
}

std::vector<uint64_t> live(shard_fixture& world, uint64_t last) {
  std::vector<uint64_t> all;
  for (uint64_t seq = 1; seq <= last; ++seq) {
    if (text_of(world, seq) != "-") all.push_back(seq);
  }
  return all;
}

using seqs = std::vector<uint64_t>;

TEST_CASE("get_message: by sequence, from memory and from a block; nothing for one that never was or is gone") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish("s", "a", "first");
  world.publish("s", "b", "second");
  CHECK(text_of(world, 1) == "a first");
  CHECK(text_of(world, 3) == "-");
  CHECK(text_of(world, 0) == "-");
  REQUIRE(world.restart());
  CHECK(text_of(world, 2) == "b second");
  CHECK(*world.run(world.now->delete_message("s", seq_no(2))));
  CHECK(text_of(world, 2) == "-");
  CHECK(world.run(world.now->get_message("none", seq_no(1))).err().code == errc::no_such_stream);
}

TEST_CASE("delete_message: it leaves the stream and every consumer's pending set, and stays gone after a kill") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 4);
  CHECK(world.fetch("s", "c", 3) == shown{"1", "2", "3"});
  CHECK(*world.run(world.now->delete_message("s", seq_no(1))));
  CHECK(*world.run(world.now->delete_message("s", seq_no(2))));
  CHECK_FALSE(*world.run(world.now->delete_message("s", seq_no(2))));
  CHECK_FALSE(*world.run(world.now->delete_message("s", seq_no(99))));
  CHECK(world.consumer("s", "c").pending == 1);
  CHECK(world.consumer("s", "c").ack_floor == 2);
  world.kill();
  world.start();
  CHECK(live(world, 5) == seqs{3, 4});
  CHECK(world.consumer("s", "c").pending == 1);
  CHECK(world.consumer("s", "c").ack_floor == 2);
  CHECK(world.publish("s", "a") == 5);
}

TEST_CASE(
    "delete_message: on a failed disk it is an error, and after a restart the message is there or not, no crash") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish_many("s", "a", 3);
  world.disk().fail(sim_disk::op::sync, 1, true);
  CHECK(world.run(world.now->delete_message("s", seq_no(2))).err().code == errc::storage_failed);
  CHECK(world.run(world.now->purge(purge_request{"s", "", 0, 0})).err().code == errc::storage_failed);
  world.crash(1);
  world.start();
  CHECK(text_of(world, 1) == "a m0");
  CHECK(world.info("s").stats.msg_count >= 2);
}

TEST_CASE("purge: everything, up to a sequence, all but the newest; last_seq stays and the floor moves on") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 10);
  CHECK(world.fetch("s", "c", 4).size() == 4);
  CHECK(purge(world, "", 1) == 1);  // one message is not all of them
  CHECK(live(world, 10).size() == 9);
  CHECK(purge(world, "", 3) == 2);
  CHECK(world.consumer("s", "c").pending == 1);
  CHECK(world.consumer("s", "c").ack_floor == 3);
  CHECK(*world.run(world.now->delete_message("s", seq_no(8))));
  CHECK(purge(world, "", 0, 3) == 3);
  CHECK(live(world, 10) == seqs{7, 9, 10});
  CHECK(purge(world, "", 0, 3) == 0);
  CHECK(purge(world, "", 9, 2) == 1);
  CHECK(purge(world, "", 9, 2) == 0);
  REQUIRE(world.restart());
  CHECK(live(world, 10) == seqs{9, 10});
  CHECK(purge(world, "") == 2);
  CHECK(world.info("s").stats.last_seq == 10);
  world.kill();
  world.start();
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.publish("s", "a") == 11);
  CHECK(world.consumer("s", "c").ack_floor == 10);
}

TEST_CASE("purge by subject: literal and pattern, with a bound and with some to keep, settled or not") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  for (int i = 1; i <= 12; ++i) {
    world.publish("s", i % 3 == 0 ? "x.three" : i % 2 == 0 ? "x.two" : "one", std::to_string(i));
    if (i == 7) REQUIRE(world.restart());
  }
  CHECK(world.fetch("s", "c", 100).size() == 12);
  CHECK(purge(world, "none") == 0);
  CHECK(purge(world, "one", 5) == 2);  // 1, 5; not 7 and 11
  CHECK(purge(world, "x.*", 0, 5) == 3);
  CHECK(live(world, 12) == seqs{6, 7, 8, 9, 10, 11, 12});
  CHECK(world.consumer("s", "c").pending == 7);
  CHECK(purge(world, "x.three", 9, 1) == 2);
  CHECK(live(world, 12) == seqs{7, 8, 10, 11, 12});
  CHECK(*world.run(world.now->list_subjects("s", "")) == shown{"one", "x.three", "x.two"});
  CHECK(purge(world, ">") == 5);
  CHECK(world.consumer("s", "c").pending == 0);
  CHECK(world.consumer("s", "c").ack_floor == 12);
  REQUIRE(world.restart());
  CHECK(world.info("s").stats.msg_count == 0);
  CHECK(world.run(world.now->purge(purge_request{"s", "a..b", 0, 0})).err().code == errc::invalid_argument);
  CHECK(world.run(world.now->purge(purge_request{"none", "", 0, 0})).err().code == errc::no_such_stream);
}

// What the stream must hold, kept as plainly as possible.
struct naive {
  std::map<uint64_t, std::string> messages;
  uint64_t last = 0;
  uint64_t cap = 2;

  void publish(const std::string& subject) {
    messages[++last] = subject;
    std::vector<uint64_t> at;
    for (const auto& [seq, name] : messages) {
      if (name == subject) at.push_back(seq);
    }
    if (at.size() > cap) messages.erase(at.front());
  }
  uint64_t purge(const std::string& filter, uint64_t up_to, uint64_t keep) {
    std::vector<uint64_t> going;
    for (const auto& [seq, name] : messages) {
      if (filter.empty() || subject_matches(filter, name)) going.push_back(seq);
    }
    going.resize(going.size() - std::min<uint64_t>(going.size(), keep));
    uint64_t gone = 0;
    for (const uint64_t seq : going) {
      if (up_to == 0 || seq <= up_to) gone += messages.erase(seq);
    }
    return gone;
  }
};

TEST_CASE("purge: against a naive stream, with a subject cap, interior deletes, restarts and kills") {
  const seed_range seeds = test_seeds(8, 300);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    shard_fixture world;
    world.storage.journal.segment_bytes = 16u << 10;
    world.storage.journal.batch_bytes_max = 8u << 10;
    world.start();
    world.create("s", [](stream_config& c) {
      c.max_msgs_per_subject = 2;
      c.block_size = 7;
    });
    naive model;
    const std::vector<std::string> subjects = {"a", "b.1", "b.2", "c.d.e", "c.d.f"};
    const std::vector<std::string> filters = {"", "a", "b.*", "c.>", ">", "*.d.e"};
    for (int step = 0; step < 250; ++step) {
      const uint64_t dice = random() % 100;
      if (dice < 70) {
        const std::string subject = subjects[random() % subjects.size()];
        CHECK(world.publish("s", subject, std::string(random() % 200, 'x')) == model.last + 1);
        model.publish(subject);
      } else if (dice < 85) {
        const uint64_t seq = random() % (model.last + 2);
        CHECK(*world.run(world.now->delete_message("s", seq_no(seq))) == (model.messages.erase(seq) == 1));
      } else if (dice < 93) {
        const std::string filter = filters[random() % filters.size()];
        const uint64_t up_to = random() % 2 == 0 ? 0 : random() % (model.last + 2);
        const uint64_t keep = random() % 4;
        CHECK(purge(world, filter, up_to, keep) == model.purge(filter, up_to, keep));
      } else if (dice < 97) {
        REQUIRE(world.restart());
      } else {
        world.kill();
        world.start();
      }
      const stream_stats stats = world.info("s").stats;
      REQUIRE(stats.msg_count == model.messages.size());
      REQUIRE(stats.last_seq == model.last);
    }
    std::vector<uint64_t> expected;
    for (const auto& [seq, name] : model.messages) expected.push_back(seq);
    CHECK(live(world, model.last) == expected);
  }
}

}  // namespace
}  // namespace weir
