// Message ids: what was published before stores nothing (field-notes 2.11).
#include <algorithm>
#include <memory>
#include <random>

#include "broker/dedup_table.h"
#include "tests/broker/special_publish.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

TEST_CASE("dedup: a known id stores nothing and answers the original's sequence") {
  shard_fixture world;
  world.start();
  world.create("s");
  CHECK(publish_id(world, "s", "x") == "1");
  CHECK(publish_id(world, "s", "y") == "2");
  CHECK(publish_id(world, "s", "x", "elsewhere") == "1 again");
  CHECK(publish_id(world, "s", "") == "3");
  CHECK(publish_id(world, "s", "") == "4");
  CHECK(world.info("s").stats.msg_count == 4);
}

TEST_CASE("dedup: ids survive a clean restart, a kill and a power cut, with and without a checkpoint") {
  shard_fixture world;
  world.start();
  world.create("s");
  CHECK(publish_id(world, "s", "x") == "1");
  world.kill();
  world.start();
  CHECK(publish_id(world, "s", "x") == "1 again");
  REQUIRE(world.restart());
  CHECK(publish_id(world, "s", "x") == "1 again");
  CHECK(publish_id(world, "s", "y") == "2");
  world.crash(7);
  world.start();
  CHECK(publish_id(world, "s", "x") == "1 again");
  CHECK(publish_id(world, "s", "y") == "2 again");
  CHECK(world.info("s").stats.last_seq == 2);
}

TEST_CASE("dedup: the window counts from the original, and a repetition does not refresh it") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.dedup_window_ms = 10'000; });
  CHECK(publish_id(world, "s", "x") == "1");
  world.advance_ms(6'000);
  CHECK(publish_id(world, "s", "x") == "1 again");
  world.advance_ms(3'999);
  CHECK(publish_id(world, "s", "x") == "1 again");
  REQUIRE(world.restart());
  world.advance_ms(1);
  CHECK(publish_id(world, "s", "x") == "2");
  CHECK(publish_id(world, "s", "x") == "2 again");
}

TEST_CASE("dedup: a wall clock that jumps forgets nothing early, and what is published meanwhile keeps its window") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.dedup_window_ms = 10'000; });
  CHECK(publish_id(world, "s", "x") == "1");
  const wall_ms before = world.clock.wall();
  world.clock.set_wall(wall_ms(before.raw() + 86'400'000));
  CHECK(publish_id(world, "s", "x") == "1 again");
  world.clock.set_wall(wall_ms(before.raw() - 86'400'000));
  CHECK(publish_id(world, "s", "y") == "2");
  world.clock.set_wall(before);
  CHECK(publish_id(world, "s", "y") == "2 again");
  world.advance_ms(10'000);
  CHECK(publish_id(world, "s", "x") == "3");
}

TEST_CASE("dedup: only the newest ids are remembered") {
  shard_fixture world;
  world.limits.dedup_ids_max = 3;
  world.start();
  world.create("s");
  for (int i = 1; i <= 5; ++i) CHECK(publish_id(world, "s", std::to_string(i)) == std::to_string(i));
  CHECK(publish_id(world, "s", "3") == "3 again");
  CHECK(publish_id(world, "s", "2") == "6");
  REQUIRE(world.restart());
  CHECK(publish_id(world, "s", "5") == "5 again");
  CHECK(publish_id(world, "s", "3") == "7");
}

TEST_CASE("dedup: a purge forgets the ids of what it removes, other removals do not, after a restart neither") {
  shard_fixture world;
  world.start();
  world.create("s");
  for (int i = 1; i <= 4; ++i) publish_id(world, "s", std::to_string(i), i % 2 == 0 ? "even" : "odd");
  CHECK(*world.run(world.now->delete_message("s", seq_no(1))));
  CHECK(publish_id(world, "s", "1") == "1 again");
  CHECK(*world.run(world.now->purge(purge_request{"s", "even", 2, 0})) == 1);
  CHECK(publish_id(world, "s", "4") == "4 again");
  world.kill();
  world.start();
  CHECK(publish_id(world, "s", "2") == "5");
  CHECK(publish_id(world, "s", "1") == "1 again");
  CHECK(*world.run(world.now->purge(purge_request{"s", "", 3, 0})) == 1);
  world.kill();
  world.start();
  CHECK(publish_id(world, "s", "3") == "6");
  CHECK(publish_id(world, "s", "1") == "1 again");  // deleted, not purged
  CHECK(publish_id(world, "s", "2") == "5 again");
  CHECK(*world.run(world.now->purge(purge_request{"s", "", 0, 0})) == 3);
  REQUIRE(world.restart());
  CHECK(publish_id(world, "s", "4") == "7");
}

TEST_CASE("dedup: a repetition is answered before expected_last_seq and a full stream are looked at") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.limits.max_msgs = 1;
    c.discard_new = true;
  });
  CHECK(publish_id(world, "s", "x") == "1");
  special what;
  what.id = "x";
  what.expected = 77;
  CHECK(told(publish_special(world, "s", "a", what)) == "1 again");
  what.id = "y";
  CHECK(told(publish_special(world, "s", "a", what)) == "wrong_revision");
  CHECK(publish_id(world, "s", "y") == "stream_full");
  CHECK(publish_id(world, "s", "x", "bad..subject") == "subject_rejected");
}

