#include "net/reactor.h"

#include <doctest/doctest.h>
#include <grpcpp/completion_queue.h>

#include <future>
#include <set>
#include <thread>

#include "net/commit_thread.h"
#include "net/cross.h"
#include "net/system_clock.h"
#include "net/worker_pool.h"

namespace weir {
namespace {

std::unique_ptr<reactor> make_reactor(clock_port& clock, unsigned index = 0) {
  return std::make_unique<reactor>(index, std::nullopt, clock, std::make_unique<grpc::CompletionQueue>());
}

struct counting_letter final : letter {
  void open() override { order->push_back(number); }
  std::vector<int>* order = nullptr;
  int number = 0;
};

TEST_CASE("reactor: letters of one sender are opened in order, each once, also when the reactor sleeps in between") {
  system_clock clock;
  auto home = make_reactor(clock);
  home->start();
  std::vector<int> order;
  std::vector<counting_letter> letters(10'000);
  for (int n = 0; n < 10'000; ++n) {
    letters[static_cast<size_t>(n)].order = &order;
    letters[static_cast<size_t>(n)].number = n;
    home->post(letters[static_cast<size_t>(n)]);
    if (n % 1000 == 0) home->call([] {});  // lets it fall asleep
  }
  home->call([] {});
  REQUIRE(order.size() == 10'000);
  CHECK(std::is_sorted(order.begin(), order.end()));
  home->stop();
}

TEST_CASE("reactor: what several threads post at once all arrives") {
  system_clock clock;
  auto home = make_reactor(clock);
  home->start();
  constexpr int threads = 4;
  constexpr int rounds = 2'000;
  std::atomic<int> opened{0};
  std::vector<std::thread> senders;
  for (int t = 0; t < threads; ++t) {
    senders.emplace_back([&] {
      for (int n = 0; n < rounds; ++n) home->call([&] { opened.fetch_add(1); });
    });
  }
  for (std::thread& one : senders) one.join();
  CHECK(opened == threads * rounds);
  home->stop();
}

struct noting_timer final : timers::timer {
  void expired() override {
    at = clock->mono();
    if (order != nullptr) order->push_back(this);
    if (last != nullptr) last->set_value();
  }
  clock_port* clock = nullptr;
  mono_ns at{};
  std::vector<noting_timer*>* order = nullptr;
  std::promise<void>* last = nullptr;
};

TEST_CASE("reactor: timers expire in order of their deadlines, never early, and wake a sleeping reactor") {
  system_clock clock;
  auto home = make_reactor(clock);
  home->start();
  std::vector<noting_timer*> order;
  std::promise<void> all;
  noting_timer early, late, dropped;
  mono_ns start = clock.mono();
  mono_ns first(start.raw() + 5'000'000);
  mono_ns second(start.raw() + 20'000'000);
  home->call([&] {
    for (noting_timer* one : {&early, &late, &dropped}) {
      one->clock = &clock;
      one->order = &order;
    }
    late.last = &all;
    home->deadlines().arm(late, second);
    home->deadlines().arm(dropped, first);
    home->deadlines().arm(early, first);
    home->deadlines().disarm(dropped);
  });
  all.get_future().wait();
  home->call([] {});
  REQUIRE(order.size() == 2);
  CHECK(order[0] == &early);
  CHECK(order[1] == &late);
  CHECK(early.at >= first);
  CHECK(late.at >= second);
  home->stop();
}

struct counting_turns final : turn_end {
  void end_of_turn() override { ++count; }
  int count = 0;
};

TEST_CASE("reactor: an idle reactor sleeps, and every turn calls its turn ends once") {
  system_clock clock;
  auto home = make_reactor(clock);
  counting_turns hook;
  home->add_turn_end(hook);
  home->start();
  home->call([] {});
  uint64_t before = home->turns();
  auto asleep = std::make_unique<noting_timer>();
  std::promise<void> done;
  asleep->clock = &clock;
  asleep->last = &done;
  home->call([&] { home->deadlines().arm(*asleep, mono_ns(clock.mono().raw() + 300'000'000)); });
  done.get_future().wait();
  CHECK(home->turns() - before < 20);  // 300 ms of sleep: a spinning loop would make thousands
  home->call([&] { CHECK(static_cast<uint64_t>(hook.count) + 1 == home->turns()); });
  home->stop();
}

struct note_thread final : job {
  void work() override { worked = std::this_thread::get_id(); }
  void done() override {
    finished = std::this_thread::get_id();
    order->push_back(number);
    if (last != nullptr) last->set_value();
  }
  int number = 0;
  std::vector<int>* order = nullptr;
  std::promise<void>* last = nullptr;
  std::thread::id worked, finished;
};

TEST_CASE("commit thread: jobs run in order on one other thread and are done on the reactor") {
  system_clock clock;
  auto home = make_reactor(clock);
  home->start();
  commit_thread commits(*home, "commit-test");
  std::vector<int> order;
  std::promise<void> all;
  std::vector<note_thread> jobs(500);
  std::thread::id reactor_thread;
  home->call([&] {
    reactor_thread = std::this_thread::get_id();
    for (int n = 0; n < 500; ++n) {
      note_thread& one = jobs[static_cast<size_t>(n)];
      one.number = n;
      one.order = &order;
      if (n == 499) one.last = &all;
      commits.submit(one);
    }
  });
  all.get_future().wait();
  commits.stop();
  home->stop();
  REQUIRE(order.size() == 500);
  CHECK(std::is_sorted(order.begin(), order.end()));
  for (note_thread& one : jobs) {
    CHECK(one.worked == jobs[0].worked);
    CHECK(one.worked != reactor_thread);
    CHECK(one.finished == reactor_thread);
  }
}

task<void> use_pool(lane& pool, int& sum, std::promise<void>& done) {
  for (int n = 1; n <= 100; ++n) {
    auto square = [n] { return n * n; };
    sum += co_await run_on(pool, square);
  }
  done.set_value();
}

TEST_CASE("worker pool: a coroutine awaits work there and resumes on its reactor with the value") {
  system_clock clock;
  auto home = make_reactor(clock);
  home->start();
  worker_pool pool(3);
  gate running;
  int sum = 0;
  std::promise<void> done;
  home->call([&] { running.spawn(use_pool(pool.lane_of(*home), sum, done)); });
  done.get_future().wait();
  home->call([] {});
  CHECK(sum == 338'350);
  pool.stop();
  home->stop();
}

task<int> add_there(std::thread::id& ran_on, int a, int b) {
  ran_on = std::this_thread::get_id();
  co_return a + b;
}

task<void> ask(reactor& here, reactor& there, std::thread::id& ran_on, std::thread::id& resumed_on, int& sum,
               std::promise<void>& done) {
  for (int n = 0; n < 1'000; ++n) {
    auto add = [&ran_on, n] { return add_there(ran_on, n, 1); };
    sum += co_await run_there(here, there, add);
  }
  resumed_on = std::this_thread::get_id();
  done.set_value();
}

TEST_CASE("cross: a task runs on the other reactor and its caller resumes at home") {
  system_clock clock;
  auto here = make_reactor(clock, 0);
  auto there = make_reactor(clock, 1);
  here->start();
  there->start();
  std::thread::id here_thread, there_thread, ran_on, resumed_on;
  here->call([&] { here_thread = std::this_thread::get_id(); });
  there->call([&] { there_thread = std::this_thread::get_id(); });
  gate running;
  int sum = 0;
  std::promise<void> done;
  here->call([&] { running.spawn(ask(*here, *there, ran_on, resumed_on, sum, done)); });
  done.get_future().wait();
  here->call([] {});
  there->call([] {});
  CHECK(sum == 500'500);
  CHECK(ran_on == there_thread);
  CHECK(resumed_on == here_thread);
  here->stop();
  there->stop();
}

TEST_CASE("worker pool: shards that open side by side get a lane each") {
  constexpr size_t askers = 8;
  constexpr size_t lanes_each = 200;
  system_clock clock;
  auto home = make_reactor(clock);
  worker_pool pool(1);
  std::vector<std::vector<lane*>> given(askers);
  std::vector<std::thread> threads;
  for (size_t n = 0; n < askers; ++n) {
    threads.emplace_back([&pool, &home, &mine = given[n]] {
      for (size_t i = 0; i < lanes_each; ++i) mine.push_back(&pool.lane_of(*home));
    });
  }
  for (std::thread& one : threads) one.join();
  std::set<lane*> distinct;
  for (const auto& mine : given) distinct.insert(mine.begin(), mine.end());
  CHECK(distinct.size() == askers * lanes_each);
}

}  // namespace
}  // namespace weir
