// How much a random or exhaustive test does: WEIR_SEED=n runs the one seed n; WEIR_LONG=1 the full numbers;
// WEIR_SANITIZED=1 (tools/test, under a sanitizer) a quarter of the quick ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace weir {

inline bool test_flag(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr && std::string(text) == "1";
}
inline bool long_tests() {
  return test_flag("WEIR_LONG");
}
inline bool sanitized_tests() {
  return test_flag("WEIR_SANITIZED");
}

// The step of a test that could try every place: `full` in a long run. Odd steps meet every alignment.
inline uint64_t test_stride(uint64_t quick, uint64_t full = 1) {
  if (long_tests()) return full;
  return sanitized_tests() ? 4 * quick + 1 : quick;
}

// The seeds a random test runs: [first, last).
struct seed_range {
  uint64_t first = 1;
  uint64_t last = 2;
};
inline seed_range test_seeds(uint64_t quick, uint64_t full) {
  if (const char* text = std::getenv("WEIR_SEED")) {
    uint64_t seed = std::strtoull(text, nullptr, 10);
    return {seed, seed + 1};
  }
  if (long_tests()) return {1, 1 + full};
  return {1, 1 + (sanitized_tests() ? std::max<uint64_t>(1, quick / 4) : quick)};
}

}  // namespace weir
