// Counts values by size with three significant digits, or fewer, in constant memory: for latency percentiles.
//
// One owner, one thread. Values have no unit here; percentile() is high by less than 0.1 %, never low and never over
// max(). Values beyond value_max count as value_max, but max() stays exact. 270 kB; a coarser one is smaller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir {

class histogram {
 public:
  static constexpr uint64_t value_max = (uint64_t{1} << 42) - 1;  // in nanoseconds: more than an hour

  static constexpr int precision_bits = 11;

  // Percentiles are high by less than one part in 2^(bits - 1).
  explicit histogram(int bits = precision_bits);

  void record(uint64_t value, uint64_t times = 1);
  // `other` has the same precision.
  void merge(const histogram& other);

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  double mean() const;
  // The value that `percent` (0..100) of all recorded values do not exceed; 0 when nothing was recorded.
  uint64_t percentile(double percent) const;

 private:
  size_t bucket_of(uint64_t value) const;
  uint64_t upper_end(size_t bucket) const;

  int exact_bits_;
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace weir
