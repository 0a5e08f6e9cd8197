#include "tests/bench/bench_report.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "storage/check.h"

namespace weir {

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

}  // namespace weir
