// A fuzz target: a property of code that reads bytes from outside, checked for one input. libFuzzer searches inputs
// that break it (tools/fuzz); replay.cc runs those that once did, the seeds and changed seeds in every test run.
//
// One target a program. A broken property ends the process with a line that says which.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace weir {

// Inputs to begin with.
std::vector<std::string> fuzz_seeds();

inline void must_hold(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace weir
