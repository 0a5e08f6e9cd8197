// wake_up: one coroutine waits until another tells it to look again.
//
// One thread. wake() resumes the waiter before it returns; without a waiter it does nothing, so whoever waits looks at
// what it waits for first, and again afterwards.
#pragma once

#include <coroutine>
#include <utility>

#include "storage/check.h"

namespace weir {

class wake_up {
 public:
  wake_up() = default;
  wake_up(const wake_up&) = delete;
  ~wake_up() { WEIR_CHECK(!waiter_); }

  struct awaiter {
    wake_up& self;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) {
      WEIR_CHECK(!self.waiter_);
      self.waiter_ = caller;
    }
    void await_resume() const noexcept {}
  };
  awaiter wait() { return awaiter{*this}; }
  void wake() {
    if (waiter_) std::exchange(waiter_, nullptr).resume();
  }

 private:
  std::coroutine_handle<> waiter_;
};

}  // namespace weir
