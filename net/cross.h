// "Run this there, resume here": how a call on one reactor uses a shard that belongs to another.
//
//   auto ask = [&](shard& there) { return there.get_stream(name); };   // a task<T>, named on its own line
//   auto found = co_await run_there(here, where, ask);
//
// `make` is called on the other reactor, and the task runs and ends there; what it refers to stays alive in the frame
// that awaits. Only the value it resolves with crosses back: it holds moved values or immutable bytes, nothing of that
// shard. If both are the same reactor the task simply runs. Both reactors outlive the wait.
#pragma once

#include <coroutine>
#include <optional>
#include <type_traits>

#include "net/reactor.h"
#include "storage/task.h"

namespace weir {

namespace detail {

// A coroutine that nobody awaits and that ends by itself.
struct errand {
  struct promise_type {
    errand get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
};

template <class Task>
struct task_value;
template <class T>
struct task_value<task<T>> {
  using type = T;
};

template <class Value, class Make>
struct crossing {
  struct outward final : letter {
    explicit outward(crossing& c) : self(c) {}
    void open() override { go(self); }
    crossing& self;
  };
  struct homeward final : letter {
    explicit homeward(crossing& c) : self(c) {}
    void open() override { self.caller.resume(); }
    crossing& self;
  };

  static errand go(crossing& self) {
    {
      task<Value> work = self.make();
      Value value = co_await std::move(work);
      self.value.emplace(std::move(value));
    }
    self.here.post(self.back);  // from here on the other thread may destroy `self`
  }

  crossing(reactor& h, reactor& t, Make& m) : here(h), there(t), make(m) {}
  crossing(const crossing&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    caller = handle;
    there.post(out);
  }
  Value await_resume() { return std::move(*value); }

  reactor& here;
  reactor& there;
  Make& make;
  std::coroutine_handle<> caller;
  std::optional<Value> value;
  outward out{*this};
  homeward back{*this};
};

}  // namespace detail

// make() -> task<Value>.
template <class Make, class Value = typename detail::task_value<std::invoke_result_t<Make&>>::type>
task<Value> run_there(reactor& here, reactor& there, Make& make) {
  if (&here == &there) {
    task<Value> work = make();
    Value value = co_await std::move(work);
    co_return value;
  }
  detail::crossing<Value, Make> trip(here, there, make);
  Value value = co_await trip;
  co_return value;
}

}  // namespace weir
