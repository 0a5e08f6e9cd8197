// A run of a consumer's pending messages (pending.h), in order of sequence, and what is to be known of them together.
//
// Owned by its pending_set. Up to 128 messages: small enough to be searched and shifted in no time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "storage/ids.h"
#include "storage/time.h"

namespace weir {

// Where a pending message is.
enum class pending_stage : uint8_t {
  held,     // never delivered: waits for room at its subject
  ready,    // held, and there is room
  picked,   // ready, being read for its delivery
  taken,    // due, being read for its delivery
  in_hand,  // handed out and not on the wire yet: no deadline
  out,      // delivered, its deadline runs
  due,      // to be delivered again
  dying,    // given up, its dead letter is not written yet
};

struct pending_entry {
  seq_no seq;
  mono_ns deadline;              // if out: due after it
  uint32_t subject = 0;          // the owner's number for it; 0: none
  uint32_t deliveries : 24 = 0;  // attempts so far
  pending_stage where : 8 = pending_stage::held;
  // Never delivered, by the cap of its subject.
  bool is_held() const {
    return where == pending_stage::held || where == pending_stage::ready || where == pending_stage::picked;
  }
};

class pending_page {
 public:
  static constexpr size_t entries_max = 128;
  static constexpr mono_ns never{INT64_MAX};

  struct sums {
    mono_ns earliest = never;  // deadline of those that are out
    uint32_t so_early = 0;     // how many of them have it: those of one delivery do
    uint32_t due = 0;
    uint32_t ready = 0;
  };

  std::span<const pending_entry> entries() const { return {entries_.begin() + gone(), entries_.end()}; }
  const pending_entry& operator[](size_t index) const { return entries_[gone_ + index]; }
  const sums& total() const { return total_; }
  size_t size() const { return entries_.size() - gone_; }
  bool full() const { return size() == entries_max; }
  // Of the first entry at or after the sequence.
  size_t lower_bound(seq_no seq) const {
    // Mostly all sequences of a page are there, or what is looked for comes after them.
    const size_t count = size();
    if (count == 0 || seq > entries_.back().seq) return count;
    const pending_entry* first = &entries_[gone_];
    const uint64_t guess = seq.raw() - first->seq.raw();  // far above for one before all
    return guess < count && first[guess].seq == seq ? static_cast<size_t>(guess) : search(seq);
  }
  // Of the first that is there.
  size_t index_of(pending_stage wanted) const;

  // Not full; the entry belongs there.
  void insert(size_t index, const pending_entry& one);
  void replace(size_t index, const pending_entry& one);
  void erase(size_t index);
  void erase_before(seq_no first_kept);
  // What is past its deadline, at most `most` of it, is due; what had `attempts_max` attempts (0: no such bound) is
  // dying and appended to `exhausted`. Returns how many.
  size_t expire(mono_ns now, uint32_t attempts_max, size_t most, std::vector<pending_entry>& exhausted);
  // The upper half leaves.
  pending_page split();
  // Takes those of the next page, for which there is room.
  void append(const pending_page& next);
  // It is no part of any sum.
  void set_subject(size_t index, uint32_t subject) { entries_[gone_ + index].subject = subject; }
  size_t memory_bytes() const { return sizeof(*this) + entries_.capacity() * sizeof(pending_entry); }

 private:
  void count(const pending_entry& one);
  void uncount(const pending_entry& one);  // which is not among the entries any more
  void recount();

  size_t search(seq_no seq) const;
  ptrdiff_t gone() const { return static_cast<ptrdiff_t>(gone_); }
  // The first ones are the first to go: they stay where they are until there is nothing else to do with the rest.
  void drop_first(size_t count);
  void close_up();

  std::vector<pending_entry> entries_;
  size_t gone_ = 0;  // at the front of entries_
  sums total_;
};

}  // namespace weir
