// A commit lane with a real thread: it does the work in order; the owner runs what is done when it asks.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "storage/lane.h"

namespace weir {

class thread_lane final : public lane {
 public:
  thread_lane() : thread_([this] { serve(); }) {}
  thread_lane(const thread_lane&) = delete;
  thread_lane& operator=(const thread_lane&) = delete;
  ~thread_lane() override {
    {
      std::lock_guard hold(mutex_);
      stopping_ = true;
    }
    work_bell_.notify_one();
    thread_.join();
  }

  void submit(job& next) override {
    {
      std::lock_guard hold(mutex_);
      waiting_.push_back(&next);
    }
    work_bell_.notify_one();
  }

  // Completes what the thread has finished; with `block`, waits until there is something. Owner's thread.
  void run_done(bool block) {
    std::deque<job*> ended;
    {
      std::unique_lock hold(mutex_);
      if (block) done_bell_.wait(hold, [this] { return !ended_.empty(); });
      ended.swap(ended_);
    }
    for (job* each : ended) each->done();
  }

 private:
  void serve() {
    for (;;) {
      job* next = nullptr;
      {
        std::unique_lock hold(mutex_);
        work_bell_.wait(hold, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        next = waiting_.front();
        waiting_.pop_front();
      }
      next->work();
      {
        std::lock_guard hold(mutex_);
        ended_.push_back(next);
      }
      done_bell_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_bell_;
  std::condition_variable done_bell_;
  std::deque<job*> waiting_;
  std::deque<job*> ended_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weir
