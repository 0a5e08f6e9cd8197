// task<T>: a coroutine that runs when awaited, on the thread that awaits it. The one asynchronous style of weir.
//
// A task starts lazily. Awaiting it runs it at once; if it finishes without suspending, the awaiting coroutine goes on
// without a suspension, so a loop over tasks that complete at once never grows the stack (no reliance on tail calls,
// which sanitizer builds do not make). A task that is destroyed before it was awaited never ran.
//
// gcc 12.2 destroys some temporaries twice inside a co_await expression: name every value on the line before.
// A coroutine owns its parameters: pass by value, or by reference to what certainly outlives it.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

#include "storage/check.h"

namespace weir {

namespace detail {

struct task_promise_base {
  std::coroutine_handle<> continuation;

  struct final_awaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) noexcept {
      // Resuming may destroy this frame, so nothing of it is touched afterwards.
      std::coroutine_handle<> next = self.promise().continuation;
      if (next) next.resume();
    }
    void await_resume() noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  final_awaiter final_suspend() noexcept { return {}; }
  // No exception crosses a task: what throws is a bug (or memory is gone), and the process must not go on.
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
};

template <class T>
struct task_promise : task_promise_base {
  std::optional<T> value;
  auto get_return_object() { return std::coroutine_handle<task_promise>::from_promise(*this); }
  template <class U>
  void return_value(U&& given) {
    value.emplace(std::forward<U>(given));
  }
};

template <>
struct task_promise<void> : task_promise_base {
  auto get_return_object() { return std::coroutine_handle<task_promise>::from_promise(*this); }
  void return_void() noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;

  task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~task() {
    if (frame_) frame_.destroy();
  }

  struct awaiter {
    std::coroutine_handle<promise_type> frame;
    bool await_ready() noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> caller) {
      frame.resume();
      if (frame.done()) return false;  // ran to its end at once: the caller just goes on
      frame.promise().continuation = caller;
      return true;
    }
    T await_resume() {
      if constexpr (!std::is_void_v<T>) return std::move(*frame.promise().value);
    }
  };
  awaiter operator co_await() && {
    WEIR_CHECK(frame_);
    return awaiter{frame_};
  }

 private:
  std::coroutine_handle<promise_type> frame_;
};

// Counts background tasks so that their owner can wait for them: no task runs unowned.
//
// One thread. spawn() runs the task at once until its first suspension. close() resolves when every task has ended; it
// may be called once, and after it spawn() is a bug. Destroyed only when empty.
class gate {
 public:
  gate() = default;
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;
  ~gate() { WEIR_CHECK(running_ == 0); }

  void spawn(task<void> work) {
    WEIR_CHECK(!closed_);
    ++running_;
    run(std::move(work));
  }
  size_t running() const { return running_; }
  bool closed() const { return closed_; }

  struct close_awaiter {
    gate& self;
    bool await_ready() noexcept { return self.running_ == 0; }
    void await_suspend(std::coroutine_handle<> caller) noexcept { self.closer_ = caller; }
    void await_resume() noexcept {}
  };
  close_awaiter close() {
    closed_ = true;
    return close_awaiter{*this};
  }

 private:
  struct detached {
    struct promise_type {
      detached get_return_object() noexcept { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
    };
  };
  detached run(task<void> work) {
    co_await std::move(work);
    if (--running_ == 0 && closer_) std::exchange(closer_, nullptr).resume();
  }

  size_t running_ = 0;
  bool closed_ = false;
  std::coroutine_handle<> closer_;
};

}  // namespace weir
