#include "broker/due_index.h"

#include <algorithm>

namespace weir {
namespace {

constexpr size_t gone_free = 64;
constexpr size_t grow_min = 8;

bool later(const due_index::item& left, const due_index::item& right) {
  return left.at != right.at ? left.at > right.at : left.seq > right.seq;
}

}  // namespace

void due_index::add(seq_no seq, wall_ms at) {
  if (heap_.size() == heap_.capacity()) heap_.reserve(heap_.size() + heap_.size() / 2 + grow_min);
  heap_.push_back(item{at, seq});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

void due_index::pop() {
  std::pop_heap(heap_.begin(), heap_.end(), later);
  heap_.pop_back();
  if (heap_.empty()) heap_ = {};
}

std::optional<due_index::item> due_index::next(const stream_log& log) {
  while (!heap_.empty() && !log.is_live(heap_.front().seq)) pop();
  if (heap_.empty()) return std::nullopt;
  return heap_.front();
}

void due_index::drop(seq_no seq) {
  std::erase_if(heap_, [seq](const item& one) { return one.seq == seq; });
  std::make_heap(heap_.begin(), heap_.end(), later);
}

void due_index::tidy(const stream_log& log) {
  if (heap_.size() <= 2 * log.stats().count + gone_free) return;
  const seq_no last = log.stats().last;  // what is above it is about to be appended (recovery)
  std::erase_if(heap_, [&log, last](const item& one) { return one.seq <= last && !log.is_live(one.seq); });
  heap_.shrink_to_fit();
  std::make_heap(heap_.begin(), heap_.end(), later);
}

}  // namespace weir
