// The messages of one consumer that it looked at and is not done with: delivered and not acknowledged, or held back.
//
// Owned by its consumer. Every operation is O(1) or O(log n) (amortised). A pending message takes at most 64 bytes: 24
// in a queue ordered by sequence, 16 in a heap ordered by deadline, 8 while it waits for (re)delivery. What left is
// marked and swept when it makes up a fifth; heap entries that no longer hold are skipped.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "storage/ids.h"
#include "storage/time.h"

namespace weir {

// Where a pending message is.
enum class pending_stage : uint8_t {
  left,     // out of the set, not swept yet
  held,     // never delivered: waits for room at its subject
  ready,    // held, and there is room
  picked,   // ready, being read for its delivery
  taken,    // due, being read for its delivery
  in_hand,  // handed out and not on the wire yet: no deadline
  out,      // delivered, its deadline runs
  due,      // to be delivered again
  dying,    // given up, its dead letter is not written yet
};

class pending_set {
 public:
  using stage = pending_stage;
  static constexpr uint32_t deliveries_max = (1u << 24) - 1;  // counted no further

  struct entry {
    seq_no seq;
    mono_ns deadline;              // if out: due after it
    uint32_t subject = 0;          // the owner's number for it; 0: none
    uint32_t deliveries : 24 = 0;  // attempts so far
    stage where : 8 = stage::left;
    // Never delivered, by the cap of its subject.
    bool is_held() const { return where == stage::held || where == stage::ready || where == stage::picked; }
  };

  size_t size() const { return live_; }
  bool empty() const { return live_ == 0; }
  size_t held() const { return held_; }
  size_t delivered() const { return live_ - held_; }
  // Lowest pending sequence. Not empty.
  seq_no lowest() const { return entries_.front().seq; }
  // Valid until the next change of the set.
  const entry* find(seq_no seq) const;

  // Puts a message where it says, new to the set or not; it keeps its subject.
  void put(seq_no seq, uint32_t deliveries, stage where, mono_ns deadline = mono_ns());
  // Delivered now.
  void put(seq_no seq, uint32_t deliveries, mono_ns deadline) { put(seq, deliveries, stage::out, deadline); }
  // The same for many new ones, in order of sequence, that lie anywhere among the others.
  void put_all_due(const std::vector<seq_no>& seqs);
  // Of one that is in the set.
  void set_subject(seq_no seq, uint32_t subject);
  // Leaves the set. nullopt: it was not in it.
  std::optional<entry> erase(seq_no seq);
  // Everything below `first_kept` leaves.
  void erase_before(seq_no first_kept);
  void clear();

  // Moves what is past its deadline to the redelivery queue; what had `attempts_max` attempts (0: no such bound) is
  // dying instead and appended to `exhausted`. Looks at no more than `most` deadlines. `now` never goes back.
  void expire(mono_ns now, uint32_t attempts_max, std::vector<seq_no>& exhausted, size_t most = SIZE_MAX);
  // Takes the lowest sequence that is due, or ready if those are wanted, for its delivery: it is put() again after
  // that.
  std::optional<entry> take_due(bool ready_too = false);
  // The sequence that take_due() would take.
  std::optional<seq_no> first_due(bool ready_too = false);
  bool has_due() { return first_due().has_value(); }
  bool has_ready();
  // When expire() has something to do next; nullopt: nothing is scheduled.
  std::optional<mono_ns> next_deadline();

  template <class Function>
  void for_each(Function&& each) const {
    for (const entry& one : entries_) {
      if (one.where != stage::left) each(one);
    }
  }
  // At most `most` of what was delivered and is at or below `up_to`, lowest first.
  void list_delivered(seq_no up_to, size_t most, std::vector<seq_no>& into) const;
  // At most `most` from `from` on that have no subject.
  std::vector<seq_no> list_unknown(seq_no from, size_t most) const;
  // Bytes of memory held.
  size_t memory_bytes() const;

 private:
  struct alarm {
    mono_ns deadline;
    seq_no seq;
  };
  struct later {
    bool operator()(const alarm& left, const alarm& right) const {
      return left.deadline != right.deadline ? left.deadline > right.deadline : left.seq > right.seq;
    }
  };
  using seq_heap = std::deque<seq_no>;

  std::deque<entry>::iterator locate(seq_no seq);
  void move(entry& one, stage to);
  void schedule(const entry& one);
  bool holds(const alarm& one) const;
  bool front_is(seq_heap& heap, stage wanted);
  void push(seq_heap& heap, seq_no seq, stage wanted);
  static void pop(seq_heap& heap);
  void drop_stale_alarms();
  void drop_left_entries();

  std::deque<entry> entries_;  // by sequence; the front is never one that left
  std::deque<alarm> alarms_;   // heap, earliest first; some no longer hold
  seq_heap due_;               // heap, lowest first; some no longer hold
  seq_heap ready_;             // the same
  size_t live_ = 0;
  size_t held_ = 0;
};

}  // namespace weir
