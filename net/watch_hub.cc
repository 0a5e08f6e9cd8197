#include "net/watch_hub.h"

#include <utility>

namespace weir {
namespace {

// Carries one event to one hub and is gone then.
class event_letter final : public letter {
 public:
  event_letter(watch_hub& to, const watch_event& event) : to_(to), event_(event) {}
  void open() override {
    to_.publish(event_);
    delete this;
  }

 private:
  watch_hub& to_;
  watch_event event_;
};

}  // namespace

void watch_hub::watcher::end() {
  ended_ = true;
  wake();
}

void watch_hub::watcher::wake() {
  if (auto caller = std::exchange(waiting_, nullptr)) caller.resume();
}

void watch_hub::watcher::push(const watch_event& event) {
  if (events_.size() >= hub_.events_buffered_max_) {
    events_.pop_front();
    ++missed_;
  }
  events_.push_back(event);
  wake();
}

std::optional<watch_hub::watcher::seen> watch_hub::watcher::take() {
  if (ended_ || events_.empty()) return std::nullopt;
  seen next{std::move(events_.front()), std::exchange(missed_, 0)};
  events_.pop_front();
  return next;
}

void watch_hub::publish(const watch_event& event) {
  // A watcher may end, and leave the set, while it is told.
  std::vector<watcher*> all(watchers_.begin(), watchers_.end());
  for (watcher* one : all) {
    if (watchers_.contains(one)) one->push(event);
  }
}

void watch_relay::on_event(const watch_event& event) {
  for (const place& to : everywhere_) {
    if (to.home == &home_) {
      to.hub->publish(event);
    } else {
      to.home->post(*new event_letter(*to.hub, event));
    }
  }
}

}  // namespace weir
