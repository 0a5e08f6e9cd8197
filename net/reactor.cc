#include "net/reactor.h"

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <future>
#include <string>

#include "net/completion_tag.h"
#include "storage/check.h"

namespace weir {
namespace {

constexpr int completions_a_turn_max = 64;
constexpr int64_t turn_ns_max = 50'000;        // a long one keeps a commit from starting, and its end from being seen
constexpr int64_t sleep_ns_max = 100'000'000;  // a lost bell would cost this much; none is known

gpr_timespec the_past() {
  return gpr_inf_past(GPR_CLOCK_MONOTONIC);
}

void pin_this_thread(int cpu) {
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  CPU_SET(static_cast<size_t>(cpu), &wanted);
  // Best effort: in a container without the right to choose, the kernel places the thread.
  (void)pthread_setaffinity_np(pthread_self(), sizeof wanted, &wanted);
}

}  // namespace

// An alarm may be set again only after its tag came back: rung_ says whether it is under way.
struct reactor::bell final : completion_tag {
  explicit bell(reactor& r) : completion_tag{&bell::heard}, self(r) {}
  static void heard(completion_tag* tag, bool) { static_cast<bell*>(tag)->self.rung_.store(false); }

  reactor& self;
  grpc::Alarm alarm;
};

reactor::reactor(unsigned index, std::optional<int> cpu, clock_port& clock,
                 std::unique_ptr<grpc::CompletionQueue> queue)
    : index_(index),
      cpu_(cpu),
      clock_(clock),
      queue_(std::move(queue)),
      executor_(std::make_unique<asio::io_context>(1)),
      bell_(std::make_unique<bell>(*this)) {}

reactor::~reactor() {
  WEIR_CHECK(!thread_.joinable());
}

void reactor::start() {
  thread_ = std::thread(&reactor::run, this);
}

void reactor::stop() {
  post(quit_);
  last_post_done_.store(true);
  thread_.join();
}

void reactor::call(const std::function<void()>& work) {
  struct blocking final : letter {
    explicit blocking(const std::function<void()>& w) : work(w) {}
    void open() override {
      work();
      done.set_value();
    }
    const std::function<void()>& work;
    std::promise<void> done;
  };
  blocking sent(work);
  std::future<void> done = sent.done.get_future();
  post(sent);
  done.wait();
}

void reactor::post(letter& sent) {
  if (!inbox_.push(sent)) return;  // whoever made it non-empty rings
  if (asleep_.load(std::memory_order_seq_cst)) ring();
}

void reactor::ring() {
  if (rung_.exchange(true)) return;
  bells_.fetch_add(1, std::memory_order_relaxed);
  bell_->alarm.Set(queue_.get(), the_past(), bell_->as_tag());
}

void reactor::defer(std::coroutine_handle<> caller) {
  deferred_ = true;
  asio::post(*executor_, caller);
}

bool reactor::wait_until(const std::function<bool()>& condition, time_point deadline) {
  bool holds = false;
  while (true) {
    call([&] { holds = condition(); });
    if (holds || std::chrono::system_clock::now() >= deadline) return holds;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void reactor::run() {
  std::string name = "reactor-" + std::to_string(index_);
  pthread_setname_np(pthread_self(), name.c_str());
  if (cpu_) pin_this_thread(*cpu_);
  auto work = asio::make_work_guard(*executor_);
  do {
    turn();
    if (quitting_ && !queue_closed_) close_queue();
  } while (complete_some());
}

// Setting an alarm on a closed queue aborts the process, so the poster of the quit letter must have left post() first.
void reactor::close_queue() {
  if (!last_post_done_.load()) {
    deferred_ = true;  // look again at once
    return;
  }
  queue_closed_ = true;
  queue_->Shutdown();
}

void reactor::turn() {
  turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  inbox_.open_all();
  timers_.run_due(clock_.mono());
  deferred_ = false;
  executor_->poll();
  for (turn_end* hook : turn_ends_) hook->end_of_turn();
}

bool reactor::complete_some() {
  asleep_.store(true, std::memory_order_seq_cst);
  gpr_timespec until = the_past();
  // The order is the protocol with post(): first asleep, then a last look into the inbox.
  if (inbox_.empty() && !deferred_ && !busy_) {
    int64_t pause = sleep_ns_max;
    if (auto next = timers_.next()) pause = std::min(pause, next->raw() - clock_.mono().raw());
    if (pause > 0) {
      until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(pause, GPR_TIMESPAN));
    }
  }
  void* tag = nullptr;
  bool ok = false;
  auto next = queue_->AsyncNext(&tag, &ok, until);
  asleep_.store(false, std::memory_order_relaxed);
  busy_ = false;
  const int64_t over_at = clock_.mono().raw() + turn_ns_max;
  for (int n = 1; next == grpc::CompletionQueue::GOT_EVENT; ++n) {
    auto* done = static_cast<completion_tag*>(tag);
    done->fn(done, ok);
    busy_ = n == completions_a_turn_max || clock_.mono().raw() >= over_at;
    if (busy_) return true;
    next = queue_->AsyncNext(&tag, &ok, the_past());
  }
  return next != grpc::CompletionQueue::SHUTDOWN;
}

}  // namespace weir
