#include "storage/journal_segment.h"
#include "storage/posix_disk.h"
#include "tests/sim/temp_dir.h"
#include "tests/sim/thread_lane.h"
#include "tests/storage/journal_fixture.h"

namespace weir {
namespace {

struct inline_fixture {
  sim_disk disk;
  manual_clock clock;
  journal_on<inline_lane> j{disk, clock};
};
struct stepped_fixture {
  sim_disk disk;
  manual_clock clock;
  journal_on<stepped_lane> j{disk, clock};
  explicit stepped_fixture(const journal_config& config = small_journal()) : j(disk, clock, config) {}
};

std::vector<std::string> numbered(size_t count, size_t bytes = 20) {
  std::vector<std::string> all;
  for (size_t i = 0; i < count; ++i) {
    all.push_back("entry " + std::to_string(i) + " ");
    all.back().resize(std::max(bytes, all.back().size()), static_cast<char>('a' + i % 26));
  }
  return all;
}

// Appends with room, flushing when the journal asks for it.
void append_all(journal_on<inline_lane>& j, const std::vector<std::string>& payloads) {
  for (const auto& each : payloads) {
    outcome_slot slot;
    j.tasks.spawn(await_room(*j.it, each.size(), false, slot));
    REQUIRE(slot);
    REQUIRE(*slot);
    append(*j.it, each);
  }
}

TEST_CASE("journal: an empty directory opens, and what is appended is there after a clean close") {
  inline_fixture f;
  REQUIRE(f.j.open());
  CHECK(f.j.seen.entries.empty());
  CHECK(f.j.it->has_room(100));
  lsn first = append(*f.j.it, "hello", 7, entry_kind::state);
  lsn second = append(*f.j.it, "", 8, entry_kind::remove);
  CHECK(first < second);
  CHECK(f.j.it->appended() == second);
  REQUIRE(f.j.close());
  REQUIRE(f.j.open());
  REQUIRE(f.j.seen.entries.size() == 2);
  CHECK(f.j.seen.entries[0] == seen_entry{4096, first.raw(), entry_kind::state, 7, "hello"});
  CHECK(f.j.seen.entries[1] == seen_entry{first.raw(), second.raw(), entry_kind::remove, 8, ""});
  CHECK(f.j.seen.holes.empty());
  CHECK(f.j.seen.cuts.empty());
  CHECK(f.j.it->durable_end() == second);
}

TEST_CASE("journal: after a clean close it goes on in the same segment") {
  inline_fixture f;
  REQUIRE(f.j.open());
  lsn end = append(*f.j.it, "one");
  REQUIRE(f.j.close());
  REQUIRE(f.j.open());
  lsn next = append(*f.j.it, "two");
  CHECK(next.raw() == end.raw() + 40);
  REQUIRE(f.j.close());
  REQUIRE(f.j.open());
  CHECK(f.j.seen.payloads() == std::vector<std::string>{"one", "two"});
}

TEST_CASE("journal: replay starts at the position asked for") {
  inline_fixture f;
  REQUIRE(f.j.open());
  lsn middle;
  for (const auto& each : numbered(50)) {
    lsn end = append(*f.j.it, each);
    if (each.starts_with("entry 19 ")) middle = end;
  }
  REQUIRE(f.j.close());
  REQUIRE(f.j.open(middle));
  CHECK(f.j.seen.entries.size() == 30);
  CHECK(f.j.seen.entries.front().payload.starts_with("entry 20 "));
}

TEST_CASE("journal: durable resolves after the sync, not after the write") {
  stepped_fixture f;
  REQUIRE(f.j.open());
  f.j.run();
  lsn end = append(*f.j.it, "x");
  outcome_slot durable;
  f.j.tasks.spawn(await_durable(*f.j.it, end, durable));
  CHECK_FALSE(durable);
  uint64_t syncs = f.disk.count(sim_disk::op::sync);
  f.j.it->flush();
  CHECK(f.disk.count(sim_disk::op::sync) == syncs);
  REQUIRE(f.j.lane.work());
  CHECK(f.disk.count(sim_disk::op::sync) > syncs);
  CHECK_FALSE(durable);
  f.j.lane.done();
  REQUIRE(durable);
  CHECK(*durable);
  CHECK(f.j.it->durable_end() == end);
}

TEST_CASE("journal: what gathers during a commit goes out together with the next") {
  stepped_fixture f;
  REQUIRE(f.j.open());
  f.j.run();
  append(*f.j.it, "starts the first segment");
  REQUIRE(f.j.sync(f.j.it->appended()));
  uint64_t before = f.j.it->stats().syncs;
  constexpr size_t waiting = 256;
  std::vector<outcome_slot> slots(waiting);
  for (size_t i = 0; i < waiting; ++i) {
    lsn end = append(*f.j.it, "message", 1 + i % 64);
    f.j.tasks.spawn(await_durable(*f.j.it, end, slots[i]));
    f.j.it->flush();  // every publisher ends its turn
  }
  f.j.run();
  for (auto& slot : slots) {
    REQUIRE(slot);
    CHECK(*slot);
  }
  CHECK(f.j.it->stats().syncs - before == 2);
}

TEST_CASE("journal: who comes alone need not wait for the end of the turn") {
  sim_disk disk;
  manual_clock clock;
  journal_on<stepped_lane> j(disk, clock);
  REQUIRE(j.open());
  j.run();
  clock.advance_ms(1000);
  outcome_slot first;
  j.tasks.spawn(await_durable(*j.it, append(*j.it, "alone"), first));
  j.it->hasten(true);
  j.run();
  CHECK(first.has_value());
  outcome_slot second;
  j.tasks.spawn(await_durable(*j.it, append(*j.it, "close behind"), second));
  j.it->hasten(true);
  j.run();
  CHECK_FALSE(second.has_value());  // more may be coming
  j.it->flush();
  j.run();
  CHECK(second.has_value());
  clock.advance_ms(1000);
  append(*j.it, "nobody waits for the sync");
  const uint64_t syncs = j.it->stats().syncs;
  j.it->hasten(false);
  j.run();
  CHECK(j.it->written_end() == j.it->appended());
  CHECK(j.it->stats().syncs == syncs);
}

TEST_CASE("journal: waiters resume in order of arrival, after on_progress") {
  stepped_fixture f;
  REQUIRE(f.j.open());
  f.j.run();
  std::string order;
  f.j.it->on_progress = [&] { order += 'p'; };
  auto note = [](journal& in, lsn end, std::string& to, char name) -> task<void> {
    auto outcome = co_await in.durable(end);
    to += outcome ? name : '!';
  };
  for (char name : {'a', 'b', 'c'}) f.j.tasks.spawn(note(*f.j.it, append(*f.j.it, "x"), order, name));
  f.j.it->flush();
  f.j.run();
  CHECK(order == "pabc");
}

TEST_CASE("journal: written entries are not synced until somebody asks or a tick comes") {
  stepped_fixture f;
  REQUIRE(f.j.open());
  f.j.run();
  lsn end = append(*f.j.it, "x");
  outcome_slot written;
  f.j.tasks.spawn(await_written(*f.j.it, end, written));
  f.j.it->flush();
  f.j.run();
  REQUIRE(written);
  CHECK(*written);
  CHECK(f.j.it->written_end() == end);
  CHECK(f.j.it->durable_end() < end);
  CHECK(f.j.it->stats().syncs == 0);
  SUBCASE("a waiter for durable brings the sync") {
    CHECK(f.j.sync(end));
    CHECK(f.j.it->durable_end() == end);
    CHECK(f.j.it->stats().syncs == 1);
  }
  SUBCASE("a tick brings the sync") {
    f.j.it->tick();
    f.j.run();
    CHECK(f.j.it->durable_end() == end);
  }
  SUBCASE("closing brings the sync") {
    CHECK(f.j.close());
    f.disk.crash(1);
    REQUIRE(f.j.open());
    CHECK(f.j.seen.payloads() == std::vector<std::string>{"x"});
  }
  SUBCASE("a waiter that comes while the write is under way gets its sync too") {
    lsn next = append(*f.j.it, "y");
    f.j.it->flush();
    REQUIRE(f.j.lane.work());
    outcome_slot durable;
    f.j.tasks.spawn(await_durable(*f.j.it, next, durable));
    f.j.it->flush();
    f.j.run();
    REQUIRE(durable);
    CHECK(*durable);
    CHECK(f.j.it->durable_end() == next);
  }
}

TEST_CASE("journal: entries run on over segments, and a large entry has a chunk of its own") {
  inline_fixture f;
  f.j.config.segment_bytes = 4 << 20;
  REQUIRE(f.j.open());
  unsigned rolls = 0;
  f.j.it->on_roll = [&] { ++rolls; };
  std::vector<std::string> payloads;
  for (size_t i = 0; i < 40; ++i)
    payloads.push_back(std::string(i % 5 == 0 ? 3'000'000 : 1000 * i, static_cast<char>('a' + i % 26)));
  append_all(f.j, payloads);
  REQUIRE(f.j.close());
  CHECK(rolls == 4);  // several that were filled in one go are told of once
  REQUIRE(f.j.open());
  CHECK(f.j.seen.payloads() == payloads);
  CHECK(f.j.seen.holes.empty());
}

TEST_CASE("journal: released segments are used again and the files stay as many as configured") {
  inline_fixture f;
  f.j.config.segments_max = 3;
  REQUIRE(f.j.open());
  f.j.it->on_roll = [&] { f.j.it->release_before(f.j.it->durable_end()); };
  append_all(f.j, numbered(20'000, 200));
  CHECK(f.disk.list("j/journal")->size() <= 4);
  lsn kept = f.j.it->appended();
  lsn last = append(*f.j.it, "last");
  REQUIRE(f.j.close());
  REQUIRE(f.j.open(kept));
  CHECK(f.j.seen.payloads() == std::vector<std::string>{"last"});
  CHECK(f.j.seen.entries.back().end == last.raw());
  CHECK(f.j.seen.holes.empty());
}

// The numbers of the files under a segment's name.
std::vector<uint64_t> segment_numbers(sim_disk& disk) {
  std::vector<uint64_t> numbers;
  const auto names = disk.list("j/journal");
  for (const std::string& name : *names) {
    if (const auto number = segment_number(name)) numbers.push_back(*number);
  }
  return numbers;
}

TEST_CASE("journal: a segment is ended early only if it is nearly full, and then holds what was appended") {
  inline_fixture f;
  REQUIRE(f.j.open());
  const std::string payload(1000, 'x');
  CHECK(f.j.sync(append(*f.j.it, payload)));
  f.j.it->end_segment();
  CHECK(f.j.it->filled_segments().empty());
  bool told = false;
  f.j.it->on_roll = [&] { told = true; };
  while (!told) CHECK(f.j.sync(append(*f.j.it, payload)));
  CHECK(f.j.it->filled_segments().empty());  // not yet
  f.j.it->end_segment();
  const auto filled = f.j.it->filled_segments();
  REQUIRE(filled.size() == 1);
  CHECK(filled[0].end == f.j.it->appended());
  CHECK(filled[0].base == lsn(0));
  CHECK(filled[0].end.raw() > small_segment / 16 * 15);
  CHECK(filled[0].bytes == small_segment);
  CHECK(filled[0].path == "j/journal/" + segment_name(1));
  told = false;
  const lsn next = append(*f.j.it, payload);
  CHECK(next.raw() > small_segment);
  CHECK(f.j.sync(next));
  CHECK_FALSE(told);  // of the same segment once
  CHECK(segment_numbers(f.disk) == std::vector<uint64_t>{1, 2});
  REQUIRE(f.j.close());
  REQUIRE(f.j.open());
  CHECK(f.j.seen.entries.back().end == next.raw());
  CHECK(f.j.seen.holes.empty());
}

TEST_CASE(
    "journal: a segment that was taken over keeps its bytes; the next file is allocated, where that can be done") {
  for (const bool can_allocate : {true, false}) {
    CAPTURE(can_allocate);
    inline_fixture f;
    f.disk.can_allocate = can_allocate;
    f.j.config.segment_bytes = 4 << 20;  // sixteen writes of zeros
    REQUIRE(f.j.open());
    const std::string payload(100'000, 'x');
    bool told = false;
    f.j.it->on_roll = [&] { told = true; };
    while (!told) CHECK(f.j.sync(append(*f.j.it, payload)));
    f.j.it->end_segment();
    const auto filled = f.j.it->filled_segments();
    REQUIRE(filled.size() == 1);
    REQUIRE(f.disk.link(filled[0].path, "kept"));
    f.j.it->taken_over(filled[0].base);
    CHECK(f.j.it->filled_segments().empty());
    const auto bytes = f.disk.contents("kept");
    const uint64_t writes = f.disk.count(sim_disk::op::write);
    CHECK(f.j.sync(append(*f.j.it, payload)));  // into the spare, and another is made
    f.j.it->release_before(f.j.it->durable_end());
    const uint64_t made_by = f.disk.count(sim_disk::op::write) - writes;
    CHECK((can_allocate ? made_by < 10 : made_by > 15));
    CHECK_FALSE(f.disk.exists(filled[0].path));
    for (int i = 0; i < 200; ++i) {
      CHECK(f.j.sync(append(*f.j.it, payload)));
      f.j.it->release_before(f.j.it->durable_end());
    }
    CHECK(f.disk.contents("kept") == bytes);
    REQUIRE(f.j.close());
  }
}

TEST_CASE("journal: with every segment in use publishers wait, those who free space do not") {
  stepped_fixture f;
  f.j.config.segments_max = 2;
  REQUIRE(f.j.open());
  f.j.run();
  std::string payload(10'000, 'x');
  while (f.j.it->has_room(payload.size())) {
    append(*f.j.it, payload);
    f.j.it->flush();
    f.j.run();
  }
  lsn full_at = f.j.it->appended();
  outcome_slot publisher;
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, publisher));
  f.j.run();
  CHECK_FALSE(publisher);
  outcome_slot acker;
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), true, acker));
  REQUIRE(acker);
  CHECK(*acker);
  lsn end = append(*f.j.it, payload);
  CHECK(f.j.sync(end));
  // The reserve is for such entries alone.
  CHECK_FALSE(f.j.it->has_room(1));
  CHECK_FALSE(publisher);
  f.j.it->release_before(full_at);
  f.j.run();
  REQUIRE(publisher);
  CHECK(*publisher);
}

TEST_CASE("journal: a full disk refuses publishers, serves the reserve, and resumes by itself") {
  stepped_fixture f;
  f.disk.set_capacity(3 * small_segment + 100'000);
  REQUIRE(f.j.open());
  f.j.run();
  std::string payload(10'000, 'x');
  std::vector<std::string> stored;
  auto fill = [&](bool use_reserve) {
    for (;;) {
      outcome_slot room;
      f.j.tasks.spawn(await_room(*f.j.it, payload.size(), use_reserve, room));
      f.j.run();
      REQUIRE(room);
      if (!*room) return room->err();
      CHECK(f.j.sync(append(*f.j.it, payload)));
      stored.push_back(payload);
    }
  };
  error refused = fill(false);
  CHECK(refused.code == errc::disk_full);
  CHECK_FALSE(f.j.it->failed());
  size_t before = stored.size();
  CHECK(fill(true).code == errc::disk_full);
  CHECK(stored.size() > before);  // the reserve took some more
  CHECK_FALSE(f.j.it->has_room(1));

  f.disk.set_capacity(10 * small_segment);
  outcome_slot early;
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, early));
  f.j.run();
  REQUIRE(early);
  CHECK_FALSE(*early);  // not tried again so soon
  f.clock.advance_ms(600);
  outcome_slot later;
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, later));
  f.j.run();
  REQUIRE(later);
  CHECK(*later);
  append(*f.j.it, payload);
  stored.push_back(payload);
  REQUIRE(f.j.close());
  REQUIRE(f.j.open());
  CHECK(f.j.seen.payloads() == stored);
}

