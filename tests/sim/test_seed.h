// Seeds of random tests: WEIR_SEED=n runs the one seed n; WEIR_LONG=1 the full numbers.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace weir {

inline bool long_tests() {
  const char* text = std::getenv("WEIR_LONG");
  return text != nullptr && std::string(text) == "1";
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
  return {1, 1 + (long_tests() ? full : quick)};
}

}  // namespace weir
