// wait_list: coroutines that wait until what one of them, or a background task, does has ended.
//
// One thread. wake_all() resumes them before it returns; who then waits again waits for the next one.
#pragma once

#include <coroutine>
#include <vector>

namespace weir {

class wait_list {
 public:
  struct awaiter {
    wait_list& self;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) { self.waiting_.push_back(caller); }
    void await_resume() const noexcept {}
  };
  awaiter wait() { return awaiter{*this}; }
  void wake_all() {
    std::vector<std::coroutine_handle<>> woken;
    woken.swap(waiting_);
    for (std::coroutine_handle<> each : woken) each.resume();
  }

 private:
  std::vector<std::coroutine_handle<>> waiting_;
};

}  // namespace weir
