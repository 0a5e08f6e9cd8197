#include "tests/bench/pending_stalls.h"

#include <time.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include "broker/shard.h"
#include "tests/bench/null_disk.h"
#include "tests/sim/manual_clock.h"
#include "tests/sim/manual_timers.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr uint32_t batch = 256;
constexpr int64_t ack_wait_ms = 30'000;

double thread_us() {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) * 1e6 + static_cast<double>(spent.tv_nsec) * 1e-3;
}

// Works at the end of the event, like another thread: its time is nobody's event.
class lane_beside final : public lane {
 public:
  void submit(job& next) override { waiting_.push_back(&next); }
  // False: nothing was waiting.
  bool work() {
    working_ = std::exchange(waiting_, {});
    for (job* one : working_) one->work();
    return !working_.empty();
  }
  void report() {
    for (job* one : std::exchange(working_, {})) one->done();
  }

 private:
  std::vector<job*> waiting_;
  std::vector<job*> working_;
};

class no_events final : public event_sink {
 public:
  void on_event(const watch_event&) override {}
};

class stall_world {
 public:
  stall_world() {
    store_config storage;
    storage.journal.segment_bytes = 1ull << 30;  // no checkpoint: that disk cannot be read
    storage.disk_reserve_bytes = 0;
    auto opened =
        shard::open({where_, commits_, pool_, clock_, deadlines_, events_}, "shard", broker_limits(), storage);
    if (!opened) stop_bench(opened.err().message);
    target_ = std::move(*opened);
  }
  ~stall_world() {
    running_.spawn(expect(target_->stop()));
    event();
  }

  void run_acks(const std::string& stream, retention_policy policy, uint64_t messages);
  void run_exhausted(const std::string& stream, const std::string& dead_letter_subject, uint64_t messages);
  std::vector<event_cost> costs;

 private:
  template <class T>
  static task<void> expect(task<result<T>> work) {
    auto outcome = co_await std::move(work);
    if (!outcome) stop_bench(outcome.err().message);
  }
  task<void> take(task<result<fetch_outcome>> work) {
    auto outcome = co_await std::move(work);
    if (!outcome) stop_bench(outcome.err().message);
    for (const delivery& one : outcome->deliveries) taken_.push_back(one.record.seq);
  }
  // The end of the turn, and whatever follows from it. The longest of the turns counts.
  double event(double spent_us = 0) {
    double worst_us = 0;
    for (bool more = true; more;) {
      const double began = thread_us();
      target_->end_of_turn();
      commits_.report();
      pool_.report();
      worst_us = std::max(worst_us, spent_us + thread_us() - began);
      spent_us = 0;
      const bool committed = commits_.work();
      more = pool_.work() || committed;
    }
    return worst_us;
  }
  template <class Start>
  double event_of(Start&& start) {
    const double began = thread_us();
    start();
    return event(thread_us() - began);
  }
  // Until `one` says that it was the last.
  template <class One>
  void measure(const std::string& what, One&& one) {
    std::vector<double> spent;
    for (bool more = true; more;) {
      spent.push_back(event_of([&more, &one] { more = one(); }));
    }
    const double sum = std::accumulate(spent.begin(), spent.end(), 0.0);
    costs.push_back(
        {what, spent.size(), sum / static_cast<double>(spent.size()), *std::max_element(spent.begin(), spent.end())});
  }
  void fill(const std::string& stream, retention_policy policy, const consumer_config& worker, uint64_t messages);
  void pass_deadlines(const std::string& what);
  void fetch_all(const std::string& what, const std::string& stream, uint64_t messages);

  null_disk where_;
  lane_beside commits_;
  lane_beside pool_;
  manual_clock clock_;
  manual_timers deadlines_;
  no_events events_;
  gate running_;
  std::unique_ptr<shard> target_;
  std::vector<seq_no> taken_;
};

void stall_world::fill(const std::string& stream, retention_policy policy, const consumer_config& worker,
                       uint64_t messages) {
  stream_config config;
  config.name = stream;
  config.policy = policy;
  event_of([&] { running_.spawn(expect(target_->create_stream(config))); });
  event_of([&] { running_.spawn(expect(target_->create_consumer(stream, worker))); });
  const std::string payload(16, 'x');
  publish_request request;
  request.stream = stream;
  request.subject = "a";
  request.payload = as_bytes(payload);
  for (uint64_t i = 0; i < messages; ++i) {
    running_.spawn(expect(target_->publish(request)));
    if (i % batch == 0) event();
  }
  event();
}

void stall_world::fetch_all(const std::string& what, const std::string& stream, uint64_t messages) {
  taken_.clear();
  taken_.reserve(messages);  // its growth is nobody's event
  measure(what, [&] {
    running_.spawn(take(target_->fetch(stream, "c", batch)));
    return taken_.size() < messages;
  });
  if (taken_.size() != messages) stop_bench(what + ": not all came");
}

void stall_world::pass_deadlines(const std::string& what) {
  clock_.advance_ms(ack_wait_ms + 1);
  measure(what, [this] {
    deadlines_.run_due(clock_.mono());
    return deadlines_.next() <= clock_.mono();
  });
}

void stall_world::run_acks(const std::string& stream, retention_policy policy, uint64_t messages) {
  consumer_config worker;
  worker.name = "c";
  worker.ack_wait_ms = ack_wait_ms;
  fill(stream, policy, worker, messages);
  fetch_all("fetch of " + std::to_string(batch) + ", " + stream, stream, messages);
  if (policy == retention_policy::limits) {
    pass_deadlines("deadlines that pass at once");
    fetch_all("redelivery of " + std::to_string(batch), stream, messages);
  }
  std::mt19937_64 random(1);
  std::shuffle(taken_.begin(), taken_.end(), random);
  measure("ack in random order, " + stream, [this, &stream] {
    running_.spawn(expect(target_->ack(stream, "c", taken_.back())));
    taken_.pop_back();
    return !taken_.empty();
  });
}

void stall_world::run_exhausted(const std::string& stream, const std::string& dead_letter_subject, uint64_t messages) {
  consumer_config worker;
  worker.name = "c";
  worker.filter_subject = "a";
  worker.ack_wait_ms = ack_wait_ms;
  worker.max_deliver = 1;
  worker.dead_letter_subject = dead_letter_subject;
  fill(stream, retention_policy::limits, worker, messages);
  fetch_all("fetch of " + std::to_string(batch) + ", " + stream, stream, messages);
  pass_deadlines("deadlines of the last attempt, " + stream);
}

}  // namespace

std::vector<event_cost> measure_pending_stalls(uint64_t messages) {
  stall_world world;
  world.run_acks("limits", retention_policy::limits, messages);
  world.run_acks("work_queue", retention_policy::work_queue, messages);
  world.run_exhausted("parked", "", messages);
  world.run_exhausted("dead_letters", "dead", messages);
  return std::move(world.costs);
}

}  // namespace weir
