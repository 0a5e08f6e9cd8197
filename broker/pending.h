// The messages of one consumer that it looked at and is not done with: delivered and not acknowledged, or held back.
//
// Owned by its consumer. Ordered by sequence, in pages; the pages are ordered by their earliest deadline too, and those
// in which something waits for (re)delivery are known. So an operation on a message costs a search among the pages and
// a look at one of them, also with a million pending, and nothing is left behind that must be swept later. A message
// takes 24 bytes in its page, at most 64 with everything: neighbours that fit into one page are joined. Only
// for_each(), clear() and erase_before() take as long as there are messages for them.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "broker/pending_page.h"

namespace weir {

class pending_set {
 public:
  using stage = pending_stage;
  using entry = pending_entry;
  static constexpr uint32_t deliveries_max = (1u << 24) - 1;  // counted no further

  pending_set() = default;
  pending_set(const pending_set&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t held() const { return held_; }
  size_t delivered() const { return size_ - held_; }
  // Lowest pending sequence. Not empty.
  seq_no lowest() const { return pages_.begin()->second[0].seq; }
  // Valid until the next change of the set.
  const entry* find(seq_no seq) const;

  // Puts a message where it says, new to the set or not; it keeps its subject.
  void put(seq_no seq, uint32_t deliveries, stage where, mono_ns deadline = mono_ns());
  // Delivered now.
  void put(seq_no seq, uint32_t deliveries, mono_ns deadline) { put(seq, deliveries, stage::out, deadline); }
  // Of one that is in the set.
  void set_subject(seq_no seq, uint32_t subject);
  // Leaves the set. nullopt: it was not in it.
  std::optional<entry> erase(seq_no seq);
  // Everything below `first_kept` leaves.
  void erase_before(seq_no first_kept);
  void clear();

  // What is past its deadline is due; what had `attempts_max` attempts (0: no such bound) is dying instead and appended
  // to `exhausted`, in order of deadline. At most `most` messages: the others the next time.
  void expire(mono_ns now, uint32_t attempts_max, std::vector<seq_no>& exhausted, size_t most = SIZE_MAX);
  // The same for this one.
  void expire_one(seq_no seq, mono_ns now, uint32_t attempts_max, std::vector<seq_no>& exhausted);
  // Takes the lowest sequence that is due, or ready if those are wanted, for its delivery: it is put() again after
  // that.
  std::optional<entry> take_due(bool ready_too = false);
  // The sequence that take_due() would take.
  std::optional<seq_no> first_due(bool ready_too = false) const;
  bool has_due() const { return !with_due_.empty(); }
  bool has_ready() const { return !with_ready_.empty(); }
  // The earliest; nullopt: nothing is out.
  std::optional<mono_ns> next_deadline() const;

  template <class Function>
  void for_each(Function&& each) const {
    for (const auto& [key, in] : pages_) {
      for (const entry& one : in.entries()) each(one);
    }
  }
  // At most `most` of what was delivered and is at or below `up_to`, lowest first.
  void list_delivered(seq_no up_to, size_t most, std::vector<seq_no>& into) const;
  // At most `most` from `from` on that have no subject.
  std::vector<seq_no> list_unknown(seq_no from, size_t most) const;
  // Bytes of memory held.
  size_t memory_bytes() const;

 private:
  // By a sequence that is at or below the first of the page and above the last of the page before.
  using page_map = std::map<seq_no, pending_page>;

  // The page in which it is, or would be; end() if that is before the first. Remembers it: the next message asked for
  // is mostly a neighbour.
  page_map::iterator page_of(seq_no seq) {
    return seq >= recent_from_ && seq < recent_until_ ? recent_ : page_further_off(seq);
  }
  page_map::iterator page_further_off(seq_no seq);
  // To be called before pages come, go or change their key.
  void forget_recent() { recent_from_ = recent_until_ = seq_no(); }
  page_map::const_iterator page_of(seq_no seq) const { return const_cast<pending_set*>(this)->page_of(seq); }
  // Where the message is, or would be (a page's end; end() and 0).
  struct place {
    page_map::iterator page;
    size_t index;
    bool found;
  };
  place place_of(seq_no seq) {
    const auto at = page_of(seq);
    if (at == pages_.end()) return {at, 0, false};
    const size_t index = at->second.lower_bound(seq);
    return {at, index, index < at->second.size() && at->second[index].seq == seq};
  }
  // A page for it, with room for one more.
  page_map::iterator page_with_room(seq_no seq);
  void replace(page_map::iterator at, size_t index, const entry& one);
  void erase_page(page_map::iterator at);
  // With a neighbour, if both fit into one.
  void join(page_map::iterator at);
  bool append_next(page_map::iterator at);
  // Keeps the orders of pages: its sums were `was` and are `is` now.
  void file(seq_no key, const pending_page::sums& was, const pending_page::sums& is);

  page_map pages_;  // none is empty
  std::set<std::pair<mono_ns, seq_no>> by_deadline_;
  std::set<seq_no> with_due_;
  std::set<seq_no> with_ready_;
  size_t size_ = 0;
  size_t held_ = 0;
  page_map::iterator recent_;  // the page of [recent_from_, recent_until_), if that is not empty
  seq_no recent_from_;
  seq_no recent_until_;
};

}  // namespace weir
