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

static_assert(sizeof(pending_set::entry) == 24);

std::deque<pending_set::entry>::iterator pending_set::locate(seq_no seq) {
  return std::lower_bound(entries_.begin(), entries_.end(), seq,
                          [](const entry& one, seq_no wanted) { return one.seq < wanted; });
}

const pending_set::entry* pending_set::find(seq_no seq) const {
  const auto at = const_cast<pending_set*>(this)->locate(seq);
  return at != entries_.end() && at->seq == seq && at->where != stage::left ? &*at : nullptr;
}

// The one place that counts.
void pending_set::move(entry& one, stage to) {
  if (one.where == stage::left) ++live_;
  if (one.is_held()) --held_;
  one.where = to;
  if (one.is_held()) ++held_;
  if (to == stage::left) --live_;
}

void pending_set::put(seq_no seq, uint32_t deliveries, stage where, mono_ns deadline) {
  WEIR_CHECK(where != stage::left);
  auto at = entries_.end();
  if (entries_.empty() || entries_.back().seq < seq) {
    at = entries_.insert(at, entry());
  } else if (at = locate(seq); at->seq != seq) {
    at = entries_.insert(at, entry());
  }
  if (at->where == stage::left) *at = entry();
  at->seq = seq;
  at->deadline = deadline;
  at->deliveries = std::min(deliveries, deliveries_max) & deliveries_max;
  move(*at, where);
  schedule(*at);
}

void pending_set::schedule(const entry& one) {
  if (one.where == stage::due) return push(due_, one.seq, stage::due);
  if (one.where == stage::ready) return push(ready_, one.seq, stage::ready);
  if (one.where != stage::out) return;
  alarms_.push_back(alarm{one.deadline, one.seq});
  std::push_heap(alarms_.begin(), alarms_.end(), later());
  if (alarms_.size() > entries_max(live_)) drop_stale_alarms();
}

void pending_set::put_all_due(const std::vector<seq_no>& seqs) {
  std::vector<seq_no> fresh;
  std::copy_if(seqs.begin(), seqs.end(), std::back_inserter(fresh),
               [this](seq_no seq) { return find(seq) == nullptr; });
  // One that left and was not swept would lie beside its new self.
  std::erase_if(entries_, [](const entry& one) { return one.where == stage::left; });
  const auto middle = static_cast<ptrdiff_t>(entries_.size());
  for (const seq_no seq : fresh) {
    entry one;
    one.seq = seq;
    move(one, stage::due);
    entries_.push_back(one);
  }
  const auto by_seq = [](const entry& left, const entry& right) { return left.seq < right.seq; };
  std::inplace_merge(entries_.begin(), entries_.begin() + middle, entries_.end(), by_seq);
  for (const seq_no seq : fresh) push(due_, seq, stage::due);
}

void pending_set::set_subject(seq_no seq, uint32_t subject) {
  const auto at = locate(seq);
  if (at != entries_.end() && at->seq == seq) at->subject = subject;
}

std::optional<pending_set::entry> pending_set::erase(seq_no seq) {
  const auto at = locate(seq);
  if (at == entries_.end() || at->seq != seq || at->where == stage::left) return std::nullopt;
  const entry found = *at;
  move(*at, stage::left);
  drop_left_entries();
  return found;
}

void pending_set::erase_before(seq_no first_kept) {
  while (!entries_.empty() && entries_.front().seq < first_kept) {
    if (entries_.front().where != stage::left) move(entries_.front(), stage::left);
    entries_.pop_front();
  }
  drop_left_entries();
}

void pending_set::clear() {
  entries_.clear();
  alarms_.clear();
  due_.clear();
  ready_.clear();
  live_ = 0;
  held_ = 0;
}

void pending_set::drop_left_entries() {
  while (!entries_.empty() && entries_.front().where == stage::left) entries_.pop_front();
  if (entries_.size() <= entries_max(live_)) return;
  std::erase_if(entries_, [](const entry& one) { return one.where == stage::left; });
  if (alarms_.size() > entries_max(live_)) drop_stale_alarms();
}