TEST_CASE("dedup: a repetition is not answered before the original is durable, and fails with it") {
  shard_fixture world;
  world.start();
  world.create("s");
  special what;
  what.id = "x";
  const publish_request request = request_of("s", "a", what);
  started first(world.now->publish(request));
  started second(world.now->publish(request));
  CHECK_FALSE(second.done());
  world.settle();
  CHECK(told(first.value()) == "1");
  CHECK(told(second.value()) == "1 again");
  world.disk().fail(sim_disk::op::sync, 1, true);
  what.id = "y";
  const publish_request other = request_of("s", "a", what);
  started third(world.now->publish(other));
  started fourth(world.now->publish(other));
  world.settle();
  CHECK(told(third.value()) == "storage_failed");
  CHECK(told(fourth.value()) == "storage_failed");
  world.crash(1);
  world.start();
  CHECK(publish_id(world, "s", "x") == "1 again");
  const std::string again = publish_id(world, "s", "y");
  CHECK((again == "2" || again == "2 again"));
  CHECK(world.info("s").stats.last_seq == 2);
}

TEST_CASE("dedup: what a message id may be") {
  shard_fixture world;
  world.start();
  world.create("s");
  CHECK(publish_id(world, "s", std::string(256, 'x')) == "invalid_argument");
  CHECK(publish_id(world, "s", "a\nb") == "invalid_argument");
  CHECK(publish_id(world, "s", "\xff") == "invalid_argument");
  CHECK(publish_id(world, "s", std::string(255, 'x')) == "1");
}

TEST_CASE("dedup: an ephemeral stream knows its ids until the restart") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.ephemeral = true; });
  CHECK(publish_id(world, "s", "x") == "1");
  CHECK(publish_id(world, "s", "x") == "1 again");
  CHECK(*world.run(world.now->purge(purge_request{"s", "", 0, 0})) == 1);
  CHECK(publish_id(world, "s", "x") == "2");
}

TEST_CASE("dedup: after a power cut at any moment an id and its message are there together or not at all") {
  const seed_range seeds = test_seeds(40, 2000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    shard_fixture world;
    world.storage.journal.segment_bytes = 16u << 10;
    world.storage.journal.batch_bytes_max = 8u << 10;
    world.start();
    world.create("s");
    std::map<std::string, uint64_t> acknowledged;
    for (int round = 0; round < 4; ++round) {
      std::vector<std::string> ids;
      std::vector<special> whats(30);
      std::vector<started<result<published>>> running;
      for (size_t i = 0; i < whats.size(); ++i) {
        whats[i].id = std::to_string(random() % 60);
        whats[i].payload = std::string(random() % 300, 'x');
        running.emplace_back(world.now->publish(request_of("s", "a", whats[i])));
        if (random() % 4 == 0) world.step(random);
      }
      for (uint64_t i = random() % 12; i > 0; --i) world.step(random);
      for (size_t i = 0; i < running.size(); ++i) {
        if (running[i].done() && running[i].value()) acknowledged[whats[i].id] = running[i].value()->seq.raw();
      }
      world.crash(random());
      world.start();
      const uint64_t last = world.info("s").stats.last_seq;
      uint64_t fresh = last;
      for (int id = 0; id < 60; ++id) {
        const std::string name = std::to_string(id);
        const std::string answer = publish_id(world, "s", name);
        const auto known = acknowledged.find(name);
        if (known != acknowledged.end()) CHECK(answer == std::to_string(known->second) + " again");
        if (answer.find("again") == std::string::npos) {
          CHECK(answer == std::to_string(++fresh));
          acknowledged[name] = fresh;
        } else {
          const uint64_t original = std::stoull(answer);
          CHECK(original <= last);
          acknowledged[name] = original;
        }
      }
      // One message an id: every message that was stored is known by its own.
      CHECK(world.info("s").stats.msg_count == acknowledged.size());
    }
  }
}

// The two lines of a table by the letter of its header: everything that is there, oldest first.
struct naive_table {
  static constexpr int64_t window = 1000;
  static constexpr size_t most = 20;
  struct known {
    std::string id;
    uint64_t seq;
    int64_t at;
    bool scheduled;
  };
  std::vector<known> all;

  const known* find(const std::string& id, int64_t now) const {
    for (const known& one : all) {
      if (one.id == id && now - one.at < window) return &one;
    }
    return nullptr;
  }
  void put(const known& fresh) {
    std::erase_if(all, [&fresh](const known& one) { return one.id == fresh.id; });
    all.push_back(fresh);
    for (;;) {
      const auto same = [&fresh](const known& one) { return one.scheduled == fresh.scheduled; };
      const auto oldest = std::find_if(all.begin(), all.end(), same);
      const bool many = static_cast<size_t>(std::count_if(all.begin(), all.end(), same)) > most;
      if (!many && fresh.at - oldest->at < window) break;
      all.erase(oldest);
    }
  }
};

