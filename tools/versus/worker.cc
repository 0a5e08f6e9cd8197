#include "tools/versus/worker.h"

#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "tools/flags.h"
#include "tools/load/bench_report.h"
#include "tools/load/h2_turn.h"

namespace weir {
namespace {

constexpr double ns_per_s = 1e9;
constexpr int unavailable_code = 3;
constexpr uint64_t stall_ns_max = 60'000'000'000;
constexpr int look_again_ms = 2;

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

nlohmann::json latency_json(const histogram& latency_ns) {
  auto us = [](uint64_t ns) { return static_cast<double>(ns) / 1000; };
  return {{"p50", us(latency_ns.percentile(50))},
          {"p99", us(latency_ns.percentile(99))},
          {"p99_9", us(latency_ns.percentile(99.9))},
          {"max", us(latency_ns.max())}};
}

void say(const nlohmann::json& what) {
  std::printf("%s\n", what.dump().c_str());
  std::fflush(stdout);
}

// Lines of standard input, one at a time.
class input_lines {
 public:
  // False: none came in time, or there is none any more.
  bool next(std::string& line, int wait_ms) {
    for (;;) {
      size_t end = buffered_.find('\n');
      if (end != std::string::npos) {
        line = buffered_.substr(0, end);
        buffered_.erase(0, end + 1);
        return true;
      }
      pollfd watched{STDIN_FILENO, POLLIN, 0};
      if (::poll(&watched, 1, wait_ms) <= 0) return false;
      char part[4096];
      ssize_t n = ::read(STDIN_FILENO, part, sizeof part);
      if (n <= 0) stop_bench("standard input ended: whoever started this is gone");
      buffered_.append(part, static_cast<size_t>(n));
    }
  }