TEST_CASE("journal: it opens on a full disk, and releasing segments makes room") {
  stepped_fixture f;
  f.disk.set_capacity(3 * small_segment + 100'000);
  REQUIRE(f.j.open());
  f.j.run();
  std::string payload(10'000, 'x');
  size_t stored = 0;
  auto fill_up = [&] {
    for (;;) {
      outcome_slot room;
      f.j.tasks.spawn(await_room(*f.j.it, payload.size(), true, room));
      f.j.run();
      REQUIRE(room);
      if (!*room) return room->err().code;
      REQUIRE(f.j.sync(append(*f.j.it, payload)));
      ++stored;
    }
  };
  CHECK(fill_up() == errc::disk_full);
  f.j.drop();
  f.disk.crash(5);
  REQUIRE(f.j.open());
  CHECK(f.j.seen.entries.size() == stored);
  f.j.run();
  CHECK(fill_up() == errc::disk_full);
  f.j.it->release_before(f.j.it->appended());
  f.j.run();
  CHECK(f.j.it->has_room(payload.size()));
}

TEST_CASE("journal: a full batch makes callers of room wait for the commit") {
  stepped_fixture f;
  f.j.config.batch_bytes_max = 10'000;
  REQUIRE(f.j.open());
  f.j.run();
  std::string payload(3000, 'x');
  while (f.j.it->has_room(payload.size())) append(*f.j.it, payload);
  outcome_slot first;
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, first));
  REQUIRE(first);  // the batch went to the lane, the next one is open
  while (f.j.it->has_room(payload.size())) append(*f.j.it, payload);
  outcome_slot second;
  outcome_slot third;
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, second));
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, third));
  CHECK_FALSE(second);
  CHECK_FALSE(f.j.it->has_room(1));
  f.j.run();
  REQUIRE(second);
  REQUIRE(third);
  CHECK(*second);
}

