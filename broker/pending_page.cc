#include "broker/pending_page.h"

#include <algorithm>

#include "storage/check.h"

namespace weir {

static_assert(sizeof(pending_entry) == 24);

size_t pending_page::search(seq_no seq) const {
  const std::span<const pending_entry> all = entries();
  const auto at = std::lower_bound(all.begin(), all.end(), seq,
                                   [](const pending_entry& one, seq_no wanted) { return one.seq < wanted; });
  return static_cast<size_t>(at - all.begin());
}

size_t pending_page::index_of(pending_stage wanted) const {
  const std::span<const pending_entry> all = entries();
  const auto at =
      std::find_if(all.begin(), all.end(), [wanted](const pending_entry& one) { return one.where == wanted; });
  WEIR_CHECK(at != all.end());
  return static_cast<size_t>(at - all.begin());
}

void pending_page::insert(size_t index, const pending_entry& one) {
  WEIR_CHECK(!full());
  if (gone_ != 0 && entries_.size() == entries_max) close_up();
  entries_.insert(entries_.begin() + gone() + static_cast<ptrdiff_t>(index), one);
  count(one);
}

void pending_page::replace(size_t index, const pending_entry& one) {
  const pending_entry before = (*this)[index];
  entries_[gone_ + index] = one;
  count(one);
  uncount(before);
}

void pending_page::erase(size_t index) {
  const pending_entry before = (*this)[index];
  if (index == 0) {
    drop_first(1);
  } else {
    entries_.erase(entries_.begin() + gone() + static_cast<ptrdiff_t>(index));
  }
  uncount(before);
}

void pending_page::erase_before(seq_no first_kept) {
  drop_first(lower_bound(first_kept));
  recount();
}

void pending_page::drop_first(size_t count) {
  gone_ += count;
  if (gone_ == entries_.size()) close_up();
}

void pending_page::close_up() {
  entries_.erase(entries_.begin(), entries_.begin() + gone());
  gone_ = 0;
}

size_t pending_page::expire(mono_ns now, uint32_t attempts_max, size_t most, std::vector<pending_entry>& exhausted) {
  close_up();
  size_t expired = 0;
  for (pending_entry& one : entries_) {
    if (one.where != pending_stage::out || one.deadline > now) continue;
    if (expired == most) break;
    ++expired;
    const bool lives = attempts_max == 0 || one.deliveries < attempts_max;
    one.where = lives ? pending_stage::due : pending_stage::dying;
    if (!lives) exhausted.push_back(one);
  }
  recount();
  return expired;
}

pending_page pending_page::split() {
  close_up();
  pending_page upper;
  const auto middle = entries_.begin() + static_cast<ptrdiff_t>(size() / 2);
  upper.entries_.assign(middle, entries_.end());
  entries_.erase(middle, entries_.end());
  recount();
  upper.recount();
  return upper;
}

void pending_page::append(const pending_page& next) {
  WEIR_CHECK(size() + next.size() <= entries_max);
  close_up();
  entries_.reserve(entries_max);
  const std::span<const pending_entry> all = next.entries();
  entries_.insert(entries_.end(), all.begin(), all.end());
  const sums& more = next.total_;
  if (more.earliest <= total_.earliest) {
    total_.so_early = more.so_early + (more.earliest < total_.earliest ? 0 : total_.so_early);
    total_.earliest = more.earliest;
  }
  total_.due += more.due;
  total_.ready += more.ready;
}

void pending_page::count(const pending_entry& one) {
  if (one.where == pending_stage::out && one.deadline <= total_.earliest) {
    total_.so_early = one.deadline < total_.earliest ? 1 : total_.so_early + 1;
    total_.earliest = one.deadline;
  }
  if (one.where == pending_stage::due) ++total_.due;
  if (one.where == pending_stage::ready) ++total_.ready;
}

void pending_page::uncount(const pending_entry& one) {
  if (one.where == pending_stage::due) --total_.due;
  if (one.where == pending_stage::ready) --total_.ready;
  if (one.where == pending_stage::out && one.deadline == total_.earliest && --total_.so_early == 0) recount();
}

void pending_page::recount() {
  total_ = {};
  for (const pending_entry& one : entries()) count(one);
}

}  // namespace weir
