#include "tools/histogram.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

namespace weir {
namespace {

uint64_t seed() {
  const char* given = std::getenv("WEIR_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

TEST_CASE("histogram: an empty one answers zero") {
  const histogram h;
  CHECK(h.count() == 0);
  CHECK(h.max() == 0);
  CHECK(h.mean() == 0);
  CHECK(h.percentile(50) == 0);
}

TEST_CASE("histogram: small values are kept exactly") {
  histogram h;
  for (uint64_t v = 1; v <= 1000; ++v) h.record(v);
  CHECK(h.count() == 1000);
  CHECK(h.percentile(0) == 1);
  CHECK(h.percentile(50) == 500);
  CHECK(h.percentile(90) == 900);
  CHECK(h.percentile(99.9) == 999);
  CHECK(h.percentile(100) == 1000);
  CHECK(h.max() == 1000);
  CHECK(h.mean() == doctest::Approx(500.5));
}

TEST_CASE("histogram: a single value is every percentile, whatever its size") {
  for (int bits = 0; bits < 42; ++bits) {
    for (const uint64_t value : {uint64_t{1} << bits, (uint64_t{2} << bits) - 1}) {
      histogram h;
      h.record(value);
      CHECK(h.percentile(0) == value);
      CHECK(h.percentile(50) == value);
      CHECK(h.percentile(100) == value);
    }
  }
}

TEST_CASE("histogram: percentiles agree with sorting to three digits and are never low") {
  const uint64_t chosen = seed();
  INFO("WEIR_SEED=", chosen);
  std::mt19937_64 random(chosen);
  std::vector<uint64_t> values;
  histogram h;
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t value = random() >> (22 + random() % 40);
    values.push_back(value);
    h.record(value);
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {0.0, 1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto rank = static_cast<size_t>(std::max(1.0, std::ceil(percent * 1000 - 1e-6)));
    const uint64_t exact = values[rank - 1];
    const uint64_t got = h.percentile(percent);
    CHECK(got >= exact);
    CHECK(static_cast<double>(got) <= static_cast<double>(exact) * 1.001 + 1);
  }
  CHECK(h.percentile(100) == values.back());
}

TEST_CASE("histogram: values beyond the range count at its end, the maximum stays exact") {
  histogram h;
  h.record(10);
  h.record(UINT64_MAX);
  CHECK(h.count() == 2);
  CHECK(h.max() == UINT64_MAX);
  CHECK(h.percentile(50) == 10);
  CHECK(h.percentile(100) == histogram::value_max);
}

TEST_CASE("histogram: merging two is the same as recording everything in one") {
  histogram all;
  histogram even;
  histogram odd;
  for (uint64_t i = 0; i < 20'000; ++i) {
    const uint64_t value = i * i;
    all.record(value);
    (i % 2 == 0 ? even : odd).record(value);
  }
  even.merge(odd);
  CHECK(even.count() == all.count());
  CHECK(even.max() == all.max());
  CHECK(even.mean() == doctest::Approx(all.mean()));
  for (const double percent : {5.0, 50.0, 95.0, 99.9}) CHECK(even.percentile(percent) == all.percentile(percent));
}

TEST_CASE("histogram: a coarse one is high by less than 2 %, never low, and exact at small values") {
  histogram coarse(7);
  for (const uint64_t value : {uint64_t{5}, uint64_t{100'000}, uint64_t{123'456'789}}) coarse.record(value);
  CHECK(coarse.percentile(33) == 5);
  CHECK(coarse.percentile(66) >= 100'000);
  CHECK(coarse.percentile(66) < 102'000);
  CHECK(coarse.percentile(100) == 123'456'789);
  histogram other(7);
  other.record(histogram::value_max + 1, 9);
  coarse.merge(other);
  CHECK(coarse.count() == 12);
  CHECK(coarse.percentile(99) == histogram::value_max);
}

}  // namespace
}  // namespace weir