bool pending_set::holds(const alarm& one) const {
  const entry* found = find(one.seq);
  return found != nullptr && found->where == stage::out && found->deadline == one.deadline;
}

void pending_set::drop_stale_alarms() {
  std::erase_if(alarms_, [this](const alarm& one) { return !holds(one); });
  std::make_heap(alarms_.begin(), alarms_.end(), later());
}

void pending_set::expire(mono_ns now, uint32_t attempts_max, std::vector<seq_no>& exhausted, size_t most) {
  for (; most != 0 && !alarms_.empty() && alarms_.front().deadline <= now; --most) {
    const alarm next = alarms_.front();
    std::pop_heap(alarms_.begin(), alarms_.end(), later());
    alarms_.pop_back();
    if (!holds(next)) continue;
    entry& late = *locate(next.seq);
    if (attempts_max == 0 || late.deliveries < attempts_max) {
      move(late, stage::due);
      push(due_, late.seq, stage::due);
    } else {
      move(late, stage::dying);
      exhausted.push_back(late.seq);
    }
  }
}

// --- redelivery ---

void pending_set::push(seq_heap& heap, seq_no seq, stage wanted) {
  heap.push_back(seq);
  std::push_heap(heap.begin(), heap.end(), std::greater<>());
  if (heap.size() <= entries_max(live_)) return;
  // The same message was due again and again: each counts once.
  std::sort(heap.begin(), heap.end());
  heap.erase(std::unique(heap.begin(), heap.end()), heap.end());
  std::erase_if(heap, [this, wanted](seq_no one) {
    const entry* found = find(one);
    return found == nullptr || found->where != wanted;
  });
}

void pending_set::pop(seq_heap& heap) {
  std::pop_heap(heap.begin(), heap.end(), std::greater<>());
  heap.pop_back();
}

bool pending_set::front_is(seq_heap& heap, stage wanted) {
  while (!heap.empty()) {
    const entry* found = find(heap.front());
    if (found != nullptr && found->where == wanted) return true;
    pop(heap);
  }
  return false;
}

bool pending_set::has_ready() {
  return front_is(ready_, stage::ready);
}

std::optional<seq_no> pending_set::first_due(bool ready_too) {
  std::optional<seq_no> first;
  if (front_is(due_, stage::due)) first = due_.front();
  if (ready_too && has_ready() && (!first || ready_.front() < *first)) first = ready_.front();
  return first;
}

std::optional<pending_set::entry> pending_set::take_due(bool ready_too) {
  const auto first = first_due(ready_too);
  if (!first) return std::nullopt;
  entry& found = *locate(*first);
  const bool was_due = found.where == stage::due;
  pop(was_due ? due_ : ready_);
  move(found, was_due ? stage::taken : stage::picked);
  return found;
}

std::optional<mono_ns> pending_set::next_deadline() {
  while (!alarms_.empty() && !holds(alarms_.front())) {
    std::pop_heap(alarms_.begin(), alarms_.end(), later());
    alarms_.pop_back();
  }
  if (alarms_.empty()) return std::nullopt;
  return alarms_.front().deadline;
}

void pending_set::list_delivered(seq_no up_to, size_t most, std::vector<seq_no>& into) const {
  for (const entry& one : entries_) {
    if (one.seq > up_to || into.size() >= most) return;
    if (one.where != stage::left && !one.is_held()) into.push_back(one.seq);
  }
}

std::vector<seq_no> pending_set::list_unknown(seq_no from, size_t most) const {
  std::vector<seq_no> unknown;
  for (auto at = const_cast<pending_set*>(this)->locate(from); at != entries_.end() && unknown.size() < most; ++at) {
    if (at->where != stage::left && at->subject == 0) unknown.push_back(at->seq);
  }
  return unknown;
}

size_t pending_set::memory_bytes() const {
  return entries_.size() * sizeof(entry) + alarms_.size() * sizeof(alarm) +
         (due_.size() + ready_.size()) * sizeof(seq_no);
}

}  // namespace weir
