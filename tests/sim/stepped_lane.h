// A lane that does nothing until the test says so: one job a step, in the order of submission (a commit lane) or any
// other (a pool). Work and its completion can be told apart, so that a test can stop time between them.
#pragma once

#include <deque>

#include "storage/lane.h"

namespace weir {

class stepped_lane final : public lane {
 public:
  void submit(job& next) override { waiting_.push_back(&next); }

  size_t pending() const { return waiting_.size() + (worked_ == nullptr ? 0 : 1); }
  // Runs a whole job, or completes the one whose work() ran; false if there is none. `which` of those that wait.
  bool step(size_t which = 0) { return work(which) && done(); }
  // Only the blocking part of a job; nothing if that was done already.
  bool work(size_t which = 0) {
    if (worked_ != nullptr) return true;
    if (waiting_.empty()) return false;
    auto at = waiting_.begin() + static_cast<ptrdiff_t>(which % waiting_.size());
    worked_ = *at;
    waiting_.erase(at);
    worked_->work();
    return true;
  }
  // Only the completion of the job whose work() ran.
  bool done() {
    if (worked_ == nullptr) return false;
    std::exchange(worked_, nullptr)->done();
    return true;
  }
  void run_all() {
    while (step()) {
    }
  }
  // What a crash does: the jobs are gone, and nobody hears of them.
  void forget() {
    waiting_.clear();
    worked_ = nullptr;
  }

 private:
  std::deque<job*> waiting_;
  job* worked_ = nullptr;
};

}  // namespace weir
