// bench_idle: what a broker costs that has nothing to do: its share of a core and its resident memory, with a thousand
// streams of one message each and one idle connection; what each stream takes of that; and how long the broker needs to
// start with them, after a stop and after a kill.
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/bench/load_client.h"
#include "tests/bench/server_options.h"
#include "tests/bench/stream_requests.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr double share_goal_percent = 1;
constexpr double resident_goal_mb = 100;
constexpr double start_goal_s = 3;
constexpr double stream_goal_bytes = 8 << 10;

struct settings {
  server_settings server{"build/bin/weir-server", {}, "", std::nullopt};
  unsigned streams = 1000;
  unsigned settle_s = 3;
  unsigned idle_s = 20;
  bool json = false;
};

nlohmann::json measure(const settings& chosen) {
  server_process server(chosen.server);
  load_client client(server.listen(), 1);
  uint64_t resident_empty = server.resident_bytes();
  std::vector<std::string> names;
  for (unsigned n = 0; n < chosen.streams; ++n) {
    names.push_back("idle-" + std::to_string(n));
    create_stream(client, names.back());
  }
  load_method publish = publish_to(names, 128);
  (void)client.run_count(publish, names.size());
  std::this_thread::sleep_for(std::chrono::seconds(chosen.settle_s));  // what the load left to do
  auto before = server.thread_seconds();
  std::this_thread::sleep_for(std::chrono::seconds(chosen.idle_s));
  nlohmann::json threads = nlohmann::json::object();
  double used = 0;
  for (const auto& [name, seconds] : server.thread_seconds()) {
    double spent = seconds - before[name];
    used += spent;
    threads[name] = spent / chosen.idle_s * 100;
  }
  const uint64_t resident = server.resident_bytes();
  const double after_kill = server.restart(true);
  const double after_stop = server.restart(false);
  const uint64_t resident_again = server.resident_bytes();
  const auto each = [&](uint64_t bytes) {
    return (static_cast<double>(bytes) - static_cast<double>(resident_empty)) / chosen.streams;
  };
  return {{"cpu_percent", used / chosen.idle_s * 100},
          {"thread_percent", threads},
          {"resident_mb", static_cast<double>(resident) / 1e6},
          {"stream_bytes", each(resident)},
          {"stream_bytes_restarted", each(resident_again)},
          {"start_after_kill_s", after_kill},
          {"start_after_stop_s", after_stop},
          {"resident_empty_mb", static_cast<double>(resident_empty) / 1e6}};
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  CLI::App app("An idle broker with many streams: processor share and resident memory.");
  add_server_options(app, chosen.server);
  app.add_option("--streams", chosen.streams, "streams")->check(CLI::Range(1, 100000))->capture_default_str();
  app.add_option("--settle", chosen.settle_s, "seconds before measuring")->check(CLI::Range(0, 3600));
  app.add_option("--idle", chosen.idle_s, "seconds measured")->check(CLI::Range(1, 3600))->capture_default_str();
  app.add_flag("--json", chosen.json, "one JSON object instead of text");
  CLI11_PARSE(app, argc, argv);
  nlohmann::json report = measure(chosen);
  if (chosen.json) {
    std::printf("%s\n", report.dump().c_str());
    return 0;
  }
  for (const auto& [name, percent] : report["thread_percent"].items()) {
    if (percent.get<double>() >= 0.001) std::printf("  thread %-16s %7.3f %%\n", name.c_str(), percent.get<double>());
  }
  std::printf(
      "idle with %u streams: %.3f %% of a core (goal < %.0f %%), %.1f MB resident (goal < %.0f MB; %.1f MB empty)\n",
      chosen.streams, report["cpu_percent"].get<double>(), share_goal_percent, report["resident_mb"].get<double>(),
      resident_goal_mb, report["resident_empty_mb"].get<double>());
  std::printf(
      "a stream takes %.0f bytes, %.0f after a restart (goal <= %.0f); started in %.2f s after a kill, %.2f s after a "
      "stop (goal <= %.0f)\n",
      report["stream_bytes"].get<double>(), report["stream_bytes_restarted"].get<double>(), stream_goal_bytes,
      report["start_after_kill_s"].get<double>(), report["start_after_stop_s"].get<double>(), start_goal_s);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::main_of_bench(argc, argv);
}
