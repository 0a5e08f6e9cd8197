// What requests of one shard wait for each other with: a turn (one at a time, in order) and a count of those under way.
//
// One thread. Both resume their waiters one after another from a loop, never from inside each other, so that a thousand
// waiters do not grow the stack.
#pragma once

#include <coroutine>
#include <cstddef>
#include <deque>
#include <utility>

#include "storage/check.h"

namespace weir {

// At most one holder; the others get it in the order they asked.
//
// Whoever holds it keeps the turn's owner alive.
class turn {
 public:
  turn() = default;
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;
  ~turn() { WEIR_CHECK(!held_ && waiting_.empty()); }

  bool held() const { return held_; }

  struct awaiter {
    turn& self;
    bool await_ready() noexcept { return self.try_take(); }
    void await_suspend(std::coroutine_handle<> caller) { self.waiting_.push_back(caller); }
    void await_resume() noexcept {}
  };
  awaiter take() { return awaiter{*this}; }

  // The next holder runs before this returns, unless a release() further up the stack is already handing turns over.
  void release() {
    WEIR_CHECK(held_);
    held_ = false;
    if (handing_over_) return;
    handing_over_ = true;
    while (!held_ && !waiting_.empty()) {
      std::coroutine_handle<> next = waiting_.front();
      waiting_.pop_front();
      held_ = true;
      next.resume();
    }
    handing_over_ = false;
  }

 private:
  bool try_take() {
    if (held_ || !waiting_.empty()) return false;
    held_ = true;
    return true;
  }

  bool held_ = false;
  bool handing_over_ = false;
  std::deque<std::coroutine_handle<>> waiting_;
};

// Counts the requests inside the shard, so that stop() can wait for the last one.
class request_count {
 public:
  request_count() = default;
  request_count(const request_count&) = delete;
  request_count& operator=(const request_count&) = delete;
  ~request_count() { WEIR_CHECK(inside_ == 0); }

  // The first local of every request, so that it goes last.
  class guard {
   public:
    explicit guard(request_count& self) : self_(self) { ++self_.inside_; }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    ~guard() {
      if (--self_.inside_ == 0 && self_.waiter_) std::exchange(self_.waiter_, nullptr).resume();
    }

   private:
    request_count& self_;
  };

  struct awaiter {
    request_count& self;
    bool await_ready() noexcept { return self.inside_ == 0; }
    void await_suspend(std::coroutine_handle<> caller) noexcept { self.waiter_ = caller; }
    void await_resume() noexcept {}
  };
  awaiter none_left() { return awaiter{*this}; }
  size_t inside() const { return inside_; }

 private:
  size_t inside_ = 0;
  std::coroutine_handle<> waiter_;
};

}  // namespace weir
