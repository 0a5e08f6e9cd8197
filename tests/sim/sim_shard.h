// A production shard over simulated ports: disk, lanes, clock and timers stand still until the test moves them.
//
// Everything runs on the test's thread. A crash takes the disk's surviving bytes to a fresh disk; the old shard is left
// to die on the old one, where everything fails, so that no coroutine is left behind.
#pragma once

#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "broker/shard.h"
#include "tests/sim/manual_clock.h"
#include "tests/sim/manual_timers.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/stepped_lane.h"

namespace weir {

class recorded_events final : public event_sink {
 public:
  void on_event(const watch_event& event) override { all.push_back(event); }
  std::vector<watch_event> all;
};

// A task that was started; its value when it has ended.
template <class T>
class started {
 public:
  explicit started(task<T> work) : state_(std::make_shared<state>()) { drive(std::move(work), state_); }
  bool done() const { return state_->value.has_value(); }
  T& value() { return *state_->value; }
  const T& value() const { return *state_->value; }

 private:
  struct state {
    std::optional<T> value;
  };
  struct detached {
    struct promise_type {
      detached get_return_object() noexcept { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
    };
  };
  static detached drive(task<T> work, std::shared_ptr<state> into) {
    T value = co_await std::move(work);
    into->value.emplace(std::move(value));
  }

  std::shared_ptr<state> state_;
};

class sim_shard {
 public:
  sim_shard() : disk_(std::make_unique<sim_disk>()) {
    storage.journal.segment_bytes = 256u << 10;
    storage.journal.batch_bytes_max = 64u << 10;
    storage.disk_reserve_bytes = 0;
    storage.cache_bytes_max = 1u << 20;
  }
  sim_shard(const sim_shard&) = delete;
  sim_shard& operator=(const sim_shard&) = delete;
  ~sim_shard() {
    if (now) die();
  }

  // Set before open().
  store_config storage;
  broker_limits limits;

  manual_clock clock;
  manual_timers deadlines;
  recorded_events events;
  stepped_lane commits;
  stepped_lane pool;
  std::unique_ptr<shard> now;

  sim_disk& disk() { return *disk_; }

  // Segments that are mostly one stream's become its blocks, and there are many of them.
  void take_segments() {
    storage.taken_bytes_min = 0;
    storage.journal.segment_bytes = 16u << 10;
    storage.journal.batch_bytes_max = 8u << 10;
  }

  result<void> open() {
    const shard_ports ports{*disk_, commits, pool, clock, deadlines, events};
    auto opened = shard::open(ports, "shard-0", limits, storage);
    if (!opened) return opened.err();
    now = std::move(*opened);
    return ok();
  }

  // Until nothing moves any more.
  void settle() {
    for (;;) {
      now->end_of_turn();
      const bool moved = commits.step() || pool.step();
      if (!moved) return;
    }
  }
  // One thing that may happen next, chosen by chance. False: nothing could.
  bool step(std::mt19937_64& random) {
    const uint64_t start = random();
    for (uint64_t i = 0; i < 5; ++i) {
      switch ((start + i) % 5) {
        case 0:
          if (commits.work()) return true;
          break;
        case 1:
        case 2:
          if (commits.done()) return true;
          break;
        case 3:
          if (pool.step(random())) return true;
          break;
        default:
          now->end_of_turn();
          break;
      }
    }
    return commits.pending() != 0 || pool.pending() != 0;
  }
  template <class T>
  T run(task<T> work) {
    started<T> running(std::move(work));
    settle();
    WEIR_CHECK(running.done());
    return std::move(running.value());
  }
  // Runs what is due then, and nothing else.
  void advance_time_ms(int64_t ms) {
    clock.advance_ms(ms);
    deadlines.run_due(clock.mono());
  }
  void advance_ms(int64_t ms) {
    advance_time_ms(ms);
    settle();
  }

  // A power cut: what was not synced is lost, by the seed's chance.
  void crash(uint64_t seed) {
    disk_->crash(seed);
    leave_for(disk_->copy());
  }
  // A killed process: everything written is still there.
  void kill() {
    disk_->restart();
    leave_for(disk_->copy());
  }
  // A clean stop and another start.
  result<void> restart() {
    auto stopped = run(now->stop());
    now.reset();
    if (!stopped) return stopped;
    return open();
  }

 private:
  void leave_for(std::unique_ptr<sim_disk> survivor) {
    die();
    disk_ = std::move(survivor);
  }
  // The old shard ends on a disk where nothing succeeds.
  void die() {
    disk_->fail(sim_disk::op::change, 1, true);
    settle();
    started<result<void>> stopping(now->stop());
    settle();
    WEIR_CHECK(stopping.done());
    now.reset();
  }

  std::unique_ptr<sim_disk> disk_;
};

}  // namespace weir
