// Damage, torn tails, failing disks and power cuts: whatever happens to the files, the journal shows no wrong byte,
// loses no good entry, and keeps every acknowledged one.
#include <random>

#include "tests/sim/test_seed.h"
#include "tests/storage/journal_fixture.h"

namespace weir {
namespace {

std::string random_payload(std::mt19937_64& random, size_t bytes_max) {
  std::string payload(random() % (bytes_max + 1), '\0');
  for (char& each : payload) each = static_cast<char>(random());
  return payload;
}

// A journal's files as some run left them, and what that run appended.
struct written_log {
  std::unique_ptr<sim_disk> disk = std::make_unique<sim_disk>();
  manual_clock clock;
  std::vector<seen_entry> entries;
};

// Batches of a few entries, each synced; the watermark moves on the way.
written_log write_log(uint64_t bytes, bool clean_close) {
  written_log log;
  journal_on<inline_lane> j(*log.disk, log.clock);
  REQUIRE(j.open());
  std::mt19937_64 random(7);
  uint64_t written = 0;
  while (written < bytes) {
    for (uint64_t left = 1 + random() % 5; left > 0; --left) {
      std::string payload = random_payload(random, 600);
      uint64_t stream = random();
      uint64_t end = append(*j.it, payload, stream).raw();
      uint64_t at = end - entry_size(payload.size());
      log.entries.push_back(seen_entry{at, end, entry_kind::records, stream, payload});
      written += end - at;
    }
    REQUIRE(j.sync(j.it->appended()));
    log.clock.advance_ms(40);
  }
  if (clean_close) REQUIRE(j.close());
  return log;
}

std::string segment_path(const seen_entry& entry) {
  return "j/journal/" + std::to_string(1 + entry.at / small_segment) + ".wj";
}

// True if no byte of the entry that means something differs between the two images of its segment.
bool is_intact(const seen_entry& entry, const std::vector<uint8_t>& before, const std::vector<uint8_t>& after) {
  uint64_t from = entry.at % small_segment;
  uint64_t to = from + entry_header_size + entry.payload.size();
  if (to > after.size()) return false;
  return std::equal(before.begin() + static_cast<ptrdiff_t>(from), before.begin() + static_cast<ptrdiff_t>(to),
                    after.begin() + static_cast<ptrdiff_t>(from));
}

// After any damage the journal must take entries and show them, with the others, at the next start.
void check_it_goes_on(sim_disk& disk, manual_clock& clock, const std::vector<seen_entry>& shown) {
  journal_on<inline_lane> j(disk, clock);
  REQUIRE(j.open());
  REQUIRE(j.seen.entries == shown);
  REQUIRE(j.sync(append(*j.it, "after the damage")));
  j.drop();
  disk.crash(shown.size());
  REQUIRE(j.open());
  REQUIRE(j.seen.entries.size() == shown.size() + 1);
  REQUIRE(j.seen.entries.back().payload == "after the damage");
}

enum class tail_damage : uint8_t { cut, zeros, garbage };

void damage_tail(sim_disk& disk, const std::string& path, uint64_t from, tail_damage how, std::mt19937_64& random) {
  if (how == tail_damage::cut) return disk.cut(path, from);
  std::vector<uint8_t> bytes = disk.contents(path);
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(from));
  for (uint8_t& byte : bytes) {
    byte = how == tail_damage::zeros ? uint8_t{0} : static_cast<uint8_t>(byte ^ (1 + random() % 255));
  }
  disk.overwrite(path, from, bytes);
}

TEST_CASE("torture: cut, zero-fill or garbage-fill the active segment at every byte of its last 64 KiB") {
  written_log log = write_log(100 * 1024, false);
  REQUIRE(log.entries.back().end < small_segment);
  const std::string path = "j/journal/1.wj";
  const std::vector<uint8_t> before = log.disk->contents(path);
  const uint64_t data_end = log.entries.back().end;
  std::mt19937_64 random(1);
  size_t holes = 0;
  size_t cuts = 0;
  for (auto how : {tail_damage::cut, tail_damage::zeros, tail_damage::garbage}) {
    for (uint64_t from = data_end - 64 * 1024; from <= data_end; from += test_stride(37)) {
      CAPTURE(from);
      CAPTURE(static_cast<int>(how));
      auto disk = log.disk->copy();
      damage_tail(*disk, path, from, how, random);
      const std::vector<uint8_t> after = disk->contents(path);
      std::vector<seen_entry> expected;
      for (const auto& each : log.entries) {
        if (!is_intact(each, before, after)) break;
        expected.push_back(each);
      }
      journal_on<inline_lane> j(*disk, log.clock);
      REQUIRE(j.open());
      REQUIRE(j.seen.entries == expected);
      REQUIRE(j.seen.holes.size() <= 1);
      // Something certainly durable is missing exactly if the watermark says so.
      holes += j.seen.holes.size();
      cuts += j.seen.cuts.size();
      if (!j.seen.holes.empty()) REQUIRE(j.seen.holes[0].first == expected.back().end);
      j.drop();
      if (from % 64 == 0) check_it_goes_on(*disk, log.clock, expected);
    }
  }
  CHECK(holes > 0);
  CHECK(cuts > 0);
}

TEST_CASE("torture: one bit flipped in every byte of a 256 KiB log costs at most the entry it is in") {
  written_log log = write_log(256 * 1024, true);
  std::vector<std::string> paths;
  for (const auto& each : log.entries) {
    if (paths.empty() || paths.back() != segment_path(each)) paths.push_back(segment_path(each));
  }
  REQUIRE(paths.size() >= 3);
  paths.push_back("j/watermark");
  size_t lost = 0;
  size_t unharmed = 0;
  for (const auto& path : paths) {
    const std::vector<uint8_t> before = log.disk->contents(path);
    uint64_t data_end = 0;
    for (const auto& each : log.entries) {
      if (segment_path(each) == path) data_end = each.end % small_segment;
    }
    // Few of the bytes behind the data: nobody reads them but the search for a torn tail.
    for (uint64_t byte = 0; byte < before.size();
         byte += test_stride(29) * (data_end != 0 && byte > data_end ? 100 : 1)) {
      CAPTURE(path);
      CAPTURE(byte);
      auto disk = log.disk->copy();
      disk->flip_bit(path, byte, static_cast<unsigned>(byte * 7 % 8));
      const std::vector<uint8_t> after = disk->contents(path);
      std::vector<seen_entry> expected;
      for (const auto& each : log.entries) {
        if (segment_path(each) != path || is_intact(each, before, after)) expected.push_back(each);
      }
      journal_on<inline_lane> j(*disk, log.clock);
      REQUIRE(j.open());
      REQUIRE(j.seen.entries == expected);
      REQUIRE(j.seen.holes.size() == log.entries.size() - expected.size());
      lost += j.seen.holes.size();
      unharmed += j.seen.holes.empty();
      if (byte % 1024 < 29) {
        j.drop();
        check_it_goes_on(*disk, log.clock, expected);
      }
    }
  }
  CHECK(lost > 0);
  CHECK(unharmed > 0);
}

TEST_CASE("torture: many damages at once never crash it and never show a wrong byte") {
  written_log log = write_log(300 * 1024, true);
  auto names = log.disk->list("j/journal");
  REQUIRE(names);
  auto [first, last] = test_seeds(300, 5000);
  for (uint64_t seed = first; seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto disk = log.disk->copy();
    for (uint64_t left = 1 + random() % 30; left > 0; --left) {
      std::string path = random() % 10 == 0 ? "j/watermark" : "j/journal/" + names->at(random() % names->size());
      uint64_t size = disk->contents(path).size();
      if (size == 0) continue;
      uint64_t at = random() % size;
      std::string garbage = random_payload(random, std::min<uint64_t>(size - at, random() % 2 == 0 ? 16 : 9000));
      if (random() % 20 == 0) {
        disk->cut(path, at);
      } else {
        disk->overwrite(path, at, as_bytes(garbage));
      }
    }
    journal_on<inline_lane> j(*disk, log.clock);
    REQUIRE(j.open());
    auto original = log.entries.begin();
    for (const auto& each : j.seen.entries) {
      original = std::find(original, log.entries.end(), each);  // in order, each one as it was written
      REQUIRE(original != log.entries.end());
    }
    REQUIRE(j.sync(append(*j.it, "goes on")));
  }
}

// An entry that was appended, and what its publisher was told about it.
struct promised {
  seen_entry entry;
  outcome_slot durable;
  outcome_slot written;
};

// Publishes to a journal through a lane that the seed steps; then the power is cut, the process killed or the journal
// closed, and the next start must show what was promised. All lives share one disk.
class random_lives {
 public:
  explicit random_lives(uint64_t seed) : random_(seed) {
    config_.segment_bytes = 64 * 1024;
    config_.segments_max = 3;
    config_.batch_bytes_max = 20'000;
  }
  sim_disk& disk() { return disk_; }
  size_t acknowledged() const { return acknowledged_; }
  size_t lost() const { return lost_; }
  uint64_t random() { return random_(); }

