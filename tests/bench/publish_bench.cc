// bench_publish: the rate of unary Publish at fsync level against an RPC that does nothing, on one reactor, with many
// calls in flight; rounds of the two alternate, and the ratio is the median of the rounds' ratios. Beside it the
// server's processor time per call, and, with --profile, whose code that time was spent in.
//
// The server may use one processor only, and this client another: what is measured is the server's capacity, and the
// commit thread's part of the work counts.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/bench/load_client.h"
#include "tests/bench/server_options.h"
#include "tests/bench/server_profile.h"
#include "tests/bench/stream_requests.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr double ratio_goal = 0.8;
constexpr double own_share_goal = 25;

struct settings {
  server_settings server{"build/bin/weir-server", {"--shards", "1"}, "", 0};
  unsigned connections = 1;
  unsigned in_flight = 256;
  unsigned streams = 1;
  unsigned rounds = 40;
  unsigned round_ms = 250;
  size_t payload_bytes = 128;
  int client_cpu = 1;
  bool profile = false;
  bool json = false;
};

struct measured {
  std::vector<double> rates;
  std::vector<double> cpu_us;  // of the whole server, a call
  std::vector<double> busy;    // processors the server used
  std::vector<uint32_t> latencies_ns;
  std::map<std::string, double> thread_seconds;
  double syncs = 0;
  double calls = 0;
};

double syncs(const server_process& server) {
  return server.metric("weir_journal_syncs_total").value_or(0);
}

void run_round(const settings& chosen, server_process& server, load_client& client, const load_method& method,
               measured& out) {
  auto before = server.thread_seconds();
  double syncs_before = syncs(server);
  auto started = std::chrono::steady_clock::now();
  load_round round = client.run(method, chosen.in_flight, std::chrono::milliseconds(chosen.round_ms / 5),
                                std::chrono::milliseconds(chosen.round_ms));
  double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  auto calls = static_cast<double>(round.calls);
  double used = 0;
  for (const auto& [name, seconds] : server.thread_seconds()) {
    double spent = seconds - before[name];
    used += spent;
    out.thread_seconds[name] += spent;
  }
  out.syncs += syncs(server) - syncs_before;
  out.calls += calls;
  out.rates.push_back(round.rate());
  out.cpu_us.push_back(used / calls * 1e6);
  out.busy.push_back(used / wall);
  out.latencies_ns.insert(out.latencies_ns.end(), round.latencies_ns.begin(), round.latencies_ns.end());
}

nlohmann::json to_json(measured& one) {
  nlohmann::json threads = nlohmann::json::object();
  for (const auto& [name, seconds] : one.thread_seconds) threads[name] = seconds / one.calls * 1e6;
  return {{"rate", median(one.rates)},
          {"rates", one.rates},
          {"server_cpu_us", median(one.cpu_us)},
          {"server_busy", median(one.busy)},
          {"p50_us", percentile_us(one.latencies_ns, 50)},
          {"p99_us", percentile_us(one.latencies_ns, 99)},
          {"thread_us", threads}};
}

void print_row(const char* name, const nlohmann::json& row) {
  std::printf("%-10s %10.0f %12.2f %12.2f %10.0f %10.0f\n", name, row["rate"].get<double>(),
              row["server_cpu_us"].get<double>(), row["server_busy"].get<double>(), row["p50_us"].get<double>(),
              row["p99_us"].get<double>());
}

void print_tables(const nlohmann::json& report) {
  std::printf("%-10s %10s %12s %12s %10s %10s\n", "", "calls/s", "cpu us/call", "server busy", "p50 us", "p99 us");
  print_row("empty RPC", report["empty"]);
  print_row("Publish", report["publish"]);
  for (const auto& [name, us] : report["publish"]["thread_us"].items()) {
    if (us.get<double>() >= 0.01)
      std::printf("    Publish, thread %-16s %8.2f us/call\n", name.c_str(), us.get<double>());
  }
  std::printf("syncs per Publish: %.4f\n", report["syncs_per_publish"].get<double>());
  std::printf("rate of Publish / empty RPC: %.2f (goal >= %.2f); cpu of empty RPC / Publish: %.2f\n",
              report["ratio"].get<double>(), ratio_goal, report["cpu_ratio"].get<double>());
  std::printf("%s\n", report["verdict"].get<std::string>().c_str());
}