TEST_CASE("journal: an entry that no segment can hold is refused") {
  inline_fixture f;
  REQUIRE(f.j.open());
  outcome_slot slot;
  f.j.tasks.spawn(await_room(*f.j.it, small_segment, false, slot));
  REQUIRE(slot);
  REQUIRE(!*slot);
  CHECK(slot->err().code == errc::oversize);
  outcome_slot fits;
  f.j.tasks.spawn(await_room(*f.j.it, small_segment - 4096 - 32, false, fits));
  REQUIRE(fits);
  REQUIRE(*fits);
  append(*f.j.it, std::string(small_segment - 4096 - 32, 'x'));
  REQUIRE(f.j.close());
  REQUIRE(f.j.open());
  CHECK(f.j.seen.entries.size() == 1);
}

TEST_CASE("journal: a failed write or sync poisons it for ever") {
  stepped_fixture f;
  REQUIRE(f.j.open());
  f.j.run();
  lsn good = append(*f.j.it, "good");
  REQUIRE(f.j.sync(good));
  auto kind = sim_disk::op::write;
  SUBCASE("write") {}
  SUBCASE("sync") {
    kind = sim_disk::op::sync;
  }
  f.disk.fail(kind, 1);
  lsn bad = append(*f.j.it, "bad");
  auto first = f.j.sync(bad);
  REQUIRE(!first);
  CHECK(first.err().code == errc::storage_failed);
  CHECK(f.j.it->failed());
  CHECK(f.j.it->durable_end() == good);
  uint64_t changes = f.disk.count(sim_disk::op::change);
  CHECK_FALSE(f.j.sync(bad));
  CHECK(f.j.sync(good));
  outcome_slot room;
  f.j.tasks.spawn(await_room(*f.j.it, 1, true, room));
  REQUIRE(room);
  CHECK(room->err().code == errc::storage_failed);
  CHECK_FALSE(f.j.it->has_room(1));
  f.clock.advance_ms(5000);
  f.j.it->tick();
  CHECK_FALSE(f.j.close());
  CHECK(f.disk.count(sim_disk::op::change) == changes);  // nothing is retried
}