  // Every turn publishes, commits and now and then takes a checkpoint: about one write and one sync a turn.
  void be_steady() { steady_ = true; }
  // From one start to its end. Faults that were put into the disk before stay there.
  void live(size_t turns) {
    journal_on<stepped_lane> j(disk_, clock_, config_);
    bool opened = static_cast<bool>(j.open(from_));
    if (opened) {
      compare(j.seen);
      for (size_t i = 0; i < turns; ++i) take_turn(j);
      if (random_() % 4 == 0) finish(j);
    }
    bool killed = random_() % 4 == 0;
    uint64_t written = opened && killed ? j.it->written_end().raw() : 0;
    j.drop();
    if (killed) {
      disk_.restart();
    } else {
      disk_.crash(random_());
    }
    must_have_ = std::max(must_have_, written);
    for (const promised& each : log_) {
      if (!each.durable || !*each.durable) continue;
      must_have_ = std::max(must_have_, each.entry.end);
      ++acknowledged_;
    }
  }
  // After the last one: nothing fails any more.
  void check() {
    journal_on<inline_lane> j(disk_, clock_, config_);
    auto opened = j.open(from_);
    if (!opened) FAIL(opened.err().message);
    compare(j.seen);
  }

 private:
  void compare(const remembering_visitor& seen) {
    REQUIRE(seen.holes.empty());  // nothing was damaged
    while (!log_.empty() && log_.front().entry.end <= from_.raw()) log_.pop_front();
    REQUIRE(seen.entries.size() <= log_.size());
    for (size_t i = 0; i < seen.entries.size(); ++i) REQUIRE(seen.entries[i] == log_[i].entry);
    lost_ += log_.size() - seen.entries.size();
    if (seen.entries.size() < log_.size()) REQUIRE(log_[seen.entries.size()].entry.end > must_have_);
    log_.resize(seen.entries.size());
    for (promised& each : log_) each = promised{std::move(each.entry), {}, {}};
    if (!log_.empty()) must_have_ = std::max(must_have_, log_.back().entry.end);  // what was shown once stays
  }

