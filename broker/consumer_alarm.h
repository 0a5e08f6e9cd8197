// The one timer of a consumer: rings at the next of its deadlines, not once for each message.
//
// Owned by its consumer; borrows the shard's timers. It may ring too early, when what it was armed for has been
// acknowledged: whoever hears it looks, and arms it again.
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "broker/ports.h"

namespace weir {

class consumer_alarm final : public timers::timer {
 public:
  consumer_alarm(timers& clock, std::function<void()> action) : clock_(clock), action_(std::move(action)) {}
  consumer_alarm(const consumer_alarm&) = delete;
  consumer_alarm& operator=(const consumer_alarm&) = delete;
  ~consumer_alarm() override { stop(); }

  // Rings at the deadline, or earlier.
  void by(mono_ns deadline) {
    if (armed_ && *armed_ <= deadline) return;
    stop();
    armed_ = deadline;
    clock_.arm(*this, deadline);
  }
  void stop() {
    if (armed_) clock_.disarm(*this);
    armed_.reset();
  }
  void expired() override {
    armed_.reset();
    action_();
  }

 private:
  timers& clock_;
  std::function<void()> action_;
  std::optional<mono_ns> armed_;
};

}  // namespace weir
