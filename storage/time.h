// Two clocks, two types, neither global: monotonic for deadlines, wall for what a record says. Passed in as a port, so
// that a test can advance them.
#pragma once

#include "storage/strong.h"

namespace weir {

using mono_ns = strong<struct mono_ns_tag, int64_t>;  // nanoseconds since some start; never goes back
using wall_ms = strong<struct wall_ms_tag, int64_t>;  // milliseconds since 1970-01-01 UTC; may jump

class clock_port {
 public:
  virtual ~clock_port() = default;
  virtual mono_ns mono() = 0;
  virtual wall_ms wall() = 0;
};

}  // namespace weir
