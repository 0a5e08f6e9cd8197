// A closed-loop gRPC client for benchmarks: keeps `in_flight` unary calls of one method open over one connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace weir {

struct load_config {
  std::string target;
  std::string path;
  std::string message;
  unsigned in_flight = 256;
  std::chrono::milliseconds warm_up{500};
  std::chrono::milliseconds duration{3000};
};

struct load_outcome {
  uint64_t calls = 0;  // after the warm-up
  uint64_t failed = 0;
  double seconds = 0;
  std::vector<uint32_t> latencies_ns;  // sorted
  double rate() const { return static_cast<double>(calls) / seconds; }
  double percentile_us(double p) const;
};

// Runs on the calling thread.
load_outcome run_load(const load_config& config);

}  // namespace weir
