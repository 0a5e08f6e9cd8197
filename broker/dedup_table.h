// The message ids that one stream knows: a publish with one of them is a repetition and stores nothing.
//
// Owned by its stream, made at the first id. What it holds is a pure function of the calls that change it, which are in
// the journal; what it answers, of that and the time it is asked with: the same after any restart, however often and
// when it was asked before. The table is two lines by sequence, of the stream's messages and of the scheduled ones. A
// new id lets go what is older than it by the window, from the front of its line, and what is beyond the newest
// ids_max; asking lets go of nothing. An id that is there is known for the window, counted from the publish that
// brought it (a repetition does not count). So a wall clock that goes back pushes out nothing: the ids it left behind
// are known for so much longer, and those whose window had ended are known again unless a later publish let them go.
// Ids of scheduled messages carry the message's sequence in the stream's schedule until it comes due, and are new in
// the stream then, with the time of their publish. Time is the broker's. Lives from journal and snapshot
// (state_codec.h).
//
// An id takes about 120 bytes, and its own if it is longer than 15.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/ids.h"
#include "storage/time.h"

namespace weir {

class dedup_table {
 public:
  dedup_table(uint64_t window_ms, size_t ids_max) : window_ms_(window_ms), ids_max_(ids_max) {}
  dedup_table(const dedup_table&) = delete;
  dedup_table& operator=(const dedup_table&) = delete;

  struct known {
    std::string id;
    seq_no seq;  // in the stream; of a scheduled message in the schedule
    wall_ms at;  // of the publish
    bool scheduled = false;
  };
  // nullptr: not known (any more). Valid until the next call that changes the table.
  const known* find(std::string_view id, wall_ms now) const;
  // Sequences rise from call to call, those of scheduled messages by themselves. An id that is there already moves.
  void put(std::string_view id, seq_no seq, wall_ms at, bool scheduled);
  // The same, of what for_each() told: lets go of nothing by time.
  void load(const known& one);

  // Those of the rising `seqs` that have an id.
  std::vector<seq_no> among(const std::vector<seq_no>& seqs, bool scheduled) const;
  void forget(const std::vector<seq_no>& seqs, bool scheduled);
  // The ids of sequences below `end` for which `gone` holds.
  template <class Gone>
  bool any_below(seq_no end, bool scheduled, Gone gone) const {
    for (const known& one : queue(scheduled)) {
      if (one.seq >= end) break;
      if (!one.id.empty() && gone(one.seq)) return true;
    }
    return false;
  }
  template <class Gone>
  void forget_below(seq_no end, bool scheduled, Gone gone) {
    for (known& one : queue(scheduled)) {
      if (one.seq >= end) break;
      if (!one.id.empty() && gone(one.seq)) kill(one);
    }
    tidy(scheduled);
  }

  // What must be kept of it, in an order that load() takes.
  template <class Each>
  void for_each(Each each) const {
    for (const bool scheduled : {false, true}) {
      for (const known& one : queue(scheduled)) {
        if (!one.id.empty()) each(one);
      }
    }
  }
  size_t size() const { return by_id_.size(); }

 private:
  using line = std::deque<known>;  // by sequence; without id: left

  line& queue(bool scheduled) { return queues_[scheduled ? 1 : 0]; }
  const line& queue(bool scheduled) const { return queues_[scheduled ? 1 : 0]; }
  bool expired(const known& one, wall_ms now) const;
  // False: it is not there, because its sequence does not rise.
  bool add(std::string_view id, seq_no seq, wall_ms at, bool scheduled);
  void kill(known& one);
  void drop_front(bool scheduled);
  void tidy(bool scheduled);

  const uint64_t window_ms_;
  const size_t ids_max_;
  line queues_[2];
  size_t counts_[2] = {0, 0};  // with id
  std::unordered_map<std::string_view, known*> by_id_;
};

}  // namespace weir