  void take_steady_turn(journal_on<stepped_lane>& j) {
    j.tasks.spawn(publish(j, random_payload(random_, 2000), false));
    j.it->flush();
    j.run();
    if (random_() % 10 == 0) checkpoint(*j.it);
    if (random_() % 10 == 0) {
      clock_.advance_ms(600);
      j.it->tick();
    }
  }

  // All that is durable now is elsewhere from now on.
  void checkpoint(journal& j) {
    from_ = j.durable_end();
    j.release_before(from_);
  }

  void take_turn(journal_on<stepped_lane>& j) {
    if (steady_) return take_steady_turn(j);
    uint64_t choice = random_() % 100;
    if (choice < 45) {
      j.tasks.spawn(publish(j, random_payload(random_, random_() % 10 == 0 ? 9000 : 300), random_() % 5 == 0));
    } else if (choice < 60) {
      j.it->flush();
    } else if (choice < 75) {
      j.lane.step();
    } else if (choice < 85) {
      j.lane.work();
    } else if (choice < 93) {
      j.lane.done();
    } else if (choice < 96) {
      clock_.advance_ms(static_cast<int64_t>(random_() % 700));
      j.it->tick();
    } else if (choice < 98) {
      j.run();
    } else {
      checkpoint(*j.it);
    }
  }