TEST_CASE("journal: a crash before the sync cuts the tail, and new entries do not bring it back") {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    stepped_fixture f;
    REQUIRE(f.j.open());
    f.j.run();
    REQUIRE(f.j.sync(append(*f.j.it, "durable")));
    for (int i = 0; i < 20; ++i) append(*f.j.it, "lost " + std::string(200, static_cast<char>('a' + i)));
    f.j.it->flush();
    f.disk.fail(sim_disk::op::sync, 1, true);
    f.j.lane.work();
    f.j.drop();
    f.disk.crash(seed);
    REQUIRE(f.j.open());
    REQUIRE(f.j.seen.entries.size() >= 1);
    CHECK(f.j.seen.holes.empty());
    auto kept = f.j.seen.payloads();
    // The same sizes at the same place as what was lost.
    for (int i = 0; i < 3; ++i) append(*f.j.it, "new! " + std::string(200, static_cast<char>('A' + i)));
    f.j.run();
    REQUIRE(f.j.sync(f.j.it->appended()));
    f.j.drop();
    f.disk.crash(seed + 1000);
    REQUIRE(f.j.open());
    for (int i = 0; i < 3; ++i) kept.push_back("new! " + std::string(200, static_cast<char>('A' + i)));
    CHECK(f.j.seen.payloads() == kept);
    CHECK(f.j.seen.holes.empty());
  }
}

