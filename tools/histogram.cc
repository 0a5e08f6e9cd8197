#include "tools/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "storage/check.h"

namespace weir {
namespace {

constexpr double rounding = 1 - 1e-12;  // 99.9 % of 1,000 is 999, whatever binary fractions make of it

}  // namespace

// Values below 2^exact_bits have a bucket each. Above, each power of two is cut into half as many equal buckets.
size_t histogram::bucket_of(uint64_t value) const {
  const size_t exact = size_t{1} << exact_bits_;
  if (value < exact) return static_cast<size_t>(value);
  const int shift = static_cast<int>(std::bit_width(value)) - exact_bits_;
  return static_cast<size_t>(shift) * (exact / 2) + static_cast<size_t>(value >> shift);
}

// The largest value that falls into the bucket.
uint64_t histogram::upper_end(size_t bucket) const {
  const size_t exact = size_t{1} << exact_bits_;
  if (bucket < exact) return bucket;
  const size_t shift = bucket / (exact / 2) - 1;
  const uint64_t mantissa = bucket - shift * (exact / 2);
  return ((mantissa + 1) << shift) - 1;
}

histogram::histogram(int bits) : exact_bits_(bits), buckets_(bucket_of(value_max) + 1) {}

void histogram::record(uint64_t value, uint64_t times) {
  if (times == 0) return;
  buckets_[bucket_of(std::min(value, value_max))] += times;
  count_ += times;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value) * static_cast<double>(times);
}

void histogram::merge(const histogram& other) {
  WEIR_CHECK(exact_bits_ == other.exact_bits_);
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

double histogram::mean() const {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

uint64_t histogram::percentile(double percent) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(count_);
  const double wanted = std::ceil(share * rounding);
  const uint64_t rank = std::max<uint64_t>(1, std::min(count_, static_cast<uint64_t>(wanted)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= rank) return std::min(upper_end(i), max_);
  }
  return max_;
}

}  // namespace weir
