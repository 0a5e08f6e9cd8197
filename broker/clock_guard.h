// Decides whether the wall clock may be used to expire anything.
//
// Wall time normally runs with monotonic time. When the two differ by more than an hour from one look to the next, the
// wall clock jumped, and what looks old may not be: nothing expires until the clock has been steady for an hour, or is
// back where it was. Drawback: after a real correction of more than an hour, expiry pauses for that hour.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/time.h"

namespace weir {

class clock_guard {
 public:
  static constexpr int64_t jump_ms_max = 3600ll * 1000;
  static constexpr int64_t steady_ms_min = 3600ll * 1000;

  // The wall time to judge ages by, or nullopt while the clock is not to be trusted. Call it at every sweep.
  std::optional<wall_ms> trusted(mono_ns mono, wall_ms wall);
  // What to note down as now: the same, and while the clock is not to be trusted what it would show without the jump,
  // so that nothing noted then is early or late once it is back.
  wall_ms believed(mono_ns mono, wall_ms wall);

 private:
  bool started_ = false;
  int64_t trusted_offset_ms_ = 0;             // wall - mono, as it is believed
  std::optional<int64_t> suspect_offset_ms_;  // wall - mono after a jump
  int64_t suspect_since_ms_ = 0;              // mono
};

}  // namespace weir