TEST_CASE("journal: a file cut within the padding of its last entry opens with that entry") {
  sim_disk disk;
  manual_clock clock;
  journal_on<inline_lane> j(disk, clock);
  REQUIRE(j.open());
  REQUIRE(j.sync(append(*j.it, "first")));
  const uint64_t end = append(*j.it, "second").raw();
  REQUIRE(j.sync(lsn(end)));
  j.drop();
  disk.cut("j/journal/1.wj", end - 1);
  REQUIRE(j.open());
  CHECK(j.seen.payloads() == std::vector<std::string>{"first", "second"});
  REQUIRE(j.sync(append(*j.it, "third")));
  j.drop();
  REQUIRE(j.open());
  CHECK(j.seen.payloads() == std::vector<std::string>{"first", "second", "third"});
}

TEST_CASE("journal: damage below what was proven durable is a hole, and everything else is there") {
  stepped_fixture f;
  REQUIRE(f.j.open());
  f.j.run();
  auto payloads = numbered(30, 100);
  std::vector<lsn> ends;
  for (const auto& each : payloads) {
    ends.push_back(append(*f.j.it, each));
    REQUIRE(f.j.sync(ends.back()));
  }
  f.j.drop();  // no clean close: the watermark is old, later batches are the proof
  f.disk.flip_bit("j/journal/1.wj", ends[9].raw() + 40, 3);
  REQUIRE(f.j.open());
  REQUIRE(f.j.seen.holes.size() == 1);
  CHECK(f.j.seen.holes[0] == std::pair(ends[9].raw(), ends[10].raw()));
  payloads.erase(payloads.begin() + 10);
  CHECK(f.j.seen.payloads() == payloads);
}

