// lane: where blocking work is done, away from the shard's thread. The port between a shard and its disk threads.
//
// In production a lane is one thread (the commit lane) or a small pool (cold reads, settling); in tests it runs the
// work at once or when the seed says. `work` runs elsewhere and touches only what the job owns; `done` runs on the
// shard's thread.
#pragma once

#include <coroutine>
#include <utility>

#include "storage/task.h"

namespace weir {

// One piece of blocking work. The owner keeps it alive from submit() until done() was called; a job can be used again
// after.
class job {
 public:
  virtual ~job() = default;
  virtual void work() = 0;  // on the lane
  virtual void done() = 0;  // on the shard's thread
};

class lane {
 public:
  virtual ~lane() = default;
  // Takes one job. On the commit lane jobs run one after another in order of submission; on a pool, in any order.
  virtual void submit(job& next) = 0;
};

// `co_await run_on(lane, function)`: calls the function on the lane and resumes here with what it returned. The
// function object must be named on the line before (gcc 12.2, see task.h) and captures by value or by reference to the
// caller's frame.
template <class Function>
auto run_on(lane& where, Function& function) {
  struct awaiter final : job {
    lane& where;
    Function& function;
    std::coroutine_handle<> caller;
    std::optional<decltype(function())> value;

    awaiter(lane& w, Function& f) : where(w), function(f) {}
    awaiter(const awaiter&) = delete;
    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      caller = handle;
      where.submit(*this);
    }
    decltype(function()) await_resume() { return std::move(*value); }
    void work() override { value.emplace(function()); }
    void done() override { caller.resume(); }
  };
  return awaiter(where, function);
}

}  // namespace weir
