#include "tools/publisher/delivery_match.h"

#include <algorithm>

namespace weir {
namespace {

constexpr double ns_per_s = 1e9;

uint64_t later(uint64_t time_ns, double step_ns, uint64_t steps) {
  return time_ns + static_cast<uint64_t>(static_cast<double>(steps) * step_ns);
}

}  // namespace

void delivery_match::begin(uint64_t at_ns) {
  std::lock_guard lock(mutex_);
  begun_ns_ = at_ns;
  last_ns_ = at_ns;
  totals_.over_time.begin(at_ns);
}

// Gives `matched` each part of the fresh run that waits on the other side, which then waits no more; what is left of
// the fresh run waits on its own.
template <class Matched>
void delivery_match::meet(runs& waiting, runs& own, uint64_t first, run fresh, Matched matched) {
  const uint64_t began = first;
  auto at = waiting.upper_bound(first);
  if (at != waiting.begin() && std::prev(at)->second.end > first) --at;
  while (first < fresh.end) {
    const bool none = at == waiting.end() || at->first >= fresh.end;
    const uint64_t from = none ? fresh.end : std::max(first, at->first);
    if (from > first) own[first] = {from, later(fresh.time_ns, fresh.step_ns, first - began), fresh.step_ns};
    if (none) return;
    const uint64_t other_first = at->first;
    const run other = at->second;
    const uint64_t to = std::min(fresh.end, other.end);
    matched(to - from, later(fresh.time_ns, fresh.step_ns, from - began),
            later(other.time_ns, other.step_ns, from - other_first));
    at = waiting.erase(at);
    if (other_first < from) waiting[other_first] = {from, other.time_ns, other.step_ns};
    if (to < other.end) {
      waiting[to] = {other.end, later(other.time_ns, other.step_ns, to - other_first), other.step_ns};
      at = waiting.upper_bound(to);
    }
    first = to;
  }
}

void delivery_match::acknowledged(size_t stream, uint64_t first_seq, uint64_t count, uint64_t due_ns) {
  std::lock_guard lock(mutex_);
  outstanding_ += count;
  one_stream& one = streams_[stream];
  meet(one.came, one.sent, first_seq, {first_seq + count, due_ns, step_ns_},
       [&](uint64_t met, uint64_t due, uint64_t came) { match(met, due, came); });
}

void delivery_match::delivered(size_t stream, uint64_t first_seq, uint64_t count, uint64_t at_ns) {
  std::lock_guard lock(mutex_);
  one_stream& one = streams_[stream];
  meet(one.sent, one.came, first_seq, {first_seq + count, at_ns, 0},
       [&](uint64_t met, uint64_t came, uint64_t due) { match(met, due, came); });
  while (one.came.size() > others_runs_max) {
    totals_.others += one.came.begin()->second.end - one.came.begin()->first;
    one.came.erase(one.came.begin());
  }
}

void delivery_match::match(uint64_t count, uint64_t due_ns, uint64_t at_ns) {
  const uint64_t each = step_ns_ == 0 ? count : 1;
  for (uint64_t n = 0; n < count; n += each) {
    const uint64_t due = later(due_ns, step_ns_, n);
    const uint64_t latency_ns = at_ns > due ? at_ns - due : 0;
    totals_.latency_ns.record(latency_ns, each);
    totals_.over_time.record(at_ns, latency_ns, each);
  }
  totals_.consumed += count;
  last_ns_ = std::max(last_ns_, at_ns);
  consumed_ += count;
  outstanding_ -= count;
}

consume_totals delivery_match::take_totals() {
  std::lock_guard lock(mutex_);
  totals_.seconds = static_cast<double>(last_ns_ - begun_ns_) / ns_per_s;
  for (const one_stream& one : streams_) {
    for (const auto& [first, left] : one.sent) totals_.missing += left.end - first;
    for (const auto& [first, left] : one.came) totals_.others += left.end - first;
  }
  return std::move(totals_);
}

}  // namespace weir
