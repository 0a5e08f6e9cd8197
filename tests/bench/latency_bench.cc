// bench_latency: how long one publisher with one call in flight waits for an acknowledgement at fsync level, against
// what cannot be avoided: an RPC that does nothing, and one fdatasync of 4 KiB overwritten in a file of zeros on the
// same file system. Short rounds of the three alternate, because the time of a sync depends on what else the disk is
// doing at that moment; the ratio is the median of the rounds' ratios of medians.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/bench/load_client.h"
#include "tests/bench/server_options.h"
#include "tests/bench/stream_requests.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr double ratio_goal = 1.3;

struct settings {
  server_settings server{"build/bin/weir-server", {"--shards", "1"}, "", std::nullopt};
  unsigned rounds = 300;
  unsigned calls = 20;  // a round
  size_t payload_bytes = 128;
  int client_cpu = 1;
  bool json = false;
};

// What a journal does at its best: pages of a file that already has blocks, overwritten one after the other.
class sync_probe {
 public:
  explicit sync_probe(const std::string& folder) : file_(folder + "/weir-bench-probe"), page_(page_bytes, 'x') {
    fd_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) stop_bench("cannot write in " + folder);
    std::string zeros(file_bytes, '\0');
    if (::pwrite(fd_, zeros.data(), zeros.size(), 0) != static_cast<ssize_t>(zeros.size()) || ::fsync(fd_) != 0) {
      stop_bench("cannot write " + file_);
    }
  }
  ~sync_probe() {
    ::close(fd_);
    ::unlink(file_.c_str());
  }
  sync_probe(const sync_probe&) = delete;

  std::vector<uint32_t> run(unsigned count) {
    std::vector<uint32_t> latencies_ns;
    for (unsigned n = 0; n < count; ++n) {
      auto started = std::chrono::steady_clock::now();
      bool good = ::pwrite(fd_, page_.data(), page_.size(), at_) == page_bytes && ::fdatasync(fd_) == 0;
      auto took = std::chrono::steady_clock::now() - started;
      if (!good) stop_bench("write or fdatasync of " + file_ + " failed");
      latencies_ns.push_back(static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count()));
      at_ = (at_ + page_bytes) % file_bytes;
    }
    return latencies_ns;
  }

 private:
  static constexpr off_t page_bytes = 4096;
  static constexpr off_t file_bytes = 16 << 20;
  std::string file_;
  std::string page_;
  int fd_ = -1;
  off_t at_ = 0;
};

// One of the three things compared: all latencies, and how long the last round took in the middle.
struct measured {
  std::vector<uint32_t> latencies_ns;
  double last_us = 0;

  void add(std::vector<uint32_t> round_ns) {
    last_us = percentile_us(round_ns, 50);
    latencies_ns.insert(latencies_ns.end(), round_ns.begin(), round_ns.end());
  }
};

nlohmann::json to_json(measured& one) {
  std::vector<uint32_t>& latencies_ns = one.latencies_ns;
  return {{"p50_us", percentile_us(latencies_ns, 50)},
          {"p99_us", percentile_us(latencies_ns, 99)},
          {"max_us", percentile_us(latencies_ns, 100)}};
}

nlohmann::json measure(const settings& chosen) {
  server_process server(chosen.server);
  load_client client(server.listen(), 1);
  create_stream(client, "bench");
  load_method empty = empty_rpc();
  load_method publish = publish_to({"bench"}, chosen.payload_bytes);
  sync_probe probe(chosen.server.data_root);
  const wait_meter neighbours;
  measured of_empty, of_sync, of_publish;
  std::vector<double> ratios;
  constexpr unsigned warm_up = 400;
  (void)client.run_count(empty, warm_up);
  (void)client.run_count(publish, warm_up);
  for (unsigned n = 0; n < chosen.rounds; ++n) {
    of_empty.add(client.run_count(empty, chosen.calls).latencies_ns);
    of_sync.add(probe.run(chosen.calls));
    of_publish.add(client.run_count(publish, chosen.calls).latencies_ns);
    ratios.push_back(of_publish.last_us / (of_empty.last_us + of_sync.last_us));
  }
  nlohmann::json report = {
      {"empty", to_json(of_empty)}, {"fdatasync", to_json(of_sync)}, {"publish", to_json(of_publish)}};
  report["ratio"] = median(ratios);
  report["waited_percent"] = neighbours.percent();
  report["verdict"] = neighbours.verdict();
  return report;
}

void print_row(const char* name, const nlohmann::json& row) {
  std::printf("%-16s %10.1f %10.1f %10.1f\n", name, row["p50_us"].get<double>(), row["p99_us"].get<double>(),
              row["max_us"].get<double>());
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  CLI::App app("One publisher, one call in flight: Publish at fsync level against an empty RPC and one fdatasync.");
  add_server_options(app, chosen.server);
  app.add_option("--server-cpu", chosen.server.cpu, "the only processor it may use; default: any");
  app.add_option("--client-cpu", chosen.client_cpu, "the processor of this client")->capture_default_str();
  app.add_option("--rounds", chosen.rounds, "rounds of each")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--calls", chosen.calls, "calls a round")->check(CLI::Range(1, 1000000))->capture_default_str();
  app.add_option("--size", chosen.payload_bytes, "payload bytes")->check(CLI::Range(0, 16000))->capture_default_str();
  app.add_flag("--json", chosen.json, "one JSON object instead of a table");
  CLI11_PARSE(app, argc, argv);
  pin_this_process(chosen.client_cpu);
  nlohmann::json report = measure(chosen);
  if (chosen.json) {
    std::printf("%s\n", report.dump().c_str());
    return 0;
  }
  std::printf("%-16s %10s %10s %10s\n", "", "p50 us", "p99 us", "max us");
  print_row("empty RPC", report["empty"]);
  print_row("fdatasync 4 KiB", report["fdatasync"]);
  print_row("Publish", report["publish"]);
  std::printf("median latency of Publish / (empty RPC + fdatasync): %.2f (goal <= %.2f)\n",
              report["ratio"].get<double>(), ratio_goal);
  std::printf("%s\n", report["verdict"].get<std::string>().c_str());
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::main_of_bench(argc, argv);
}