TEST_CASE("dedup table: against a naive one, with ids of scheduled messages, a clock that goes back, and restarts") {
  const seed_range seeds = test_seeds(100, 5000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto table = std::make_unique<dedup_table>(naive_table::window, naive_table::most);
    naive_table model;
    int64_t now = 5000;
    uint64_t next[2] = {1, 1};
    for (int step = 0; step < 600; ++step) {
      now += static_cast<int64_t>(random() % 40);
      if (random() % 50 == 0) now += static_cast<int64_t>(random() % 4000) - 2000;
      const std::string id = "id" + std::to_string(random() % 40);
      const auto* found = table->find(id, wall_ms(now));
      const auto* expected = model.find(id, now);
      REQUIRE((found != nullptr) == (expected != nullptr));
      if (found != nullptr) {
        CHECK(found->seq.raw() == expected->seq);
        CHECK(found->scheduled == expected->scheduled);
      }
      const bool scheduled = random() % 3 == 0;
      if (random() % 10 == 0) {
        std::vector<seq_no> gone;
        for (uint64_t seq = 1; seq < next[scheduled ? 1 : 0]; ++seq) {
          if (random() % 4 == 0) gone.push_back(seq_no(seq));
        }
        const auto hit = [&](const naive_table::known& one) {
          return one.scheduled == scheduled && std::count(gone.begin(), gone.end(), seq_no(one.seq)) != 0;
        };
        CHECK(table->among(gone, scheduled).size() ==
              static_cast<size_t>(std::count_if(model.all.begin(), model.all.end(), hit)));
        table->forget(gone, scheduled);
        std::erase_if(model.all, hit);
      } else if (found == nullptr || random() % 3 == 0) {
        const uint64_t seq = next[scheduled ? 1 : 0]++;
        table->put(id, seq_no(seq), wall_ms(now), scheduled);
        model.put({id, seq, now, scheduled});
      }
      CHECK(table->size() == model.all.size());
      if (random() % 60 != 0) continue;
      auto again = std::make_unique<dedup_table>(naive_table::window, naive_table::most);
      table->for_each([&again](const dedup_table::known& one) { again->load(one); });
      table = std::move(again);
    }
  }
}

TEST_CASE("dedup: when the clock goes back, what was asked meanwhile and a restart change no answer") {
  // Answers after: nothing; a repetition and a refused publish in between; a restart; a kill.
  for (const int between : {0, 1, 2, 3}) {
    CAPTURE(between);
    shard_fixture world;
    world.start();
    world.create("s", [](stream_config& c) { c.dedup_window_ms = 10'000; });
    CHECK(publish_id(world, "s", "x") == "1");
    world.advance_ms(5'000);
    CHECK(publish_id(world, "s", "y") == "2");
    world.advance_ms(7'000);
    if (between == 1) {
      CHECK(publish_id(world, "s", "y") == "2 again");
      special refused;
      refused.id = "x";
      refused.expected = 77;
      CHECK(told(publish_special(world, "s", "a", refused)) == "wrong_revision");
    }
    if (between == 2) REQUIRE(world.restart());
    if (between == 3) {
      world.kill();
      world.start();
    }
    world.clock.set_wall(wall_ms(world.clock.wall().raw() - 3'000));
    CHECK(publish_id(world, "s", "x") == "1 again");  // nine seconds old by this clock
    world.advance_ms(1'000);
    CHECK(publish_id(world, "s", "x") == "3");
    // A later publish let go of what it was behind by the window, and that is for good.
    world.advance_ms(5'000);
    CHECK(publish_id(world, "s", "z") == "4");
    if (between == 2) REQUIRE(world.restart());
    world.clock.set_wall(wall_ms(world.clock.wall().raw() - 3'000));
    CHECK(publish_id(world, "s", "y") == "5");
    CHECK(publish_id(world, "s", "x") == "3 again");
  }
}

TEST_CASE("dedup: the newest ids stay when the wall clock goes back, and scheduled ones push out no others") {
  shard_fixture world;
  world.limits.dedup_ids_max = 3;
  world.start();
  world.create("s");
  for (int i = 1; i <= 2; ++i) CHECK(publish_id(world, "s", std::to_string(i)) == std::to_string(i));
  world.clock.set_wall(wall_ms(world.clock.wall().raw() - 1'000'000));
  CHECK(publish_id(world, "s", "3") == "3");
  special later;
  for (int i = 1; i <= 3; ++i) {
    later.id = "later" + std::to_string(i);
    later.deliver_at_ms = world.clock.wall().raw() + 60'000;
    CHECK(told(publish_special(world, "s", "a", later)) == "later");
  }
  REQUIRE(world.restart());
  for (int i = 1; i <= 3; ++i) {
    CHECK(publish_id(world, "s", std::to_string(i)) == std::to_string(i) + " again");
    CHECK(publish_id(world, "s", "later" + std::to_string(i)) == "later again");
  }
  CHECK(publish_id(world, "s", "4") == "4");
  CHECK(publish_id(world, "s", "3") == "3 again");
  CHECK(publish_id(world, "s", "1") == "5");
}

}  // namespace
}  // namespace weir
