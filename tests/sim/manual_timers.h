// Deadlines over the manual clock: nothing expires until the test runs what is due.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "broker/ports.h"

namespace weir {

class manual_timers final : public timers {
 public:
  void arm(timer& which, mono_ns deadline) override { armed_.push_back({&which, deadline}); }
  void disarm(timer& which) override {
    std::erase_if(armed_, [&which](const entry& one) { return one.which == &which; });
  }
  // Earliest first; what a timer arms while it runs waits for the next call.
  void run_due(mono_ns now) {
    std::vector<entry> due;
    std::copy_if(armed_.begin(), armed_.end(), std::back_inserter(due),
                 [now](const entry& one) { return one.deadline <= now; });
    std::stable_sort(due.begin(), due.end(),
                     [](const entry& left, const entry& right) { return left.deadline < right.deadline; });
    for (const entry& one : due) {
      const size_t before = armed_.size();
      std::erase_if(armed_,
                    [&one](const entry& other) { return other.which == one.which && other.deadline == one.deadline; });
      if (armed_.size() != before) one.which->expired();  // else: disarmed by an earlier one
    }
  }
  size_t armed() const { return armed_.size(); }
  // The earliest deadline.
  std::optional<mono_ns> next() const {
    std::optional<mono_ns> first;
    for (const entry& one : armed_) {
      if (!first || one.deadline < *first) first = one.deadline;
    }
    return first;
  }

 private:
  struct entry {
    timer* which;
    mono_ns deadline;
  };
  std::vector<entry> armed_;
};

}  // namespace weir
