// The messages of one consumer that are delivered and not acknowledged.
//
// Owned by its consumer. Every operation is O(1) or O(log n) (amortised). A pending message takes at most 64 bytes: 24
// in a queue ordered by sequence, 16 in a heap ordered by deadline, 8 while it waits for redelivery. What left is
// marked and swept when it makes up a fifth; heap entries that no longer hold are skipped.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "storage/ids.h"
#include "storage/time.h"

namespace weir {

class pending_set {
 public:
  struct entry {
    seq_no seq;
    mono_ns deadline;         // redelivered after it
    uint32_t deliveries = 0;  // attempts so far; 0: left the set
    bool due = false;         // past its deadline, waits in the redelivery queue
  };

  size_t size() const { return live_; }
  bool empty() const { return live_ == 0; }
  // Lowest pending sequence. Not empty.
  seq_no lowest() const { return entries_.front().seq; }
  const entry* find(seq_no seq) const;

  // A new delivery, or another of a message that is pending already: `deliveries` attempts so far.
  void put(seq_no seq, uint32_t deliveries, mono_ns deadline);
  // Leaves the set. nullopt: it was not in it.
  std::optional<entry> erase(seq_no seq);
  // Everything below `first_kept` leaves.
  void erase_before(seq_no first_kept);

  // Moves what is past its deadline to the redelivery queue; what had `deliveries_max` attempts leaves the set instead
  // and is appended to `exhausted`. `now` never goes back.
  void expire(mono_ns now, uint32_t deliveries_max, std::vector<seq_no>& exhausted);
  // Takes the lowest sequence out of the redelivery queue; it stays pending and is either put() again or made_due().
  std::optional<entry> take_due();
  void make_due(seq_no seq);
  bool has_due();
  // The sequence take_due() would take; has_due().
  seq_no first_due() const { return due_.front(); }
  // When expire() has something to do next; nullopt: nothing is scheduled.
  std::optional<mono_ns> next_deadline();

  template <class Function>
  void for_each(Function&& each) const {
    for (const entry& one : entries_) {
      if (one.deliveries != 0) each(one);
    }
  }
  // Bytes of memory held.
  size_t memory_bytes() const;

 private:
  struct alarm {
    mono_ns deadline;
    seq_no seq;
  };
  struct later {
    bool operator()(const alarm& left, const alarm& right) const { return left.deadline > right.deadline; }
  };

  std::deque<entry>::iterator locate(seq_no seq);
  bool holds(const alarm& one) const;
  void drop_stale_alarms();
  void drop_left_entries();
  void leave(entry& one);

  std::deque<entry> entries_;  // by sequence; the front is never one that left
  std::deque<alarm> alarms_;   // heap, earliest first; some no longer hold
  std::deque<seq_no> due_;     // heap, lowest first; some no longer hold
  size_t live_ = 0;
};

}  // namespace weir
