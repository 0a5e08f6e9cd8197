// The monotonic clock, in nanoseconds: the same for every process of a machine.
#pragma once

#include <chrono>
#include <cstdint>

namespace weir {

inline uint64_t now_ns() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

}  // namespace weir
