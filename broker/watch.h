// What one WatchStreams call has not been sent yet: a bounded queue of admin events. A watcher that falls behind loses
// events, and is told how many (lagged_count) with the next one it gets.
//
// One thread: the one that serves the watcher. push() never blocks and never resumes anything but the one waiter, from
// inside the call; the waiter may close() the queue but not destroy it there.
#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "broker/types.h"

namespace weir {

class watch_queue {
 public:
  explicit watch_queue(size_t events_max) : events_max_(events_max) {}
  watch_queue(const watch_queue&) = delete;
  watch_queue& operator=(const watch_queue&) = delete;

  struct item {
    std::optional<watch_event> event;  // nullopt: only events were lost, none is left
    uint64_t lagged_count = 0;         // events lost just before this one
  };

  // Full: the new event is lost and counted; what is queued stays in order.
  void push(const watch_event& event);
  // Nothing is delivered any more; a waiter gets nullopt.
  void close();

  // co_await next() -> std::optional<item>: the oldest event; nullopt once closed. One waiter at a time.
  struct awaiter {
    watch_queue& self;
    bool await_ready() const noexcept { return self.has_something(); }
    void await_suspend(std::coroutine_handle<> caller) noexcept { self.waiter_ = caller; }
    std::optional<item> await_resume() { return self.take(); }
  };
  awaiter next() { return awaiter{*this}; }
  // Without waiting: nullopt if nothing is queued.
  std::optional<item> take();

  size_t size() const { return events_.size(); }
  bool closed() const { return closed_; }

 private:
  struct entry {
    watch_event event;
    uint64_t lagged_before;
  };
  bool has_something() const { return closed_ || !events_.empty() || lagged_ != 0; }

  const size_t events_max_;
  std::deque<entry> events_;
  uint64_t lagged_ = 0;  // lost since the newest queued event
  bool closed_ = false;
  std::coroutine_handle<> waiter_;
};

}  // namespace weir
