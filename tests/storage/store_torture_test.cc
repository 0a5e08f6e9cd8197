// The store beside its naive model, with everything that can go wrong with a disk: power cuts, failed writes and syncs,
// no space, flipped bits, files gone.
#include <doctest/doctest.h>

#include <algorithm>

#include "storage/block_format.h"
#include "storage/snapshot.h"
#include "tests/sim/test_seed.h"
#include "tests/storage/store_world.h"

namespace weir {
namespace {

log_options options_for(uint64_t number) {
  log_options options;
  options.block_records = 20 + number * 17 % 90;
  options.written_is_visible = number % 5 == 4;
  options.label = "log " + std::to_string(number);
  return options;
}

// Does one random thing; false if the store took nothing (failed or full).
class random_user {
 public:
  explicit random_user(store_world& world) : world_(world) {}
  // One log has most of every segment, and takes them over.
  static void favour_one(store_world& world) {
    world.config.taken_bytes_min = 0;
    world.config.journal.segment_bytes = 16 << 10;
    world.config.journal.batch_bytes_max = 4 << 10;
  }

  bool act() {
    uint64_t choice = random(100);
    if (ids().empty() || (choice < 3 && ids().size() < 5)) return create();
    const bool favourite = world_.config.taken_bytes_min == 0 && random(8) != 0;
    stream_id stream = favourite ? ids().front() : ids()[random(ids().size())];
    if (choice < 55) return append(stream, 1 + random(favourite ? 30 : 6));
    if (choice < 65) return overwrite(stream);
    if (choice < 75) return remove_some(stream);
    if (choice < 80) return remove_front(stream);
    if (choice < 81) return world_.note(random(1'000'000));
    if (choice < 82) return move(stream);
    if (choice < 83) return world_.drop(stream);
    if (choice < 86) return checkpoint();
    if (choice < 90) return !looks || look(stream);
    if (choice < 92) return tick();
    return world_.sync();
  }

  bool looks = true;  // off where the journal may fail: then the log forgets what the model still has

 private:
  uint64_t random(uint64_t bound) { return world_.random() % bound; }
  std::vector<stream_id> ids() const {
    std::vector<stream_id> found;
    for (const auto& [id, log] : world_.model.logs) found.push_back(id);
    return found;
  }

