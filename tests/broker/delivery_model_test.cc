// All of a shard beside the naive model (issue A, must hold 5; issue B, must hold 1). WEIR_SEED replays one seed.
#include <doctest/doctest.h>

#include <cstdio>

#include "tests/broker/delivery_model_run.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

std::string disagreement(uint64_t seed, int steps) {
  delivery_run run(seed);
  int step = 0;
  try {
    for (; step < steps; ++step) run.step();
    run.check_everything();
  } catch (const mismatch& found) {
    return "seed " + std::to_string(seed) + ", step " + std::to_string(step + 1) + ": " + found.what +
           "\nlast operations:\n" + run.story() + run.reality();
  }
  return {};
}

// Some runs are long: 100,000 operations.
int steps_of(uint64_t seed) {
  return long_tests() && seed <= 50 ? 100'000 : 10'000;
}

TEST_CASE("delivery: the shard does what the naive model does, across restarts and jumps of the clock") {
  const seed_range seeds = test_seeds(20, 1'000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    const int steps = steps_of(seed);
    const std::string found = disagreement(seed, steps);
    if (!found.empty()) std::printf("delivery model: %s\n", found.c_str());
    REQUIRE(found.empty());
  }
  std::printf("delivery model: seeds %llu to %llu agree\n", static_cast<unsigned long long>(seeds.first),
              static_cast<unsigned long long>(seeds.last - 1));
}

}  // namespace
}  // namespace weir
