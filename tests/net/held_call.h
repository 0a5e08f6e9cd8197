// A unary handler that waits until the test lets it go, then answers "late". One call at a time.
#pragma once

#include <atomic>
#include <coroutine>

#include "net/call_context.h"

namespace weir {

struct held_call {
  std::atomic<int> entered{0};
  call_context* call = nullptr;

  unary_handler handler() {
    return [this](byte_span, call_context& given) { return answer_later(given); };
  }
  // On the reactor's thread.
  void resume() { waiting_.resume(); }

 private:
  struct pause {
    held_call& self;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) {
      self.waiting_ = caller;
      ++self.entered;
    }
    void await_resume() const noexcept {}
  };
  task<result<reply>> answer_later(call_context& given) {
    call = &given;
    pause here{*this};
    co_await here;
    reply out;
    out.head = "late";
    co_return out;
  }

  std::coroutine_handle<> waiting_;
};

}  // namespace weir
