// watch_hub: the admin events of all shards, for the WatchStreams calls of one reactor.
//
// One hub per reactor, on its thread; one watch_relay per shard carries the shard's events to every hub. A watcher that
// falls behind by more than its buffer loses the oldest and is told how many.
#pragma once

#include <coroutine>
#include <deque>
#include <optional>
#include <unordered_set>
#include <vector>

#include "broker/ports.h"
#include "net/reactor.h"

namespace weir {

class watch_hub {
 public:
  // One call's queue. Lives in its coroutine.
  class watcher {
   public:
    explicit watcher(watch_hub& hub) : hub_(hub) { hub_.watchers_.insert(this); }
    watcher(const watcher&) = delete;
    ~watcher() { hub_.watchers_.erase(this); }

    struct seen {
      watch_event event;
      uint64_t missed_before = 0;
    };
    struct next_awaiter {
      watcher& self;
      bool await_ready() const { return !self.events_.empty() || self.ended_; }
      void await_suspend(std::coroutine_handle<> caller) { self.waiting_ = caller; }
      std::optional<seen> await_resume() { return self.take(); }
    };
    // The next event; nullopt after end().
    next_awaiter next() { return next_awaiter{*this}; }
    void end();

   private:
    friend class watch_hub;
    std::optional<seen> take();
    void push(const watch_event& event);
    void wake();

    watch_hub& hub_;
    std::deque<watch_event> events_;
    uint64_t missed_ = 0;
    bool ended_ = false;
    std::coroutine_handle<> waiting_;
  };

  explicit watch_hub(size_t events_buffered_max) : events_buffered_max_(events_buffered_max) {}
  watch_hub(const watch_hub&) = delete;

  void publish(const watch_event& event);

 private:
  const size_t events_buffered_max_;
  std::unordered_set<watcher*> watchers_;
};

// The event sink of one shard.
class watch_relay final : public event_sink {
 public:
  struct place {
    reactor* home;
    watch_hub* hub;
  };
  watch_relay(reactor& home, std::vector<place> everywhere) : home_(home), everywhere_(std::move(everywhere)) {}
  void on_event(const watch_event& event) override;

 private:
  reactor& home_;
  std::vector<place> everywhere_;
};

}  // namespace weir
