// Tasks that may never end, because the test crashes what they wait for: whatever is left is destroyed with this.
#pragma once

#include <set>

#include "storage/task.h"

namespace weir {

class loose_tasks {
 public:
  loose_tasks() = default;
  loose_tasks(const loose_tasks&) = delete;
  loose_tasks& operator=(const loose_tasks&) = delete;
  ~loose_tasks() { drop(); }

  // Runs it at once until its first suspension.
  void spawn(task<void> work) { run(*this, std::move(work)); }
  size_t running() const { return frames_.size(); }
  void drop() {
    while (!frames_.empty()) {
      auto frame = std::coroutine_handle<>::from_address(*frames_.begin());
      frames_.erase(frames_.begin());
      frame.destroy();
    }
  }

 private:
  struct loose {
    struct promise_type {
      loose get_return_object() noexcept { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
    };
  };
  struct own_frame {
    std::set<void*>& frames;
    void* self = nullptr;
    bool await_ready() noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> caller) {
      self = caller.address();
      frames.insert(self);
      return false;
    }
    void* await_resume() noexcept { return self; }
  };
  static loose run(loose_tasks& owner, task<void> work) {
    own_frame registration{owner.frames_};
    void* self = co_await registration;
    co_await std::move(work);
    owner.frames_.erase(self);
  }

  std::set<void*> frames_;
};

}  // namespace weir
