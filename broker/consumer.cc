#include "broker/consumer.h"

#include <algorithm>

namespace weir {
namespace {

constexpr size_t delta_entries_max = 4096;  // beyond it the whole state is journaled instead

subject_filter filter_of(const consumer_config& config) {
  if (config.filter_subject.empty()) return subject_filter();
  return subject_filter(std::vector<std::string>{config.filter_subject});
}

}  // namespace

consumer::consumer(uint32_t number, consumer_config config, wall_ms created_at, seq_no start)
    : number_(number),
      config_(std::move(config)),
      filter_(filter_of(config_)),
      created_at_(created_at),
      next_(std::max(start, seq_no(1))) {}

mono_ns consumer::deadline_from(mono_ns now) const {
  return mono_ns(now.raw() + static_cast<int64_t>(config_.ack_wait_ms) * 1'000'000);
}

seq_no consumer::ack_floor(seq_no next_live) const {
  if (!pending_.empty()) return pending_.lowest().prev();
  return std::max(next_, next_live).prev();
}

void consumer::expire(mono_ns now) {
  exhausted_.clear();
  pending_.expire(now, config_.max_deliver, exhausted_);
  dropped_ += exhausted_.size();
  if (!exhausted_.empty()) delta_.gone.insert(delta_.gone.end(), exhausted_.begin(), exhausted_.end());
  limit_delta();
}

bool consumer::take_due_if(seq_no wanted) {
  if (!pending_.has_due() || pending_.first_due() != wanted) return false;
  pending_.take_due();
  return true;
}

uint32_t consumer::delivered(seq_no seq, mono_ns now) {
  const pending_set::entry* before = pending_.find(seq);
  const uint32_t deliveries = before == nullptr ? 1 : before->deliveries + 1;
  pending_.put(seq, deliveries, deadline_from(now));
  last_delivered_ = std::max(last_delivered_, seq);
  auto& runs = delta_.delivered;
  if (!runs.empty() && runs.back().deliveries == deliveries &&
      runs.back().first.raw() + runs.back().length == seq.raw()) {
    ++runs.back().length;
  } else {
    runs.push_back({seq, 1, deliveries});
  }
  limit_delta();
  return deliveries;
}

void consumer::advance(seq_no next) {
  if (next <= next_) return;
  next_ = next;
  moved_ = true;
}

std::optional<pending_set::entry> consumer::acknowledge(seq_no seq) {
  auto found = pending_.erase(seq);
  if (found) delta_.gone.push_back(seq);
  return found;
}

void consumer::limit_delta() {
  if (delta_.delivered.size() + delta_.gone.size() <= delta_entries_max) return;
  delta_.clear();
  whole_ = true;
}

size_t consumer::progress_bytes_max() const {
  constexpr size_t varint_max = 10;
  constexpr size_t fixed = 2 + 6 * varint_max;
  return fixed + 3 * varint_max * delta_.delivered.size() + varint_max * (delta_.gone.size() + 1);
}

void consumer::journaled() {
  delta_.clear();
  whole_ = false;
  moved_ = false;
}

void consumer::load(seq_no next, seq_no last_delivered, uint64_t dropped) {
  next_ = std::max(next_, next);
  last_delivered_ = std::max(last_delivered_, last_delivered);
  dropped_ = dropped;
}

void consumer::load_pending(seq_no seq, uint32_t deliveries, mono_ns now) {
  pending_.put(seq, deliveries, deadline_from(now));
  last_delivered_ = std::max(last_delivered_, seq);
}

}  // namespace weir
