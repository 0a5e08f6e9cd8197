#include "broker/pending.h"

#include <algorithm>
#include <iterator>

namespace weir {

pending_set::page_map::iterator pending_set::page_further_off(seq_no seq) {
  const auto after = pages_.upper_bound(seq);
  if (after == pages_.begin()) return pages_.end();
  recent_ = std::prev(after);
  recent_from_ = recent_->first;
  recent_until_ = after == pages_.end() ? seq_no(UINT64_MAX) : after->first;
  return recent_;
}

const pending_set::entry* pending_set::find(seq_no seq) const {
  const place at = const_cast<pending_set*>(this)->place_of(seq);
  return at.found ? &at.page->second[at.index] : nullptr;
}

void pending_set::file(seq_no key, const pending_page::sums& was, const pending_page::sums& is) {
  if (was.earliest != is.earliest) {
    if (was.earliest != pending_page::never) by_deadline_.erase({was.earliest, key});
    if (is.earliest != pending_page::never) by_deadline_.insert({is.earliest, key});
  }
  if (was.due == 0 && is.due != 0) with_due_.insert(key);
  if (was.due != 0 && is.due == 0) with_due_.erase(key);
  if (was.ready == 0 && is.ready != 0) with_ready_.insert(key);
  if (was.ready != 0 && is.ready == 0) with_ready_.erase(key);
}

// --- coming and going ---

pending_set::page_map::iterator pending_set::page_with_room(seq_no seq) {
  auto at = page_of(seq);
  if (at != pages_.end() && !at->second.full()) return at;
  forget_recent();
  if (at == pages_.end() && !pages_.empty() && !pages_.begin()->second.full()) {
    // Below all others: the first page begins earlier now.
    const pending_page::sums total = pages_.begin()->second.total();
    auto first = pages_.extract(pages_.begin());
    file(first.key(), total, {});
    first.key() = seq;
    file(seq, {}, total);
    return pages_.insert(std::move(first)).position;
  }
  if (at == pages_.end()) return pages_.try_emplace(seq).first;
  if (at->second.entries().back().seq < seq) return pages_.try_emplace(std::next(at), seq);
  const pending_page::sums before = at->second.total();
  pending_page upper = at->second.split();
  file(at->first, before, at->second.total());
  const auto next = pages_.emplace_hint(std::next(at), upper[0].seq, std::move(upper));
  file(next->first, {}, next->second.total());
  return seq < next->first ? at : next;
}

void pending_set::put(seq_no seq, uint32_t deliveries, stage where, mono_ns deadline) {
  entry one;
  one.seq = seq;
  one.deadline = deadline;
  one.deliveries = std::min(deliveries, deliveries_max) & deliveries_max;
  one.where = where;
  place at = place_of(seq);
  if (at.found) {
    one.subject = at.page->second[at.index].subject;
    return replace(at.page, at.index, one);
  }
  if (at.page == pages_.end() || at.page->second.full()) {
    at.page = page_with_room(seq);
    at.index = at.page->second.lower_bound(seq);
  }
  const pending_page::sums before = at.page->second.total();
  at.page->second.insert(at.index, one);
  file(at.page->first, before, at.page->second.total());
  ++size_;
  if (one.is_held()) ++held_;
}

void pending_set::replace(page_map::iterator at, size_t index, const entry& one) {
  const pending_page::sums before = at->second.total();
  if (at->second[index].is_held()) --held_;
  if (one.is_held()) ++held_;
  at->second.replace(index, one);
  file(at->first, before, at->second.total());
}

void pending_set::set_subject(seq_no seq, uint32_t subject) {
  const place at = place_of(seq);
  if (at.found) at.page->second.set_subject(at.index, subject);
}

std::optional<pending_set::entry> pending_set::erase(seq_no seq) {
  const auto [at, index, is_there] = place_of(seq);
  if (!is_there) return std::nullopt;
  const entry found = at->second[index];
  --size_;
  if (found.is_held()) --held_;
  if (at->second.size() == 1) {
    erase_page(at);
    return found;
  }
  const pending_page::sums before = at->second.total();
  at->second.erase(index);
  file(at->first, before, at->second.total());
  join(at);
  return found;
}

void pending_set::erase_page(page_map::iterator at) {
  forget_recent();
  file(at->first, at->second.total(), {});
  pages_.erase(at);
}

void pending_set::join(page_map::iterator at) {
  if (at->second.size() > pending_page::entries_max / 2) return;
  if (append_next(at) || at == pages_.begin()) return;
  append_next(std::prev(at));
}

bool pending_set::append_next(page_map::iterator at) {
  const auto next = std::next(at);
  if (next == pages_.end() || at->second.size() + next->second.size() > pending_page::entries_max) return false;
  const pending_page::sums before = at->second.total();
  at->second.append(next->second);
  file(at->first, before, at->second.total());
  erase_page(next);
  return true;
}

void pending_set::erase_before(seq_no first_kept) {
  while (!empty() && lowest() < first_kept) {
    const auto at = pages_.begin();
    pending_page& in = at->second;
    const size_t going = in.lower_bound(first_kept);
    if (held_ != 0) {
      held_ -=
          static_cast<size_t>(std::count_if(in.entries().begin(), in.entries().begin() + static_cast<ptrdiff_t>(going),
                                            [](const entry& one) { return one.is_held(); }));
    }
    size_ -= going;
    if (going == in.size()) {
      erase_page(at);
      continue;
    }
    const pending_page::sums before = in.total();
    in.erase_before(first_kept);
    file(at->first, before, in.total());
    join(at);
  }
}

void pending_set::clear() {
  pages_.clear();
  by_deadline_.clear();
  with_due_.clear();
  with_ready_.clear();
  size_ = 0;
  held_ = 0;
  forget_recent();
}

// --- deadlines and redelivery ---

void pending_set::expire(mono_ns now, uint32_t attempts_max, std::vector<seq_no>& exhausted, size_t most) {
  std::vector<entry> given_up;
  while (most != 0 && !by_deadline_.empty() && by_deadline_.begin()->first <= now) {
    const auto at = pages_.find(by_deadline_.begin()->second);
    const pending_page::sums before = at->second.total();
    most -= at->second.expire(now, attempts_max, most, given_up);
    file(at->first, before, at->second.total());
  }
  std::sort(given_up.begin(), given_up.end(), [](const entry& left, const entry& right) {
    return std::pair(left.deadline, left.seq) < std::pair(right.deadline, right.seq);
  });
  for (const entry& one : given_up) exhausted.push_back(one.seq);
}

void pending_set::expire_one(seq_no seq, mono_ns now, uint32_t attempts_max, std::vector<seq_no>& exhausted) {
  const place at = place_of(seq);
  if (!at.found) return;
  entry late = at.page->second[at.index];
  if (late.where != stage::out || late.deadline > now) return;
  const bool lives = attempts_max == 0 || late.deliveries < attempts_max;
  late.where = lives ? stage::due : stage::dying;
  replace(at.page, at.index, late);
  if (!lives) exhausted.push_back(seq);
}

std::optional<seq_no> pending_set::first_due(bool ready_too) const {
  const auto first_in = [this](const std::set<seq_no>& among, stage wanted) {
    const pending_page& in = pages_.find(*among.begin())->second;
    return in[in.index_of(wanted)].seq;
  };
  std::optional<seq_no> first;
  if (has_due()) first = first_in(with_due_, stage::due);
  if (ready_too && has_ready()) {
    const seq_no ready = first_in(with_ready_, stage::ready);
    if (!first || ready < *first) first = ready;
  }
  return first;
}

std::optional<pending_set::entry> pending_set::take_due(bool ready_too) {
  const auto first = first_due(ready_too);
  if (!first) return std::nullopt;
  const place at = place_of(*first);
  entry one = at.page->second[at.index];
  one.where = one.where == stage::due ? stage::taken : stage::picked;
  replace(at.page, at.index, one);
  return one;
}

std::optional<mono_ns> pending_set::next_deadline() const {
  if (by_deadline_.empty()) return std::nullopt;
  return by_deadline_.begin()->first;
}

// --- lists ---

void pending_set::list_delivered(seq_no up_to, size_t most, std::vector<seq_no>& into) const {
  for (const auto& [key, in] : pages_) {
    for (const entry& one : in.entries()) {
      if (one.seq > up_to || into.size() >= most) return;
      if (!one.is_held()) into.push_back(one.seq);
    }
  }
}

std::vector<seq_no> pending_set::list_unknown(seq_no from, size_t most) const {
  std::vector<seq_no> unknown;
  auto at = page_of(from);
  if (at == pages_.end()) at = pages_.begin();
  for (; at != pages_.end() && unknown.size() < most; ++at) {
    for (const entry& one : at->second.entries()) {
      if (one.seq >= from && one.subject == 0 && unknown.size() < most) unknown.push_back(one.seq);
    }
  }
  return unknown;
}

size_t pending_set::memory_bytes() const {
  constexpr size_t node_overhead = 48;  // of a tree, with the allocator's own
  size_t bytes = by_deadline_.size() * (node_overhead + sizeof(std::pair<mono_ns, seq_no>)) +
                 (with_due_.size() + with_ready_.size()) * (node_overhead + sizeof(seq_no));
  for (const auto& [key, in] : pages_) bytes += node_overhead + sizeof(key) + in.memory_bytes();
  return bytes;
}

}  // namespace weir
