#include "broker/dedup_table.h"

#include <algorithm>

namespace weir {
namespace {

constexpr size_t left_free = 64;  // entries without id that are not worth sweeping

template <class Line>
auto place_of(Line& line, seq_no seq) {
  return std::lower_bound(line.begin(), line.end(), seq,
                          [](const dedup_table::known& one, seq_no wanted) { return one.seq < wanted; });
}

}  // namespace

bool dedup_table::expired(const known& one, wall_ms now) const {
  return now.raw() - one.at.raw() >= static_cast<int64_t>(window_ms_);
}

void dedup_table::kill(known& one) {
  by_id_.erase(one.id);
  --counts_[one.scheduled ? 1 : 0];
  one.id = std::string();
}

void dedup_table::drop_front(bool scheduled) {
  line& from = queue(scheduled);
  if (!from.front().id.empty()) kill(from.front());
  from.pop_front();
}

const dedup_table::known* dedup_table::find(std::string_view id, wall_ms now) const {
  const auto found = by_id_.find(id);
  if (found == by_id_.end() || expired(*found->second, now)) return nullptr;
  return found->second;
}

bool dedup_table::add(std::string_view id, seq_no seq, wall_ms at, bool scheduled) {
  line& to = queue(scheduled);
  if (!to.empty() && to.back().seq >= seq) return false;  // only in damaged state
  if (const auto before = by_id_.find(id); before != by_id_.end()) kill(*before->second);
  to.push_back(known{std::string(id), seq, at, scheduled});
  by_id_.emplace(to.back().id, &to.back());
  const size_t& count = ++counts_[scheduled ? 1 : 0];
  while (count > ids_max_) drop_front(scheduled);
  return true;
}

void dedup_table::put(std::string_view id, seq_no seq, wall_ms at, bool scheduled) {
  if (!add(id, seq, at, scheduled)) return;
  line& to = queue(scheduled);
  while (!to.empty() && (to.front().id.empty() || expired(to.front(), at))) drop_front(scheduled);
  tidy(scheduled);
}

void dedup_table::load(const known& one) {
  add(one.id, one.seq, one.at, one.scheduled);
}

// Sweeps out what was forgotten from the middle once it is most of the line.
void dedup_table::tidy(bool scheduled) {
  line& from = queue(scheduled);
  if (from.size() <= 2 * by_id_.size() + left_free) return;
  std::erase_if(from, [](const known& one) { return one.id.empty(); });
  by_id_.clear();
  for (line& each : queues_) {
    for (known& one : each) {
      if (!one.id.empty()) by_id_.emplace(one.id, &one);
    }
  }
}

std::vector<seq_no> dedup_table::among(const std::vector<seq_no>& seqs, bool scheduled) const {
  const line& from = queue(scheduled);
  std::vector<seq_no> found;
  for (const seq_no seq : seqs) {
    const auto at = place_of(from, seq);
    if (at != from.end() && at->seq == seq && !at->id.empty()) found.push_back(seq);
  }
  return found;
}

void dedup_table::forget(const std::vector<seq_no>& seqs, bool scheduled) {
  line& from = queue(scheduled);
  for (const seq_no seq : seqs) {
    const auto at = place_of(from, seq);
    if (at != from.end() && at->seq == seq && !at->id.empty()) kill(*at);
  }
  tidy(scheduled);
}

}  // namespace weir
