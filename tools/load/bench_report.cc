#include "tools/load/bench_report.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "storage/check.h"

namespace weir {
namespace {

// Above it a busy machine decides the figures.
constexpr double trusted_percent_max = 10;

double waited_seconds() {
  std::ifstream in("/proc/thread-self/schedstat");
  uint64_t ran_ns = 0;
  uint64_t waited_ns = 0;
  in >> ran_ns >> waited_ns;
  return static_cast<double>(waited_ns) * 1e-9;
}

}  // namespace

void stop_bench(const std::string& reason) {
  std::fprintf(stderr, "%s\n", reason.c_str());
  std::exit(1);
}

double median(std::vector<double> values) {
  WEIR_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double percentile_us(std::vector<uint32_t>& latencies_ns, double percent) {
  if (latencies_ns.empty()) return 0;
  std::sort(latencies_ns.begin(), latencies_ns.end());
  auto at = static_cast<size_t>(percent / 100 * static_cast<double>(latencies_ns.size() - 1));
  return latencies_ns[at] / 1000.0;
}

wait_meter::wait_meter() : since_(std::chrono::steady_clock::now()), waited_before_(waited_seconds()) {}

double wait_meter::percent() const {
  double passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - since_).count();
  return (waited_seconds() - waited_before_) / passed * 100;
}

std::string wait_meter::verdict() const {
  char text[128];
  double share = percent();
  std::snprintf(text, sizeof text, "this client waited %.1f %% of the time for a processor%s", share,
                share > trusted_percent_max ? ": the machine is busy, do not trust the figures" : "");
  return text;
}

}  // namespace weir