 private:
  std::string buffered_;
};

void wait_for_go(input_lines& input) {
  std::printf("ready\n");
  std::fflush(stdout);
  std::string line;
  while (!input.next(line, -1)) {
  }
  if (line != "go") stop_bench("expected the line `go`, got: " + line);
}

void publish(const versus_options& options, versus_system& system) {
  std::vector<std::unique_ptr<publisher_link>> links;
  std::vector<publish_share> shares;
  for (uint32_t n = 0; n < options.connections; ++n) {
    links.push_back(system.publisher());
    shares.emplace_back(options, n);
  }
  input_lines input;
  wait_for_go(input);
  double cpu_before = cpu_seconds();
  uint64_t started = now_ns();
  std::vector<std::thread> threads;
  for (size_t n = 0; n < links.size(); ++n) {
    shares[n].begin(started);
    threads.emplace_back([&links, &shares, n] {
      if (shares[n].paced()) ask_for_exact_timers();
      links[n]->run(shares[n]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  uint64_t ended = started;
  histogram latency_ns;
  std::vector<uint64_t> sent;
  for (const publish_share& share : shares) {
    if (share.in_flight() != 0) stop_bench(std::to_string(share.in_flight()) + " messages were never acknowledged");
    ended = std::max(ended, share.ended_ns());
    latency_ns.merge(share.latency_ns());
    sent.push_back(share.sent());
  }
  say({{"messages", latency_ns.count()},
       {"sent", sent},
       {"seconds", static_cast<double>(ended - started) / ns_per_s},
       {"started_ns", started},
       {"ended_ns", ended},
       {"cpu_seconds", cpu_seconds() - cpu_before},
       {"latency_us", latency_json(latency_ns)}});
}

std::vector<uint64_t> numbers_of(const std::string& line) {
  std::istringstream words(line);
  std::string first;
  std::vector<uint64_t> numbers;
  words >> first;
  if (first != "sent") stop_bench("expected a line `sent N ...`, got: " + line);
  for (uint64_t number = 0; words >> number;) numbers.push_back(number);
  return numbers;
}

// Until all came; returns what was sent. Ends the program when nothing comes any more.
std::vector<uint64_t> wait_for_all(input_lines& input, consume_progress& all) {
  std::vector<uint64_t> sent;
  uint64_t last_seen = 0;
  uint64_t last_change = now_ns();
  while (all.received.load() < all.wanted.load()) {
    std::string line;
    bool told = !sent.empty();
    if (told) std::this_thread::sleep_for(std::chrono::milliseconds(look_again_ms));
    if (!told && input.next(line, look_again_ms)) {
      sent = numbers_of(line);
      uint64_t sum = 0;
      for (uint64_t number : sent) sum += number;
      all.wanted = sum;
    }
    uint64_t seen = all.received.load();
    if (seen != last_seen) last_change = now_ns();
    last_seen = seen;
    if (now_ns() - last_change > stall_ns_max) {
      stop_bench("lost messages: " + std::to_string(seen) + " came, then none for a minute");
    }
  }
  return sent;
}

void consume(const versus_options& options, versus_system& system) {
  system.create_consumer();
  consume_progress all;
  std::vector<std::unique_ptr<consumer_link>> links;
  std::vector<consume_share> shares;
  for (unsigned n = 0; n < options.connections; ++n) {
    links.push_back(system.consumer(n));
    shares.emplace_back(all);
  }
  input_lines input;
  wait_for_go(input);
  double cpu_before = cpu_seconds();
  uint64_t started = now_ns();
  std::vector<std::thread> threads;
  for (size_t n = 0; n < links.size(); ++n) {
    threads.emplace_back([&links, &shares, n] { links[n]->run(shares[n]); });
  }
  std::vector<uint64_t> sent = wait_for_all(input, all);
  uint64_t ended = system.settle() ? now_ns() : started;
  double cpu_used = cpu_seconds() - cpu_before;
  for (std::thread& thread : threads) thread.join();
  ledger seen;
  histogram latency_ns;
  for (const consume_share& share : shares) {
    ended = std::max(ended, share.ended_ns());
    seen.merge(share.seen());
    latency_ns.merge(share.latency_ns());
  }
  std::string wrong = seen.difference(sent);
  if (!wrong.empty()) stop_bench("of " + std::to_string(all.wanted.load()) + " messages: " + wrong);
  say({{"messages", seen.taken()},
       {"seconds", static_cast<double>(ended - started) / ns_per_s},
       {"started_ns", started},
       {"ended_ns", ended},
       {"cpu_seconds", cpu_used},
       {"latency_us", latency_json(latency_ns)}});
}

std::optional<int> parse(int argc, char** argv, versus_options& options) {
  CLI::App app("One process of tools/versus/run, which starts it and tells it when to begin.");
  app.add_option("role", options.role)->required()->check(CLI::IsMember({"create", "publish", "consume"}));
  add_server(app, options.server)->required();
  app.add_option("--path", options.path, "which way, where a system has several");
  app.add_option("--stream", options.stream)->capture_default_str();
  app.add_option("--consumer", options.consumer)->capture_default_str();
  add_count(app, "--connections", options.connections, 1, 256, "connections, a thread each");
  add_count(app, "--size", options.size, stamp_bytes, 1 << 20, "payload bytes");
  add_count(app, "--batch", options.batch, 1, 4096, "messages of one frame");
  add_count(app, "--pull", options.pull, 1, 4096, "messages a consumer takes at a time");
  add_count(app, "--in-flight", options.in_flight, 1, 1 << 20, "messages sent and not acknowledged");
  add_number(app, "--seconds", options.seconds, 0.001, 3600, "of publishing");
  add_number(app, "--rate", options.rate, 0, 1e7, "messages a second; 0: as fast as it goes");
  add_count(app, "--count-max", options.count_max, 0, ledger::numbers_max, "messages at most; 0: no bound");
  return parse_flags(app, argc, argv);
}

}  // namespace

void stop_unavailable(const std::string& reason) {
  say({{"unavailable", reason}});
  std::_Exit(unavailable_code);  // other threads may still run
}

void sleep_until(uint64_t at_ns) {
  std::this_thread::sleep_until(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(at_ns)));
}

publish_share::publish_share(const versus_options& options, uint32_t publisher)
    : stamper_(publisher, options.size),
      window_(std::max<uint64_t>(1, options.in_flight / options.connections)),
      count_max_(options.count_max == 0 ? UINT64_MAX : std::max<uint64_t>(1, options.count_max / options.connections)),
      duration_ns_(static_cast<uint64_t>(options.seconds * ns_per_s)) {
  if (options.rate == 0) return;
  double rate = options.rate / static_cast<double>(options.connections);
  step_ns_ = ns_per_s / rate;
  count_max_ = std::min(count_max_, std::max<uint64_t>(1, static_cast<uint64_t>(rate * options.seconds)));
}

void publish_share::begin(uint64_t at_ns) {
  begun_ns_ = at_ns;
  ends_ns_ = at_ns + (paced() ? 2 : 1) * duration_ns_;
}

uint64_t publish_share::due_ns(uint64_t number, uint64_t sent_ns) const {
  return paced() ? begun_ns_ + static_cast<uint64_t>(static_cast<double>(number) * step_ns_) : sent_ns;
}

uint64_t publish_share::due(uint64_t at_ns) const {
  if (!paced()) return UINT64_MAX;
  if (at_ns < next_due_ns()) return 0;
  auto all = static_cast<uint64_t>(static_cast<double>(at_ns - begun_ns_) / step_ns_) + 1;
  return std::max<uint64_t>(std::min(all, count_max_) - sent_, 1);
}

uint64_t publish_share::next(uint8_t* payload, uint64_t at_ns) {
  uint64_t due = due_ns(sent_, at_ns);
  stamper_.write(payload, sent_++, due);
  return due;
}

uint64_t publish_share::renew(uint8_t* payload, uint64_t at_ns) {
  uint64_t due = due_ns(sent_, at_ns);
  stamper_.renew(payload, sent_++, due);
  return due;
}

void publish_share::acked(uint64_t sent_ns, uint64_t at_ns, uint64_t count) {
  latency_ns_.record(at_ns - sent_ns, count);
  ended_ns_ = at_ns;
}

void consume_share::take(byte_span payload, uint64_t at_ns) {
  std::optional<stamp> read = read_stamp(payload);
  if (!read) stop_bench("a message came back damaged");
  seen_.take(read->publisher, read->number);
  latency_ns_.record(at_ns - read->sent_ns);
}

void consume_share::tell() {
  all_.received += seen_.taken() - told_;
  told_ = seen_.taken();
}

int versus_main(int argc, char** argv, make_system make) {
  versus_options options;
  if (auto ended = parse(argc, argv, options)) return *ended;
  std::unique_ptr<versus_system> system = make(options);
  if (options.role == "create") {
    system->create_stream();
  } else if (options.role == "publish") {
    publish(options, *system);
  } else {
    consume(options, *system);
  }
  return 0;
}

}  // namespace weir