  bool create() {
    log_options options = options_for(next_);
    return world_.create(stream_id(next_++), options);
  }
  bool append(stream_id stream, uint64_t messages) {
    for (uint64_t i = 0; i < messages; ++i) {
      std::string payload(random(10) == 0 ? random(3'000) : random(80), static_cast<char>('a' + random(26)));
      std::string subject = "s." + std::to_string(random(6));
      if (!world_.append(stream, subject, payload, wall_ms(static_cast<int64_t>(random(2'000))))) return false;
    }
    return true;
  }
  bool overwrite(stream_id stream) {
    std::string subject = "s." + std::to_string(random(6));
    if (!exact(stream)) return false;
    const subject_info* known = world_.log(stream).find_subject(subject);
    seq_no old = known != nullptr ? known->first : seq_no();
    if (!world_.append(stream, subject, "new", wall_ms(1))) return false;
    return old == seq_no() || world_.remove(stream, {old});
  }
  bool exact(stream_id stream) { return static_cast<bool>(world_.run(world_.log(stream).become_exact())); }
  bool remove_some(stream_id stream) {
    std::vector<seq_no> seqs;
    uint64_t last = world_.model.logs[stream].last.raw();
    for (uint64_t i = random(5); i < 5; ++i) seqs.push_back(seq_no(random(last + 2)));
    return world_.remove(stream, seqs);
  }
  bool remove_front(stream_id stream) {
    auto oldest = world_.run(world_.log(stream).oldest(seq_no(), 1 + random(10)));
    if (!oldest || oldest->empty()) return static_cast<bool>(oldest);
    seq_no kept = random(10) == 0 ? world_.model.logs[stream].last.next() : oldest->back().seq;
    return world_.remove_before(stream, kept);
  }
  // A note, a run of records and a removal from another log, as one entry of the journal.
  bool move(stream_id to) {
    stream_id from = ids()[random(ids().size())];
    std::vector<seq_no> gone;
    for (const auto& [seq, message] : world_.model.logs[from].live) {
      if (gone.size() < 3 && random(4) == 0) gone.push_back(seq);
    }
    std::vector<std::string> payloads(1 + random(5));
    for (std::string& payload : payloads) payload.assign(random(10) == 0 ? random(2'000) : random(80), 'm');
    return world_.move(from, gone, to, payloads, random(1'000'000));
  }
  bool checkpoint() {
    auto done = world_.run(world_.it->checkpoint());
    return done || !looks || done.err().code == errc::disk_full;
  }
  bool look(stream_id stream) {
    world_.compare(world_.log(stream), world_.model.logs[stream]);
    return true;
  }
  bool tick() {
    world_.clock.advance_ms(600);
    world_.it->tick();
    return true;
  }

  store_world& world_;
  uint64_t next_ = 1;
};

TEST_CASE("store: a thousand random operations and clean restarts answer like the model") {
  auto seeds = test_seeds(30, 400);
  uint64_t taken = 0;
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    store_world world(seed);
    if (seed % 2 == 1) random_user::favour_one(world);
    world.where.can_allocate = seed % 4 != 1;
    random_user user(world);
    REQUIRE(world.open());
    for (int i = 0; i < 400; ++i) {
      REQUIRE(user.act());
      if (world.random() % 100 != 0) continue;
      REQUIRE(world.close());
      REQUIRE(world.open());
      REQUIRE(world.it->report().notes.empty());
    }
    world.compare_all();
    REQUIRE(world.close());
    REQUIRE(world.open());
    world.compare_all();
    REQUIRE(world.it->report().quarantined.empty());
    REQUIRE(world.it->report().damaged_records == 0);
    taken += world.taken_blocks();
  }
  CHECK(taken > seeds.last - seeds.first);
}

TEST_CASE("store: power cuts lose nothing acknowledged and leave a prefix of what was done") {
  auto seeds = test_seeds(200, 2000);
  uint64_t taken = 0;
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    store_world world(seed);
    if (seed % 2 == 1) random_user::favour_one(world);
    world.where.can_allocate = seed % 4 != 1;
    random_user user(world);
    REQUIRE(world.open());
    for (int cut = 0; cut < 3; ++cut) {
      CAPTURE(cut);
      uint64_t acts = world.random() % 120;
      for (uint64_t i = 0; i < acts; ++i) REQUIRE(user.act());
      // The power goes while lanes are at work.
      for (uint64_t steps = world.random() % 6; steps > 0 && world.commits.pending() + world.pool.pending() > 0;
           --steps) {
        world.turn();
      }
      world.where.crash(seed * 1000 + static_cast<uint64_t>(cut));
      world.abandon();
      REQUIRE(world.open());
      REQUIRE(world.it->report().damaged_records == 0);
      REQUIRE(world.it->report().quarantined.empty());
      world.settle_on_observed();
      world.compare_all();
      taken += world.taken_blocks();
    }
  }
  CHECK(taken > seeds.last - seeds.first);
}

// What happens to a store when the disk fails at some point: nothing is acknowledged that is not there afterwards.
void fail_and_recover(uint64_t seed, sim_disk::op which, uint64_t k, bool onwards, errc code) {
  store_world world(seed);
  if (seed % 2 == 1) random_user::favour_one(world);
  random_user user(world);
  user.looks = false;
  REQUIRE(world.open());
  world.where.fail(which, k, onwards, code);
  for (int after = 0, acts = 0; after < 20; ++acts) {
    REQUIRE(acts < 10'000);
    bool taken = user.act();
    if (!taken && world.it->failed()) break;
    after += world.where.failures() > 0 ? 1 : 0;
  }
  if (world.it->failed()) {
    // Reads go on, and show what is durable.
    model_store shown = world.observed();
    CHECK_FALSE(world.has_room(10, false));
    CHECK_FALSE(world.has_room(10, true));
    auto checkpoint = world.run(world.it->checkpoint());
    CHECK_FALSE(checkpoint);
    CHECK(shown.logs.size() == world.client.logs.size());
  }
  world.where.crash(seed + k);
  world.abandon();
  REQUIRE(world.open());
  REQUIRE(world.it->report().damaged_records == 0);
  world.settle_on_observed();
  world.compare_all();
}

TEST_CASE("store: the power goes at every write, sync and rename") {
  uint64_t stride = test_stride(17);
  for (uint64_t k = 1; k <= 500; k += stride) {
    CAPTURE(k);
    fail_and_recover(k % 10, sim_disk::op::change, k, true, errc::storage_failed);
  }
}

TEST_CASE("store: one failed write is never acknowledged and costs nothing else") {
  uint64_t stride = test_stride(17);
  for (uint64_t k = 1; k <= 500; k += stride) {
    CAPTURE(k);
    fail_and_recover(k % 10, sim_disk::op::write, k, false, errc::storage_failed);
  }
}

TEST_CASE("store: one failed sync is never acknowledged and never retried on the same file") {
  uint64_t stride = test_stride(17);
  for (uint64_t k = 1; k <= 500; k += stride) {
    CAPTURE(k);
    fail_and_recover(k % 10, sim_disk::op::sync, k, false, errc::storage_failed);
  }
}

TEST_CASE("store: one write without space is reported and done later") {
  uint64_t stride = test_stride(11);
  for (uint64_t k = 1; k <= 300; k += stride) {
    CAPTURE(k);
    fail_and_recover(k % 10, sim_disk::op::write, k, false, errc::disk_full);
  }
}

TEST_CASE("store: a failed block sync puts the records into another file at the next checkpoint") {
  store_world world(3);
  REQUIRE(world.open());
  REQUIRE(world.create(stream_id(1), options_for(1)));
  for (int i = 0; i < 10; ++i) REQUIRE(world.append(stream_id(1), "s.1", "first", wall_ms(1)));
  REQUIRE(world.run(world.it->checkpoint()));
  for (int i = 0; i < 10; ++i) REQUIRE(world.append(stream_id(1), "s.2", "second", wall_ms(2)));
  REQUIRE(world.sync());
  while (world.commits.pending() + world.pool.pending() != 0) world.step();
  world.where.fail(sim_disk::op::sync, 1);
  auto failed = world.run(world.it->checkpoint());
  REQUIRE_FALSE(failed);
  CHECK_FALSE(world.it->failed());
  world.compare_all();
  REQUIRE(world.run(world.it->checkpoint()));
  auto names = world.where.list(stream_dir("s0", stream_id(1)));
  REQUIRE(names);
  CHECK(names->size() == 2);  // the old one as it was, and a new one
  world.compare_all();
  world.where.crash(1);
  world.abandon();
  REQUIRE(world.open());
  world.settle_on_observed();
  CHECK(world.model.logs[stream_id(1)].live.size() == 20);
  world.compare_all();
}

TEST_CASE("store: a full disk refuses, keeps serving and goes on by itself") {
  store_world world(4);
  world.config.disk_reserve_bytes = 300 << 10;
  REQUIRE(world.open());
  REQUIRE(world.create(stream_id(1), options_for(60)));
  random_user user(world);
  world.where.set_capacity(1 << 20);
  bool refused = false;
  for (int i = 0; i < 3000 && !refused; ++i) {
    refused = world.it->full() || !world.append(stream_id(1), "s.1", std::string(1000, 'x'), wall_ms(i % 2000));
    if (i % 20 == 0) REQUIRE(world.sync());
    if (i % 50 != 0) continue;
    world.it->tick();
    while (world.commits.pending() + world.pool.pending() != 0) world.turn();
  }
  CHECK(refused);
  REQUIRE(world.sync());
  world.compare_all();
  // What frees space still works.
  REQUIRE(world.remove_before(stream_id(1), world.model.logs[stream_id(1)].last));
  REQUIRE(world.sync());
  world.compare_all();
  for (int i = 0; i < 10; ++i) {
    world.it->tick();
    while (world.commits.pending() + world.pool.pending() != 0) world.turn();
    if (!world.it->full()) break;
    // Each checkpoint lets go of what the one before still needed.
    auto done = world.run(world.it->checkpoint());
    if (done) REQUIRE(world.note(1));
  }
  CHECK_FALSE(world.it->full());
  REQUIRE(world.append(stream_id(1), "s.1", "again", wall_ms(1)));
  REQUIRE(world.sync());
  REQUIRE(world.close());
  world.where.set_capacity(1 << 30);
  REQUIRE(world.open());
  world.compare_all();
}

// A directory with everything in it: sealed and open blocks, removals, two snapshots, a journal tail.
void build_rich(store_world& world) {
  REQUIRE(world.open());
  REQUIRE(world.create(stream_id(1), options_for(1)));
  REQUIRE(world.create(stream_id(2), options_for(2)));
  for (int i = 0; i < 90; ++i) {
    REQUIRE(world.append(stream_id(1), "s." + std::to_string(i % 4), std::string(20, 'a'), wall_ms(i)));
    REQUIRE(world.append(stream_id(2), "s.7", std::string(5, 'b'), wall_ms(i)));
    if (i == 40 || i == 70) REQUIRE(world.run(world.it->checkpoint()));
    if (i == 50) REQUIRE(world.remove(stream_id(1), {seq_no(3), seq_no(12), seq_no(45)}));
    if (i == 60) REQUIRE(world.remove_before(stream_id(2), seq_no(15)));
  }
  REQUIRE(world.sync());
  world.where.restart();
  world.abandon();
}

// The same of a log whose blocks were segments of the journal; some of its records were gone before.
void build_taken(store_world& world) {
  random_user::favour_one(world);
  REQUIRE(world.open());
  REQUIRE(world.create(stream_id(1), options_for(1)));
  REQUIRE(world.create(stream_id(2), options_for(2)));
  for (int i = 0; i < 90; ++i) {
    REQUIRE(world.append(stream_id(1), "s." + std::to_string(i % 4), std::string(500, 'a'), wall_ms(i)));
    if (i % 10 == 0) REQUIRE(world.append(stream_id(2), "s.7", std::string(5, 'b'), wall_ms(i)));
    if (i % 10 == 5) REQUIRE(world.move(stream_id(1), {seq_no(static_cast<uint64_t>(i))}, stream_id(1), {"c", "d"}, 1));
    if (i == 50) REQUIRE(world.remove(stream_id(1), {seq_no(3), seq_no(12), seq_no(45)}));
    if (i == 60) REQUIRE(world.remove_before(stream_id(2), seq_no(3)));
    REQUIRE(world.sync());
    while (world.commits.pending() + world.pool.pending() != 0) world.turn();
  }
  REQUIRE(world.taken_blocks() >= 2);
  world.where.restart();
  world.abandon();
}

using builder = void (*)(store_world&);

// Opens a damaged copy. Whatever is shown is right; how many messages of the model are not shown and not even known?
struct damage_outcome {
  uint64_t missing = 0;   // live in the model, not shown
  uint64_t reported = 0;  // of them reported as damaged by a scan
  uint64_t risen = 0;     // shown though removed
  std::vector<std::string> quarantined;
};
damage_outcome open_damaged(const store_world& from, std::unique_ptr<sim_disk> copy) {
  // A world of its own around the damaged disk.
  stepped_lane commits;
  stepped_lane pool;
  manual_clock clock;
  test_client client;
  damage_outcome outcome;
  auto opened = store::open(*copy, commits, pool, clock, "s0", from.config, client);
  REQUIRE(opened);
  auto drain = [&] {
    while (commits.pending() + pool.pending() != 0) {
      commits.run_all();
      pool.run_all();
    }
  };
  drain();
  for (const auto& [id, expected] : from.model.logs) {
    stream_log* log = (*opened)->log(id);
    REQUIRE(log != nullptr);
    scan_request request;
    request.from = seq_no(1);
    request.to = seq_no(10'000);
    std::optional<result<scan_result>> found;
    gate running;
    auto scan = [](stream_log& of, scan_request what, std::optional<result<scan_result>>& to) -> task<void> {
      to.emplace(co_await of.scan(what));
    };
    running.spawn(scan(*log, request, found));
    drain();
    REQUIRE(running.running() == 0);
    REQUIRE(*found);
    std::set<seq_no> shown;
    for (const auto& each : (*found)->records) {
      auto record = decode_record(each.bytes.bytes());
      REQUIRE(record);
      shown.insert(each.seq);
      auto known = expected.live.find(each.seq);
      if (known == expected.live.end()) {
        ++outcome.risen;
        continue;
      }
      REQUIRE(record->subject == known->second.subject);
      REQUIRE(as_text(record->payload) == known->second.payload);
    }
    for (const auto& [seq, message] : expected.live) {
      if (!shown.contains(seq)) ++outcome.missing;
    }
    outcome.reported += (*found)->damaged.size();
    REQUIRE(log->stats().last <= expected.last);
  }
  outcome.quarantined = (*opened)->report().quarantined;
  opened->reset();
  drain();
  return outcome;
}

std::vector<std::string> files_below(sim_disk& where, const std::string& dir) {
  std::vector<std::string> found;
  auto names = where.list(dir);
  REQUIRE(names);
  for (const std::string& name : *names) {
    std::string path = dir + "/" + name;
    if (!name.ends_with('/')) {
      found.push_back(path);
      continue;
    }
    path.pop_back();
    for (std::string& each : files_below(where, path)) found.push_back(std::move(each));
  }
  return found;
}

TEST_CASE("store: a flipped bit in any block or snapshot never shows wrong bytes and costs at most one message") {
  for (const builder build : {build_rich, build_taken}) {
    store_world world(5);
    build(world);
    uint64_t stride = test_stride(61);
    uint64_t looked = 0;
    for (const std::string& path : files_below(world.where, "s0")) {
      bool block = path.find("/block-") != std::string::npos;
      bool snapshot = path.find("/snapshot-") != std::string::npos;
      if (!block && !snapshot) continue;
      uint64_t size = world.where.contents(path).size();
      for (uint64_t byte = looked % stride; byte < size; byte += stride, ++looked) {
        CAPTURE(path);
        CAPTURE(byte);
        auto copy = world.where.copy();
        copy->flip_bit(path, byte, static_cast<unsigned>(byte % 8));
        damage_outcome outcome = open_damaged(world, std::move(copy));
        REQUIRE(outcome.missing <= (block ? 1 : 0));
        REQUIRE(outcome.reported == outcome.missing);
        REQUIRE(outcome.risen == 0);
      }
    }
    CHECK(looked > 100);
  }
}

TEST_CASE("store: a deleted or cut snapshot costs nothing, nor do both") {
  for (const builder build : {build_rich, build_taken}) {
    store_world world(6);
    build(world);
    auto snapshots = list_snapshots(world.where, "s0");
    REQUIRE(snapshots);
    REQUIRE(snapshots->size() == 2);
    for (int which = 1; which <= 3; ++which) {
      for (bool deleted : {true, false}) {
        CAPTURE(which);
        CAPTURE(deleted);
        auto copy = world.where.copy();
        for (int i = 0; i < 2; ++i) {
          if ((which >> i & 1) == 0) continue;
          std::string path = snapshot_path("s0", (*snapshots)[static_cast<size_t>(i)]);
          if (deleted) {
            REQUIRE(copy->remove(path));
          } else {
            copy->cut(path, copy->contents(path).size() / 2);
          }
        }
        damage_outcome outcome = open_damaged(world, std::move(copy));
        CHECK(outcome.missing == 0);
        CHECK(outcome.reported == 0);
        // That they were removed, only the snapshots knew: that part of the journal was used again.
        const uint64_t forgotten = build == build_taken && which == 3 ? 3 : 0;
        CHECK(outcome.risen == forgotten);
        CHECK(outcome.quarantined.size() == (deleted ? 0u : which == 3 ? 2u : 1u));
      }
    }
  }
}

TEST_CASE("store: a deleted block file costs its messages, reported, and no others") {
  for (const builder build : {build_rich, build_taken}) {
    store_world world(7);
    build(world);
    for (const std::string& path : files_below(world.where, "s0/streams")) {
      CAPTURE(path);
      auto copy = world.where.copy();
      REQUIRE(copy->remove(path));
      damage_outcome outcome = open_damaged(world, std::move(copy));
      CHECK(outcome.missing > 0);
      CHECK(outcome.missing <= 71);
      CHECK(outcome.reported == outcome.missing);
      CHECK(outcome.risen == 0);
    }
  }
}

TEST_CASE("store: a block file cut anywhere keeps what is left of it") {
  for (const builder build : {build_rich, build_taken}) {
    store_world world(8);
    build(world);
    uint64_t stride = test_stride(211, 13);
    for (const std::string& path : files_below(world.where, "s0/streams")) {
      uint64_t size = world.where.contents(path).size();
      for (uint64_t cut = 0; cut < size; cut += stride) {
        CAPTURE(path);
        CAPTURE(cut);
        auto copy = world.where.copy();
        copy->cut(path, cut);
        damage_outcome outcome = open_damaged(world, std::move(copy));
        REQUIRE(outcome.reported == outcome.missing);
        REQUIRE(outcome.risen == 0);
      }
    }
  }
}

}  // namespace
}  // namespace weir
