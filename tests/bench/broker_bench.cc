// What the broker and storage code cost per request on one core, with a disk and lanes that take no time.
//
//   publish      128-byte payload, 256 in flight a turn, fsync level, 16 streams
//   fetch        256 messages a batch
//   ack          one message a request, 256 in flight a turn
//
//   bench_broker [MESSAGES]
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "broker/shard.h"
#include "tests/bench/null_disk.h"
#include "tests/sim/inline_lane.h"
#include "tests/sim/manual_clock.h"
#include "tests/sim/manual_timers.h"

namespace weir {
namespace {

constexpr int streams = 16;
constexpr uint64_t in_flight = 256;

class no_events final : public event_sink {
 public:
  void on_event(const watch_event&) override {}
};

template <class T>
task<void> count_success(task<result<T>> work, uint64_t& done) {
  auto outcome = co_await std::move(work);
  if (outcome) ++done;
}

task<void> keep(task<result<fetch_outcome>> work, std::vector<seq_no>& seqs) {
  auto outcome = co_await std::move(work);
  if (!outcome) co_return;
  for (const delivery& one : outcome->deliveries) seqs.push_back(one.record.seq);
}

// CPU time of this thread: a busy machine does not count.
class stopwatch {
 public:
  void report(const char* what, uint64_t count) const {
    const double spent = now_s() - start_s_;
    std::printf("%-8s %9.0f ns each, %10.0f a second of CPU (%llu)\n", what, spent * 1e9 / static_cast<double>(count),
                static_cast<double>(count) / spent, static_cast<unsigned long long>(count));
  }

 private:
  static double now_s() {
    timespec spent{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) * 1e-9;
  }
  double start_s_ = now_s();
};

void run(uint64_t messages) {
  null_disk where;
  inline_lane commits;
  inline_lane pool;
  manual_clock clock;
  manual_timers deadlines;
  no_events events;
  store_config storage;
  storage.journal.segment_bytes = 1ull << 30;
  storage.disk_reserve_bytes = 0;
  auto opened = shard::open({where, commits, pool, clock, deadlines, events}, "shard", broker_limits(), storage);
  if (!opened) {
    std::fprintf(stderr, "bench_broker: %s\n", opened.err().message.c_str());
    std::exit(1);
  }
  shard& target = **opened;
  gate running;
  uint64_t done = 0;
  std::vector<std::string> names;
  for (int i = 0; i < streams; ++i) {
    names.push_back("stream-" + std::to_string(i));
    stream_config config;
    config.name = names.back();
    running.spawn(count_success(target.create_stream(config), done));
    consumer_config consumer;
    consumer.name = "c";
    running.spawn(count_success(target.create_consumer(names.back(), consumer), done));
  }
  target.end_of_turn();

  const std::string payload(128, 'x');
  publish_request request;
  request.subject = "orders.created";
  request.payload = as_bytes(payload);
  done = 0;
  const stopwatch publishing;
  for (uint64_t i = 0; i < messages; ++i) {
    request.stream = names[i % streams];
    running.spawn(count_success(target.publish(request), done));
    if (i % in_flight == in_flight - 1) target.end_of_turn();
  }
  target.end_of_turn();
  publishing.report("publish", done);

  std::vector<std::vector<seq_no>> seqs(streams);
  const stopwatch fetching;
  for (uint64_t i = 0; i < messages / in_flight; ++i) {
    running.spawn(keep(target.fetch(names[i % streams], "c", in_flight), seqs[i % streams]));
    target.end_of_turn();
  }
  uint64_t fetched = 0;
  for (const auto& some : seqs) fetched += some.size();
  fetching.report("fetch", fetched);

  done = 0;
  const stopwatch acking;
  for (size_t i = 0; i < streams; ++i) {
    for (size_t k = 0; k < seqs[i].size(); ++k) {
      running.spawn(count_success(target.ack(names[i], "c", seqs[i][k]), done));
      if (k % in_flight == in_flight - 1) target.end_of_turn();
    }
    target.end_of_turn();
  }
  acking.report("ack", done);
  running.spawn(count_success(target.stop(), done));
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const uint64_t messages = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 500'000;
  weir::run(messages);
  return 0;
}
