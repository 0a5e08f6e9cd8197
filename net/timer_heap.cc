#include "net/timer_heap.h"

#include <algorithm>

#include "storage/check.h"

namespace weir {

void timer_heap::arm(timer& which, mono_ns deadline) {
  WEIR_CHECK(!places_.contains(&which));  // armed at most once at a time
  if (running_) deadline = std::max(deadline, mono_ns(running_->raw() + 1));
  places_.emplace(&which, by_deadline_.emplace(deadline, &which));
}

void timer_heap::disarm(timer& which) {
  auto place = places_.find(&which);
  if (place == places_.end()) return;
  by_deadline_.erase(place->second);
  places_.erase(place);
}

void timer_heap::run_due(mono_ns now) {
  running_ = now;
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= now) {
    timer* due = by_deadline_.begin()->second;
    by_deadline_.erase(by_deadline_.begin());
    places_.erase(due);
    due->expired();
  }
  running_.reset();
}

std::optional<mono_ns> timer_heap::next() const {
  if (by_deadline_.empty()) return std::nullopt;
  return by_deadline_.begin()->first;
}

}  // namespace weir
