// What every benchmark needs to say what it measured: order statistics, and how it gives up.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace weir {

// Prints the reason and ends the program with code 1: a benchmark has nobody to report to but the person who runs it.
[[noreturn]] void stop_bench(const std::string& reason);

// Of an unsorted, non-empty set.
double median(std::vector<double> values);

// Of nanoseconds in any order, in microseconds; sorts them.
double percentile_us(std::vector<uint32_t>& latencies_ns, double percent);

// How much of the time since construction the calling thread wanted a processor and had none: what neighbours took.
class wait_meter {
 public:
  wait_meter();
  double percent() const;
  // A sentence about it for the end of a report, without a line break.
  std::string verdict() const;

 private:
  std::chrono::steady_clock::time_point since_;
  double waited_before_;
};

}  // namespace weir
