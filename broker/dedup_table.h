// The message ids that one stream knows: a publish with one of them is a repetition and stores nothing.
//
// Owned by its stream, made at the first id. An id is known for the window, counted from the publish that brought it (a
// repetition does not count), and as long as it is among the newest ids_max by sequence: of the stream's messages, or
// of the scheduled ones, each line by itself. Which those are no clock says: the wall clock going back pushes out
// nothing, it makes the ids it left behind known for so much longer. Whether an id whose window had ended is known
// again when the clock goes back after that is open: it may have been let go, and be back after a restart (also if its
// message was purged meanwhile). Expired ones that were not let go yet count among the newest. Ids of scheduled
// messages carry the message's sequence in the stream's schedule until it comes due, and are new in the stream then.
// Time is the broker's; while the wall clock is not to be trusted nothing is forgotten by time. Lives from journal and
// snapshot (state_codec.h).
//
// An id takes about 120 bytes, and its own if it is longer than 15.
#pragma once

#include <deque>
#include <optional>
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
  const known* find(std::string_view id, std::optional<wall_ms> now);
  // Sequences rise from call to call, those of scheduled messages by themselves. An id that is there already moves.
  void put(std::string_view id, seq_no seq, wall_ms at, bool scheduled);

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

  // What must be kept of it, in an order that put() takes.
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
  bool expired(const known& one, std::optional<wall_ms> now) const;
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
