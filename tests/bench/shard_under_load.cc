#include "tests/bench/shard_under_load.h"

#include <time.h>

#include <algorithm>
#include <chrono>

#include "tools/load/bench_report.h"

namespace weir {
namespace {

double cpu_now_s(clockid_t of) {
  timespec spent{};
  ::clock_gettime(of, &spent);
  return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) * 1e-9;
}

template <class T>
task<void> expect(task<result<T>> work) {
  auto outcome = co_await std::move(work);
  if (!outcome) stop_bench(outcome.err().message);
}

}  // namespace

void ended_jobs::give(job& ended) {
  std::lock_guard hold(lock_);
  ended_.push_back(&ended);
  bell_.notify_one();
}

bool ended_jobs::run(bool wait) {
  std::deque<job*> taken;
  {
    std::unique_lock hold(lock_);
    if (wait && under_way_ != 0) bell_.wait(hold, [this] { return !ended_.empty(); });
    taken.swap(ended_);
  }
  under_way_ -= taken.size();
  for (job* each : taken) each->done();
  return under_way_ != 0;
}

worker_lane::worker_lane(ended_jobs& to, unsigned threads) : to_(to) {
  for (unsigned n = 0; n < threads; ++n) threads_.emplace_back(&worker_lane::serve, this);
}

worker_lane::~worker_lane() {
  {
    std::lock_guard hold(lock_);
    stopping_ = true;
  }
  bell_.notify_all();
  for (std::thread& each : threads_) each.join();
}

void worker_lane::submit(job& next) {
  to_.began();
  {
    std::lock_guard hold(lock_);
    waiting_.push_back(&next);
  }
  bell_.notify_one();
}

void worker_lane::serve() {
  for (;;) {
    job* next = nullptr;
    {
      std::unique_lock hold(lock_);
      bell_.wait(hold, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      next = waiting_.front();
      waiting_.pop_front();
    }
    next->work();
    to_.give(*next);
  }
}

shard_under_load::shard_under_load(const std::string& directory) : where_(directory) {
  auto made = where_.make_dir("");
  if (!made) stop_bench(made.err().message);
  store_config storage;
  storage.disk_reserve_bytes = 0;
  auto opened = shard::open({where_, commits_, pool_, clock_, deadlines_, events_}, "shard", broker_limits(), storage);
  if (!opened) stop_bench(opened.err().message);
  shard_ = std::move(*opened);
}

shard_under_load::~shard_under_load() {
  drain();
}

void shard_under_load::create_stream(const std::string& name) {
  stream_config config;
  config.name = name;
  running_.spawn(expect(shard_->create_stream(std::move(config))));
}

void shard_under_load::drain() {
  do {
    shard_->end_of_turn();
  } while (ended_.run(true));
}

void shard_under_load::stop() {
  running_.spawn(expect(shard_->stop()));
  drain();
}

void shard_under_load::fill(frame& one, const work& wanted, uint64_t number, uint64_t first) {
  one.subjects.resize(wanted.records);
  one.records.resize(wanted.records);
  const std::string& stream = wanted.stream(number);
  for (size_t n = 0; n < wanted.records; ++n) {
    wanted.subject(first + n, one.subjects[n]);
    publish_request& record = one.records[n];
    record.stream = stream;
    record.subject = one.subjects[n];
    record.payload = as_bytes(payload_);
  }
}

task<void> shard_under_load::place(frame& one) {
  auto placed = co_await shard_->place_batch(one.records, false);
  if (!placed) stop_bench(placed.err().message);
  if (placed->stored != one.records.size()) stop_bench(placed->failed.front().why.message);
  auto safe = co_await shard_->batch_safe(placed->level, placed->end);
  if (!safe) stop_bench(safe.err().message);
  one.free = true;
}

shard_under_load::cost shard_under_load::publish(const work& wanted) {
  payload_.assign(wanted.payload_bytes, 'p');
  while (frames_.size() < wanted.frames_max) frames_.push_back(std::make_unique<frame>());
  const double cpu_before = cpu_now_s(CLOCK_PROCESS_CPUTIME_ID);
  const double shard_before = cpu_now_s(CLOCK_THREAD_CPUTIME_ID);
  const auto start = std::chrono::steady_clock::now();
  constexpr size_t frames_a_turn = 4;
  for (uint64_t sent = 0, number = 0; sent < wanted.messages;) {
    size_t begun = 0;
    for (auto& each : frames_) {
      if (begun == frames_a_turn || sent >= wanted.messages) break;
      if (!each->free) continue;
      each->free = false;
      fill(*each, wanted, number++, sent);
      sent += wanted.records;
      ++begun;
      running_.spawn(place(*each));
    }
    shard_->end_of_turn();
    ended_.run(begun == 0);
  }
  drain();
  cost spent;
  spent.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  spent.cpu_seconds = cpu_now_s(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
  spent.shard_seconds = cpu_now_s(CLOCK_THREAD_CPUTIME_ID) - shard_before;
  return spent;
}

}  // namespace weir
