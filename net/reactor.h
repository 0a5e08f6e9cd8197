// reactor: one thread on one core that runs everything of its shards: the gRPC completions, letters from other threads,
// timers, coroutines.
//
// The thread sleeps in exactly one place, the completion queue. A turn: open the letters, run due timers, run what was
// deferred, call every turn_end once (acks out, commit group over), sleep until something happens, then up to 64
// completions. What a reactor owns is touched by its thread only; post() is the one way in from outside.
//
// Owned by main (server.h). Life: construct, add turn ends, start(), ..., stop(). stop() is called when nobody posts
// any more and no operation is pending on the queue but what completes by itself; it drains the queue and joins.
#pragma once

#include <atomic>
#include <chrono>
#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "net/inbox.h"
#include "net/timer_heap.h"
#include "storage/time.h"

namespace asio {
class io_context;
}
namespace grpc {
class CompletionQueue;
}

namespace weir {

// Called at the end of every turn, before the reactor may sleep.
class turn_end {
 public:
  virtual void end_of_turn() = 0;

 protected:
  ~turn_end() = default;
};

class reactor {
 public:
  // Takes the queue that belongs to its server. `cpu`: pin the thread there, if the kernel allows it.
  reactor(unsigned index, std::optional<int> cpu, clock_port& clock, std::unique_ptr<grpc::CompletionQueue> queue);
  reactor(const reactor&) = delete;
  ~reactor();

  // Any thread: open() of the letter runs here, in order, soon. Rings only if the reactor sleeps.
  void post(letter& sent);

  // From here on: before start(), or on the reactor's thread.
  void add_turn_end(turn_end& hook) { turn_ends_.push_back(&hook); }
  timers& deadlines() { return timers_; }
  clock_port& clock() { return clock_; }
  grpc::CompletionQueue& queue() { return *queue_; }
  unsigned index() const { return index_; }
  // Resumes the coroutine later in this turn or at the start of the next: where recursion must end.
  void defer(std::coroutine_handle<> caller);
  // The executor behind defer(), for Asio's own composed operations. It has no sockets: this thread does not sleep in
  // it.
  asio::io_context& executor() { return *executor_; }
  // At the end of a turn: it stopped at a limit, so more completions probably wait; the next one looks without
  // sleeping.
  bool busy() const { return busy_; }
  bool on_this_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

  void start();
  // Not on the reactor's thread. Before it, call() an empty function on every other reactor: then none is still inside
  // a post() to this one.
  void stop();
  // Not on the reactor's thread: runs `work` there and waits until it returned. For starting and stopping.
  void call(const std::function<void()>& work);
  // The same, for waiting: returns once `condition`, asked there again and again, is true, or the time is over.
  using time_point = std::chrono::system_clock::time_point;
  bool wait_until(const std::function<bool()>& condition, time_point deadline = time_point::max());

  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }
  uint64_t bells() const { return bells_.load(std::memory_order_relaxed); }

 private:
  struct bell;
  struct quit_letter final : letter {
    explicit quit_letter(reactor& r) : self(r) {}
    void open() override { self.quitting_ = true; }
    reactor& self;
  };

  void run();
  void turn();
  void close_queue();
  // Whether the queue has not been shut down and drained.
  bool complete_some();
  void ring();

  const unsigned index_;
  const std::optional<int> cpu_;
  clock_port& clock_;
  std::unique_ptr<grpc::CompletionQueue> queue_;
  std::unique_ptr<asio::io_context> executor_;
  timer_heap timers_;
  std::vector<turn_end*> turn_ends_;
  std::unique_ptr<bell> bell_;
  quit_letter quit_{*this};
  bool quitting_ = false;
  bool queue_closed_ = false;
  bool deferred_ = false;  // something waits in the executor: do not sleep
  bool busy_ = false;

  alignas(64) inbox inbox_;
  alignas(64) std::atomic<bool> asleep_{false};
  std::atomic<bool> rung_{false};
  std::atomic<bool> last_post_done_{false};
  std::atomic<uint64_t> turns_{0};
  std::atomic<uint64_t> bells_{0};
  std::thread thread_;
};

}  // namespace weir
