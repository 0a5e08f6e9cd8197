// return_path: the way of finished jobs from a lane's thread back to the reactor that submitted them.
//
// Jobs that finish close together cross in one letter. finished() on any lane thread; done() of the jobs runs on the
// reactor, in the order they finished.
#pragma once

#include <mutex>
#include <vector>

#include "net/reactor.h"
#include "storage/lane.h"

namespace weir {

class return_path final : private letter {
 public:
  explicit return_path(reactor& home) : home_(home) {}
  return_path(const return_path&) = delete;

  void finished(job& done) {
    bool first;
    {
      std::lock_guard hold(lock_);
      first = jobs_.empty();
      jobs_.push_back(&done);
    }
    if (first) home_.post(*this);
  }

 private:
  void open() override {
    {
      std::lock_guard hold(lock_);
      opened_.swap(jobs_);
    }
    for (job* done : opened_) done->done();
    opened_.clear();
  }

  reactor& home_;
  std::mutex lock_;
  std::vector<job*> jobs_;
  std::vector<job*> opened_;  // the reactor's; here to keep its capacity
};

}  // namespace weir