void print_profile(const server_profile& profile) {
  constexpr size_t lines_shown = 40;
  std::printf("share of the server's samples during Publish:\n");
  for (const auto& [owner, percent] : profile.percent_by_owner)
    std::printf("  %-16s %5.1f %%\n", owner.c_str(), percent);
  std::printf("hottest symbols:\n");
  for (size_t n = 0; n < std::min(lines_shown, profile.lines.size()); ++n) {
    const profile_line& line = profile.lines[n];
    std::printf("  %5.2f %% %-10s %.150s\n", line.percent, line.owner.c_str(), line.symbol.c_str());
  }
}

nlohmann::json compare(const settings& chosen, server_process& server, load_client& client, const load_method& empty,
                       const load_method& publish) {
  const wait_meter neighbours;
  measured of_empty, of_publish;
  std::vector<double> ratios;
  for (unsigned n = 0; n < chosen.rounds; ++n) {
    run_round(chosen, server, client, empty, of_empty);
    run_round(chosen, server, client, publish, of_publish);
    ratios.push_back(of_publish.rates.back() / of_empty.rates.back());
  }
  return {{"empty", to_json(of_empty)},
          {"publish", to_json(of_publish)},
          {"syncs_per_publish", of_publish.syncs / of_publish.calls},
          {"ratios", ratios},
          {"waited_percent", neighbours.percent()},
          {"verdict", neighbours.verdict()},
          {"ratio", median(ratios)},
          {"cpu_ratio", median(of_empty.cpu_us) / median(of_publish.cpu_us)}};
}

server_profile profile_publish(const settings& chosen, server_process& server, load_client& client,
                               const load_method& publish) {
  profile_recorder recorder(server.pid());
  (void)client.run(publish, chosen.in_flight, std::chrono::milliseconds(500),
                   std::chrono::milliseconds(chosen.round_ms * 5));
  return recorder.finish();
}

void run(const settings& chosen) {
  server_process server(chosen.server);
  load_client client(server.listen(), chosen.connections);
  std::vector<std::string> names;
  for (unsigned n = 0; n < chosen.streams; ++n) {
    names.push_back("bench-" + std::to_string(n));
    create_stream(client, names.back());
  }
  load_method empty = empty_rpc();
  load_method publish = publish_to(names, chosen.payload_bytes);
  nlohmann::json report = compare(chosen, server, client, empty, publish);
  std::optional<server_profile> profile;
  if (chosen.profile) {
    profile = profile_publish(chosen, server, client, publish);
    report["own_share_percent"] = profile->percent_by_owner["weir"];
    report["percent_by_owner"] = profile->percent_by_owner;
  }
  if (chosen.json) {
    std::printf("%s\n", report.dump().c_str());
    return;
  }
  print_tables(report);
  if (!profile) return;
  print_profile(*profile);
  std::printf("our own code: %.1f %% (goal < %.0f %%)\n", profile->percent_by_owner["weir"], own_share_goal);
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  CLI::App app("Unary Publish against an RPC that does nothing, one reactor, many calls in flight.");
  add_server_options(app, chosen.server);
  app.add_option("--server-cpu", chosen.server.cpu, "the only processor it may use")->capture_default_str();
  app.add_option("--client-cpu", chosen.client_cpu, "the processor of this client")->capture_default_str();
  app.add_option("--connections", chosen.connections, "connections")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--in-flight", chosen.in_flight, "open calls")->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--streams", chosen.streams, "streams published to in turn")->check(CLI::Range(1, 100000));
  app.add_option("--rounds", chosen.rounds, "rounds of each")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--round-ms", chosen.round_ms, "length of one")->check(CLI::Range(10, 600000))->capture_default_str();
  app.add_option("--size", chosen.payload_bytes, "payload bytes")->check(CLI::Range(0, 16000))->capture_default_str();
  app.add_flag("--profile", chosen.profile, "sample the server with perf during Publish");
  app.add_flag("--json", chosen.json, "one JSON object instead of tables");
  CLI11_PARSE(app, argc, argv);
  pin_this_process(chosen.client_cpu);
  run(chosen);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::main_of_bench(argc, argv);
}
