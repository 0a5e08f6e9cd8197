#include "broker/watch.h"

namespace weir {

void watch_queue::push(const watch_event& event) {
  if (closed_) return;
  if (events_.size() >= events_max_) {
    ++lagged_;
    return;
  }
  events_.push_back({event, std::exchange(lagged_, 0)});
  if (waiter_) std::exchange(waiter_, nullptr).resume();
}

void watch_queue::close() {
  closed_ = true;
  events_.clear();
  lagged_ = 0;
  if (waiter_) std::exchange(waiter_, nullptr).resume();
}

std::optional<watch_queue::item> watch_queue::take() {
  if (!events_.empty()) {
    item oldest{std::move(events_.front().event), events_.front().lagged_before};
    events_.pop_front();
    return oldest;
  }
  if (lagged_ == 0) return std::nullopt;
  return item{std::nullopt, std::exchange(lagged_, 0)};
}

}  // namespace weir