TEST_CASE("journal: the watermark tells a lost tail from a torn one") {
  stepped_fixture f;
  REQUIRE(f.j.open());
  f.j.run();
  lsn first = append(*f.j.it, "first");
  REQUIRE(f.j.sync(first));
  f.clock.advance_ms(1500);
  lsn second = append(*f.j.it, "second");
  REQUIRE(f.j.sync(second));
  f.j.run();
  f.j.drop();
  f.disk.flip_bit("j/journal/1.wj", first.raw() + 34, 0);
  REQUIRE(f.j.open());
  CHECK(f.j.seen.payloads() == std::vector<std::string>{"first"});
  REQUIRE(f.j.seen.holes.size() == 1);
  CHECK(f.j.seen.holes[0] == std::pair(first.raw(), second.raw()));
  CHECK(f.j.it->appended() == second);  // positions never go back
}

TEST_CASE("journal: a written batch that was never synced is no proof of what came before it") {
  stepped_fixture f;
  REQUIRE(f.j.open());
  f.j.run();
  REQUIRE(f.j.sync(append(*f.j.it, "durable")));
  lsn lost = append(*f.j.it, "written one");
  f.j.it->flush();
  f.j.run();
  append(*f.j.it, "written two");
  f.j.it->flush();
  f.j.run();
  f.j.drop();
  f.disk.flip_bit("j/journal/1.wj", lost.raw() - 8, 0);
  REQUIRE(f.j.open());
  CHECK(f.j.seen.payloads() == std::vector<std::string>{"durable"});
  CHECK(f.j.seen.holes.empty());
  CHECK(f.j.seen.cuts.size() == 1);
}

TEST_CASE("journal: a missing segment is a hole, and those around it are read") {
  inline_fixture f;
  REQUIRE(f.j.open());
  auto payloads = numbered(1500, 200);
  append_all(f.j, payloads);
  REQUIRE(f.j.close());
  REQUIRE(f.disk.list("j/journal")->size() >= 3);
  REQUIRE(f.disk.remove("j/journal/2.wj"));
  REQUIRE(f.j.open());
  CHECK(f.j.seen.holes.size() == 1);
  auto found = f.j.seen.payloads();
  CHECK(found.front() == payloads.front());
  CHECK(found.back() == payloads.back());
  CHECK(found.size() < payloads.size());
}