  task<void> publish(journal_on<stepped_lane>& j, std::string payload, bool use_reserve) {
    auto room = co_await j.it->room(payload.size(), use_reserve);
    if (!room) co_return;
    uint64_t stream = random_();
    lsn end = append(*j.it, payload, stream);
    uint64_t at = end.raw() - entry_size(payload.size());
    log_.push_back(promised{seen_entry{at, end.raw(), entry_kind::records, stream, std::move(payload)}, {}, {}});
    promised& mine = log_.back();
    if (random_() % 4 == 0) {
      mine.written = co_await j.it->written(end);
    } else {
      mine.durable = co_await j.it->durable(end);
    }
  }

  void finish(journal_on<stepped_lane>& j) {
    bool failed = j.it->failed();
    outcome_slot slot;
    j.tasks.spawn(await_close(*j.it, slot));
    j.run();
    REQUIRE(slot);
    if (failed) REQUIRE_FALSE(*slot);
    if (*slot && !log_.empty()) must_have_ = std::max(must_have_, log_.back().entry.end);
  }

  std::mt19937_64 random_;
  sim_disk disk_;
  manual_clock clock_;
  journal_config config_;
  std::deque<promised> log_;  // every entry that is or may be in the journal, oldest first
  lsn from_;                  // a checkpoint covers everything before
  uint64_t must_have_ = 0;    // lsn: everything before it was promised
  size_t acknowledged_ = 0;
  size_t lost_ = 0;
  bool steady_ = false;
};

TEST_CASE("torture: a power cut at any moment loses nothing that was acknowledged") {
  auto [first, last] = test_seeds(300, 3000);
  size_t acknowledged = 0;
  size_t lost = 0;
  for (uint64_t seed = first; seed < last; ++seed) {
    CAPTURE(seed);
    random_lives lives(seed);
    for (int life = 0; life < 6; ++life) {
      // Half of the lives end in the middle of what the lane was doing.
      if (lives.random() % 2 == 0) lives.disk().fail(sim_disk::op::change, 1 + lives.random() % 200, true);
      lives.live(lives.random() % 400);
    }
    lives.check();
    acknowledged += lives.acknowledged();
    lost += lives.lost();
  }
  CHECK(acknowledged > 1000);
  CHECK(lost > 100);  // the cuts did hurt
}

// Runs with the k-th operation of the class failing; returns how many runs were long enough to meet it.
size_t fail_each(sim_disk::op which, bool onwards, uint64_t k_max, size_t turns_per_k) {
  size_t hit = 0;
  for (uint64_t k = 1; k <= k_max; ++k) {
    CAPTURE(k);
    CAPTURE(static_cast<int>(which));
    CAPTURE(onwards);
    random_lives lives(1000 + k);
    lives.be_steady();
    lives.disk().fail(which, k, onwards);
    lives.live(turns_per_k * k + 30);
    hit += lives.disk().failures() != 0;
    lives.live(10);
    lives.check();
  }
  return hit;
}

TEST_CASE("torture: no failed write or sync becomes an acknowledgement, whichever it is") {
  for (bool onwards : {false, true}) {
    CHECK(fail_each(sim_disk::op::write, onwards, 500, 1) == 500);
    CHECK(fail_each(sim_disk::op::sync, onwards, 500, 2) == 500);
    CHECK(fail_each(sim_disk::op::change, onwards, 500, 1) == 500);
    CHECK(fail_each(sim_disk::op::name, onwards, 40, 80) == 40);
  }
}

}  // namespace
}  // namespace weir
