// bench_pending: what a delivered and not yet acknowledged message costs in memory: how much larger the server's
// resident set is after one consumer more has fetched the whole stream and acknowledged nothing.
//
// One consumer that is then deleted goes first: caches and buffers are filled, and what it freed is used by the next,
// which is therefore not counted either. Each of the others is one measurement.
//
// And for how long such a consumer stops the others of its shard (pending_stalls.h).
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/bench/pending_stalls.h"
#include "tests/bench/server_options.h"
#include "tests/bench/weir_consumer.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr double bytes_goal = 64;
constexpr double stall_us_goal = 1'000;

struct settings {
  server_settings server{"build/bin/weir-server", {"--shards", "1"}, "", std::nullopt};
  uint64_t messages = 1'000'000;
  unsigned consumers = 5;
  uint32_t batch = 5'000;
  size_t payload_bytes = 128;
  bool json = false;
};

nlohmann::json measure(const settings& chosen) {
  server_process server(chosen.server);
  load_client client(server.listen(), 1);
  fill_stream(client, "bench", chosen.messages, chosen.payload_bytes);
  weir_consumer worker(server.listen());  // now: an idle connection whose client does not answer pings is closed
  work_order order{"bench", "warm-up", chosen.messages, chosen.batch, chosen.payload_bytes};
  create_consumer(client, order.stream, order.consumer);
  worker.fetch_only(order);
  delete_consumer(client, order.stream, order.consumer);
  order.consumer = "warm";
  create_consumer(client, order.stream, order.consumer);
  worker.fetch_only(order);
  std::vector<double> bytes;
  const auto resident_before = static_cast<double>(server.resident_bytes());
  double before = resident_before;
  for (unsigned n = 0; n < chosen.consumers; ++n) {
    order.consumer = "pending-" + std::to_string(n);
    create_consumer(client, order.stream, order.consumer);
    worker.fetch_only(order);
    auto after = static_cast<double>(server.resident_bytes());
    bytes.push_back((after - before) / static_cast<double>(chosen.messages));
    before = after;
  }
  auto [least, most] = std::minmax_element(bytes.begin(), bytes.end());
  return {{"bytes", median(bytes)},
          {"min", *least},
          {"max", *most},
          {"resident_before", resident_before},
          {"resident_after", before}};
}

nlohmann::json stalls(uint64_t messages) {
  nlohmann::json all = nlohmann::json::array();
  for (const event_cost& one : measure_pending_stalls(messages)) {
    all.push_back({{"what", one.what}, {"events", one.events}, {"mean_us", one.mean_us}, {"worst_us", one.worst_us}});
  }
  return all;
}

void print_stalls(const nlohmann::json& all) {
  for (const nlohmann::json& one : all) {
    std::printf("%-32s %8llu events, %8.2f us each, the worst %.0f us (goal <= %.0f)\n",
                one["what"].get<std::string>().c_str(), static_cast<unsigned long long>(one["events"].get<uint64_t>()),
                one["mean_us"].get<double>(), one["worst_us"].get<double>(), stall_us_goal);
  }
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  CLI::App app("Memory of a message that is delivered and not acknowledged.");
  add_server_options(app, chosen.server);
  app.add_option("--messages", chosen.messages, "pending of each consumer")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--consumers", chosen.consumers, "consumers measured")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_option("--batch", chosen.batch, "messages a fetch")->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--size", chosen.payload_bytes, "payload bytes")->check(CLI::Range(0, 16000))->capture_default_str();
  app.add_flag("--json", chosen.json, "one JSON object instead of text");
  CLI11_PARSE(app, argc, argv);
  nlohmann::json report = measure(chosen);
  report["stalls"] = stalls(chosen.messages);
  if (chosen.json) {
    std::printf("%s\n", report.dump().c_str());
    return 0;
  }
  constexpr double mebibyte = 1 << 20;
  std::printf("resident before %.1f MiB, after %u consumers with %llu pending each %.1f MiB\n",
              report["resident_before"].get<double>() / mebibyte, chosen.consumers,
              static_cast<unsigned long long>(chosen.messages), report["resident_after"].get<double>() / mebibyte);
  std::printf("memory a pending message: %.1f bytes, consumers %.1f to %.1f (goal <= %.0f)\n",
              report["bytes"].get<double>(), report["min"].get<double>(), report["max"].get<double>(), bytes_goal);
  print_stalls(report["stalls"]);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::main_of_bench(argc, argv);
}