TEST_CASE("journal: a segment whose header is gone in both copies is set aside, never deleted") {
  inline_fixture f;
  REQUIRE(f.j.open());
  append(*f.j.it, "x");
  REQUIRE(f.j.close());
  f.disk.flip_bit("j/journal/1.wj", 20, 0);
  SUBCASE("one copy is enough") {
    REQUIRE(f.j.open());
    CHECK(f.j.seen.payloads() == std::vector<std::string>{"x"});
  }
  SUBCASE("none") {
    f.disk.flip_bit("j/journal/1.wj", 2048 + 20, 0);
    REQUIRE(f.j.open());
    CHECK(f.j.seen.payloads().empty());
    CHECK(f.j.seen.holes.size() == 1);
    CHECK(f.disk.exists("j/quarantine/1.wj"));
    lsn end = append(*f.j.it, "goes on");
    CHECK(end.raw() > small_segment / 100);
    REQUIRE(f.j.close());
  }
}

TEST_CASE("journal: a segment of another format version is refused by name") {
  inline_fixture f;
  REQUIRE(f.j.open());
  append(*f.j.it, "x");
  REQUIRE(f.j.close());
  std::vector<uint8_t> page(segment_data_offset);
  segment_header header;
  header.version = 2;
  encode_segment_header(page.data(), header);
  f.disk.overwrite("j/journal/1.wj", 0, page);
  auto refused = f.j.open();
  REQUIRE(!refused);
  CHECK(refused.err().code == errc::foreign_directory);
  CHECK(refused.err().message.find("1.wj has journal format version 2") != std::string::npos);
}

TEST_CASE("journal: what is shown after a failed sync and a restart is on the disk") {
  // The kernel may show bytes that it failed to write and forget that it failed.
  size_t shown = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    stepped_fixture f;
    REQUIRE(f.j.open());
    f.j.run();
    REQUIRE(f.j.sync(append(*f.j.it, "first")));
    lsn end = append(*f.j.it, std::string(3000, 'x'));
    f.disk.fail(sim_disk::op::sync, 1);
    CHECK_FALSE(f.j.sync(end));
    f.j.drop();
    f.disk.restart();
    REQUIRE(f.j.open());
    auto kept = f.j.seen.payloads();
    shown += kept.size();
    f.j.drop();
    f.disk.crash(seed);
    REQUIRE(f.j.open());
    CHECK(f.j.seen.payloads() == kept);
  }
  CHECK(shown == 100);
}

TEST_CASE("journal: closing refuses whoever waits for room and ends with everything durable") {
  stepped_fixture f;
  f.j.config.batch_bytes_max = 1000;
  REQUIRE(f.j.open());
  f.j.run();
  append(*f.j.it, std::string(900, 'x'));
  f.j.it->flush();
  append(*f.j.it, std::string(900, 'y'));
  outcome_slot waiting;
  f.j.tasks.spawn(await_room(*f.j.it, 900, false, waiting));
  CHECK_FALSE(waiting);
  outcome_slot closed;
  f.j.tasks.spawn(await_close(*f.j.it, closed));
  REQUIRE(waiting);
  CHECK(waiting->err().code == errc::unavailable);
  f.j.run();
  REQUIRE(closed);
  CHECK(*closed);
  f.j.it.reset();
  f.disk.crash(1);
  REQUIRE(f.j.open());
  CHECK(f.j.seen.entries.size() == 2);
}

TEST_CASE("journal: a fresh journal crashed at any step opens again") {
  for (uint64_t k = 1; k <= 40; ++k) {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      CAPTURE(k);
      CAPTURE(seed);
      stepped_fixture f;
      f.disk.fail(sim_disk::op::change, k, true);
      if (f.j.open()) {
        f.j.run();
        outcome_slot room;
        f.j.tasks.spawn(await_room(*f.j.it, 5, false, room));
        f.j.run();
        if (room && *room) {
          outcome_slot durable;
          f.j.tasks.spawn(await_durable(*f.j.it, append(*f.j.it, "hello"), durable));
          f.j.it->flush();
          f.j.run();
        }
      }
      f.j.drop();
      f.disk.crash(seed);
      auto again = f.j.open();
      if (!again) FAIL(again.err().message);
      CHECK(f.j.seen.entries.size() <= 1);
      f.j.run();
      CHECK(f.j.it->has_room(5));
    }
  }
}

