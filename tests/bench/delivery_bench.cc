// bench_delivery: how fast a worker takes and acknowledges a stored backlog: weir's Fetch + AckMany (unary RPCs) and
// Subscribe + AckMany, against a local nats-server's durable pull consumer (file storage) driven by libnats.
//
// Each round a new consumer of each kind takes the whole backlog; rounds alternate, and a ratio is the median of the
// rounds' ratios. The client on either side is one worker that overlaps acknowledging with taking: libnats sends
// acknowledgements that nobody answers, the worker of weir sends the AckMany of a batch together with the next Fetch.
// A round ends when the last acknowledgement counts, which with weir means: is on disk.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/bench/nats_broker.h"
#include "tests/bench/server_options.h"
#include "tests/bench/weir_consumer.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr double fetch_goal = 2;
constexpr double subscribe_goal = 3;

struct settings {
  server_settings server{"build/bin/weir-server", {"--shards", "1"}, "", std::nullopt};
  nats_settings nats;
  std::optional<int> client_cpu;
  uint64_t messages = 200'000;
  unsigned rounds = 9;
  uint32_t batch = 256;
  size_t payload_bytes = 128;
  bool fetch_only = false;
  bool json = false;
};

struct measured {
  std::vector<double> rates;
  std::vector<double> ratios;
};

nlohmann::json spread(const std::vector<double>& values) {
  auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {{"median", median(values)}, {"min", *least}, {"max", *most}};
}

nlohmann::json to_json(const measured& one) {
  nlohmann::json made = {{"rate", spread(one.rates)}};
  if (!one.ratios.empty()) made["ratio"] = spread(one.ratios);
  return made;
}

nlohmann::json measure(const settings& chosen) {
  server_process server(chosen.server);
  nats_broker nats(chosen.nats);
  nats.fill(chosen.messages, chosen.payload_bytes);
  load_client client(server.listen(), 1);
  fill_stream(client, "bench", chosen.messages, chosen.payload_bytes);
  weir_consumer worker(server.listen());  // now: an idle connection whose client does not answer pings is closed
  const wait_meter neighbours;
  measured of_nats, of_fetch, of_subscribe;
  auto messages = static_cast<double>(chosen.messages);
  for (unsigned n = 0; n <= chosen.rounds; ++n) {
    std::string name = "round-" + std::to_string(n);
    work_order order{"bench", name + "-fetch", chosen.messages, chosen.batch, chosen.payload_bytes};
    create_consumer(client, order.stream, order.consumer);
    double fetch_rate = messages / worker.fetch_and_ack(order);
    delete_consumer(client, order.stream, order.consumer);
    double nats_rate = messages / nats.fetch_and_ack(name, chosen.batch, chosen.messages, chosen.payload_bytes);
    double subscribe_rate = 0;
    if (!chosen.fetch_only) {
      order.consumer = name + "-subscribe";
      create_consumer(client, order.stream, order.consumer);
      subscribe_rate = messages / worker.subscribe_and_ack(order);
      delete_consumer(client, order.stream, order.consumer);
    }
    if (n == 0) continue;  // warms up
    of_nats.rates.push_back(nats_rate);
    of_fetch.rates.push_back(fetch_rate);
    of_fetch.ratios.push_back(fetch_rate / nats_rate);
    if (chosen.fetch_only) continue;
    of_subscribe.rates.push_back(subscribe_rate);
    of_subscribe.ratios.push_back(subscribe_rate / nats_rate);
  }
  nlohmann::json report = {{"nats", to_json(of_nats)}, {"fetch", to_json(of_fetch)}};
  if (!chosen.fetch_only) report["subscribe"] = to_json(of_subscribe);
  report["waited_percent"] = neighbours.percent();
  report["verdict"] = neighbours.verdict();
  return report;
}

void print_row(const char* name, const nlohmann::json& rate) {
  std::printf("%-32s %12.0f %12.0f %12.0f\n", name, rate["median"].get<double>(), rate["min"].get<double>(),
              rate["max"].get<double>());
}

void print_ratio(const char* name, const nlohmann::json& ratio, double goal) {
  std::printf("rate of weir %s / nats pull fetch + ack: %.2f, rounds %.2f to %.2f (goal >= %.0f)\n", name,
              ratio["median"].get<double>(), ratio["min"].get<double>(), ratio["max"].get<double>(), goal);
}

void print(const settings& chosen, const nlohmann::json& report) {
  std::printf("%llu messages of %zu bytes, %u at a time\n", static_cast<unsigned long long>(chosen.messages),
              chosen.payload_bytes, chosen.batch);
  std::printf("%-32s %12s %12s %12s\n", "messages/s", "median", "min", "max");
  print_row("nats pull fetch + ack", report["nats"]["rate"]);
  print_row("weir Fetch + AckMany", report["fetch"]["rate"]);
  if (!chosen.fetch_only) print_row("weir Subscribe + AckMany", report["subscribe"]["rate"]);
  print_ratio("Fetch + AckMany", report["fetch"]["ratio"], fetch_goal);
  if (!chosen.fetch_only) print_ratio("Subscribe + AckMany", report["subscribe"]["ratio"], subscribe_goal);
  std::printf("%s\n", report["verdict"].get<std::string>().c_str());
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  CLI::App app("Taking and acknowledging a backlog: weir's unary Fetch and Subscribe against a nats-server.");
  add_server_options(app, chosen.server);
  app.add_option("--nats-server", chosen.nats.program, "the nats-server to start")->capture_default_str();
  app.add_option("--server-cpu", chosen.server.cpu, "the only processor a server may use; default: any");
  app.add_option("--client-cpu", chosen.client_cpu, "the only processor of this client; default: any");
  app.add_option("--messages", chosen.messages, "the backlog")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  app.add_option("--rounds", chosen.rounds, "rounds of each")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--batch", chosen.batch, "messages at a time")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--size", chosen.payload_bytes, "payload bytes")->check(CLI::Range(0, 16000))->capture_default_str();
  app.add_flag("--fetch-only", chosen.fetch_only, "without Subscribe");
  app.add_flag("--json", chosen.json, "one JSON object instead of a table");
  CLI11_PARSE(app, argc, argv);
  chosen.nats.data_root = chosen.server.data_root;
  chosen.nats.cpu = chosen.server.cpu;
  if (chosen.client_cpu) pin_this_process(*chosen.client_cpu);
  nlohmann::json report = measure(chosen);
  if (chosen.json) {
    std::printf("%s\n", report.dump().c_str());
  } else {
    print(chosen, report);
  }
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::main_of_bench(argc, argv);
}
