#include "broker/pending.h"

#include <algorithm>
#include <functional>

#include "storage/check.h"

namespace weir {
namespace {

// How many entries are tolerated for so many live ones before those that left are swept.
size_t entries_max(size_t live) {
  constexpr size_t slack = 64;
  return live + live / 4 + slack;
}

}  // namespace

std::deque<pending_set::entry>::iterator pending_set::locate(seq_no seq) {
  return std::lower_bound(entries_.begin(), entries_.end(), seq,
                          [](const entry& one, seq_no wanted) { return one.seq < wanted; });
}

const pending_set::entry* pending_set::find(seq_no seq) const {
  const auto at = const_cast<pending_set*>(this)->locate(seq);
  return at != entries_.end() && at->seq == seq && at->deliveries != 0 ? &*at : nullptr;
}

void pending_set::put(seq_no seq, uint32_t deliveries, mono_ns deadline) {
  WEIR_CHECK(deliveries != 0);
  const entry fresh{seq, deadline, deliveries, false};
  if (entries_.empty() || entries_.back().seq < seq) {
    entries_.push_back(fresh);
    ++live_;
  } else if (const auto at = locate(seq); at->seq == seq) {
    if (at->deliveries == 0) ++live_;
    *at = fresh;
  } else {
    entries_.insert(at, fresh);
    ++live_;
  }
  alarms_.push_back(alarm{deadline, seq});
  std::push_heap(alarms_.begin(), alarms_.end(), later());
  if (alarms_.size() > entries_max(live_)) drop_stale_alarms();
}

void pending_set::leave(entry& one) {
  one.deliveries = 0;
  one.due = false;
  --live_;
}

std::optional<pending_set::entry> pending_set::erase(seq_no seq) {
  const auto at = locate(seq);
  if (at == entries_.end() || at->seq != seq || at->deliveries == 0) return std::nullopt;
  const entry found = *at;
  leave(*at);
  drop_left_entries();
  return found;
}

void pending_set::erase_before(seq_no first_kept) {
  while (!entries_.empty() && entries_.front().seq < first_kept) {
    if (entries_.front().deliveries != 0) --live_;
    entries_.pop_front();
  }
  drop_left_entries();
}

void pending_set::drop_left_entries() {
  while (!entries_.empty() && entries_.front().deliveries == 0) entries_.pop_front();
  if (entries_.size() <= entries_max(live_)) return;
  std::erase_if(entries_, [](const entry& one) { return one.deliveries == 0; });
  if (alarms_.size() > entries_max(live_)) drop_stale_alarms();
}

bool pending_set::holds(const alarm& one) const {
  const entry* found = find(one.seq);
  return found != nullptr && !found->due && found->deadline == one.deadline;
}

void pending_set::drop_stale_alarms() {
  std::erase_if(alarms_, [this](const alarm& one) { return !holds(one); });
  std::make_heap(alarms_.begin(), alarms_.end(), later());
}

void pending_set::expire(mono_ns now, uint32_t deliveries_max, std::vector<seq_no>& exhausted) {
  while (!alarms_.empty() && alarms_.front().deadline <= now) {
    const alarm next = alarms_.front();
    std::pop_heap(alarms_.begin(), alarms_.end(), later());
    alarms_.pop_back();
    if (!holds(next)) continue;
    if (find(next.seq)->deliveries < deliveries_max) {
      make_due(next.seq);
    } else {
      erase(next.seq);
      exhausted.push_back(next.seq);
    }
  }
}

void pending_set::make_due(seq_no seq) {
  const auto at = locate(seq);
  if (at == entries_.end() || at->seq != seq || at->deliveries == 0 || at->due) return;
  at->due = true;
  due_.push_back(seq);
  std::push_heap(due_.begin(), due_.end(), std::greater<>());
}

bool pending_set::has_due() {
  while (!due_.empty()) {
    const entry* found = find(due_.front());
    if (found != nullptr && found->due) return true;
    std::pop_heap(due_.begin(), due_.end(), std::greater<>());
    due_.pop_back();
  }
  return false;
}

std::optional<pending_set::entry> pending_set::take_due() {
  if (!has_due()) return std::nullopt;
  const seq_no seq = due_.front();
  std::pop_heap(due_.begin(), due_.end(), std::greater<>());
  due_.pop_back();
  const auto at = locate(seq);
  at->due = false;
  return *at;
}

std::optional<mono_ns> pending_set::next_deadline() {
  while (!alarms_.empty() && !holds(alarms_.front())) {
    std::pop_heap(alarms_.begin(), alarms_.end(), later());
    alarms_.pop_back();
  }
  if (alarms_.empty()) return std::nullopt;
  return alarms_.front().deadline;
}

size_t pending_set::memory_bytes() const {
  return entries_.size() * sizeof(entry) + alarms_.size() * sizeof(alarm) + due_.size() * sizeof(seq_no);
}

}  // namespace weir