task<void> publish_often(journal& to, uint64_t stream, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    std::string payload = std::to_string(stream) + ":" + std::to_string(i);
    auto room = co_await to.room(payload.size(), false);
    REQUIRE(room);
    lsn end = append(to, payload, stream);
    auto outcome = co_await to.durable(end);
    REQUIRE(outcome);
  }
}

TEST_CASE("journal: with a commit thread and the real disk many publishers share few syncs and lose nothing") {
  temp_dir dir;
  posix_disk disk(dir.path());
  manual_clock clock;
  thread_lane lane;
  remembering_visitor seen;
  constexpr size_t publishers = 64;
  constexpr size_t each = 100;
  auto config = small_journal();
  {
    auto opened = journal::open(disk, lane, clock, "j", config, lsn(), seen);
    REQUIRE(opened);
    journal& j = **opened;
    loose_tasks tasks;
    for (uint64_t stream = 1; stream <= publishers; ++stream) tasks.spawn(publish_often(j, stream, each));
    while (tasks.running() != 0) {
      j.flush();
      lane.run_done(true);
      clock.advance_ms(10);
      j.tick();
    }
    CHECK(j.stats().entries == publishers * each);
    CHECK(j.stats().syncs < publishers * each / 8);
    outcome_slot closed;
    tasks.spawn(await_close(j, closed));
    while (!closed) lane.run_done(true);
    CHECK(*closed);
  }
  auto again = journal::open(disk, lane, clock, "j", config, lsn(), seen);
  REQUIRE(again);
  REQUIRE(seen.entries.size() == publishers * each);
  std::map<uint64_t, size_t> next;
  for (const auto& entry : seen.entries) {
    CHECK(entry.payload == std::to_string(entry.stream) + ":" + std::to_string(next[entry.stream]++));
  }
  (*again)->tick();
  outcome_slot closed;
  loose_tasks tasks;
  tasks.spawn(await_close(**again, closed));
  while (!closed) lane.run_done(true);
  CHECK(*closed);
}

TEST_CASE("journal: opened with every segment in use it asks for a checkpoint instead of waiting for ever") {
  stepped_fixture f;
  f.j.config.segments_max = 2;
  REQUIRE(f.j.open());
  f.j.run();
  std::string payload(10'000, 'x');
  while (f.j.it->has_room(payload.size())) {
    append(*f.j.it, payload);
    f.j.it->flush();
    f.j.run();
  }
  f.j.drop();
  f.disk.crash(1);
  REQUIRE(f.j.open());
  f.j.run();
  unsigned asked = 0;
  f.j.it->on_roll = [&] { ++asked; };
  outcome_slot first;
  outcome_slot second;
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, first));
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, second));
  CHECK_FALSE(first);
  CHECK(asked == 1);
  f.j.it->release_before(f.j.it->durable_end());
  f.j.run();
  REQUIRE(first);
  CHECK(*first);
  REQUIRE(second);
}

TEST_CASE("journal: when a checkpoint could free nothing, one more segment lets the next one free it") {
  stepped_fixture f;
  f.j.config.segments_max = 2;
  REQUIRE(f.j.open());
  f.j.run();
  std::string payload(10'000, 'x');
  while (f.j.it->has_room(payload.size())) {
    append(*f.j.it, payload);
    f.j.it->flush();
    f.j.run();
  }
  unsigned asked = 0;
  f.j.it->on_roll = [&] { ++asked; };
  outcome_slot room;
  f.j.tasks.spawn(await_room(*f.j.it, payload.size(), false, room));
  CHECK(asked == 1);
  f.j.it->tick();
  CHECK(asked == 2);  // a failed checkpoint does not end the matter
  CHECK_FALSE(room);
  lsn newest = f.j.it->appended();
  f.j.it->release_before(lsn());
  f.j.run();
  REQUIRE(room);
  CHECK(*room);
  CHECK(f.j.sync(append(*f.j.it, payload)));
  f.j.it->release_before(newest);
  f.j.run();
  while (f.j.it->has_room(payload.size())) {
    append(*f.j.it, payload);
    f.j.it->flush();
    f.j.run();
  }
  CHECK(asked == 4);
  CHECK(f.disk.list("j/journal")->size() <= 4);  // and the limit is the old one again
}

}  // namespace
}  // namespace weir
