// What the journal's tests share: a visitor that remembers, and a journal on a simulated disk that can be crashed and
// opened again.
#pragma once

#include <doctest/doctest.h>

#include "storage/journal.h"
#include "storage/journal_format.h"
#include "tests/sim/inline_lane.h"
#include "tests/sim/loose_tasks.h"
#include "tests/sim/manual_clock.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/stepped_lane.h"

namespace weir {

struct seen_entry {
  uint64_t at;
  uint64_t end;
  entry_kind kind;
  uint64_t stream;
  std::string payload;
  bool operator==(const seen_entry&) const = default;
};

struct remembering_visitor final : journal_visitor {
  std::vector<seen_entry> entries;
  std::vector<std::pair<uint64_t, uint64_t>> holes;
  std::vector<std::pair<uint64_t, uint64_t>> cuts;

  result<void> on_entry(const journal_entry& entry) override {
    entries.push_back(seen_entry{entry.at.raw(), entry.end.raw(), entry.kind, entry.stream.raw(),
                                 std::string(as_text(entry.payload.bytes()))});
    return ok();
  }
  void on_hole(lsn from, lsn to) override { holes.emplace_back(from.raw(), to.raw()); }
  void on_cut(lsn from, lsn to) override { cuts.emplace_back(from.raw(), to.raw()); }

  std::vector<std::string> payloads() const {
    std::vector<std::string> all;
    for (const auto& each : entries) all.push_back(each.payload);
    return all;
  }
};

inline constexpr uint64_t small_segment = 128 * 1024;

inline journal_config small_journal() {
  journal_config config;
  config.segment_bytes = small_segment;
  return config;
}

// Appends one entry; the caller has room.
inline lsn append(journal& to, std::string_view payload, uint64_t stream = 1, entry_kind kind = entry_kind::records) {
  auto space = to.reserve(kind, stream_id(stream), payload.size());
  std::copy(payload.begin(), payload.end(), space.payload);
  return to.seal();
}

// The outcome of something awaited: nothing until it ended.
using outcome_slot = std::optional<result<void>>;
inline task<void> await_durable(journal& in, lsn end, outcome_slot& slot) {
  auto outcome = co_await in.durable(end);
  slot = std::move(outcome);
}
inline task<void> await_written(journal& in, lsn end, outcome_slot& slot) {
  auto outcome = co_await in.written(end);
  slot = std::move(outcome);
}
inline task<void> await_room(journal& in, size_t bytes, bool use_reserve, outcome_slot& slot) {
  auto outcome = co_await in.room(bytes, use_reserve);
  slot = std::move(outcome);
}
inline task<void> await_close(journal& in, outcome_slot& slot) {
  auto outcome = co_await in.close();
  slot = std::move(outcome);
}

// A journal in "j" on a disk that outlives it.
template <class Lane>
struct journal_on {
  sim_disk& where;
  manual_clock& clock;
  journal_config config;
  Lane lane;
  remembering_visitor seen;
  loose_tasks tasks;
  std::unique_ptr<journal> it;

  journal_on(sim_disk& disk, manual_clock& time, const journal_config& wanted = small_journal())
      : where(disk), clock(time), config(wanted) {}
  ~journal_on() { drop(); }

  result<void> open(lsn from = lsn()) {
    seen = {};
    auto opened = journal::open(where, lane, clock, "j", config, from, seen);
    if (!opened) return opened.err();
    it = std::move(*opened);
    return ok();
  }
  void run() {
    if constexpr (requires { lane.run_all(); }) lane.run_all();
  }
  // What a killed process does to its memory.
  void drop() {
    if constexpr (requires { lane.forget(); }) lane.forget();
    tasks.drop();
    it.reset();
  }
  result<void> close() {
    outcome_slot slot;
    tasks.spawn(await_close(*it, slot));
    run();
    REQUIRE(slot);
    it.reset();
    return *slot;
  }
  result<void> sync(lsn end) {
    outcome_slot slot;
    tasks.spawn(await_durable(*it, end, slot));
    it->flush();
    run();
    REQUIRE(slot);
    return *slot;
  }
};

}  // namespace weir
