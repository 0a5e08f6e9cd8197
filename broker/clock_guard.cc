#include "broker/clock_guard.h"

namespace weir {
namespace {

bool near(int64_t left, int64_t right) {
  const int64_t distance = left < right ? right - left : left - right;
  return distance <= clock_guard::jump_ms_max;
}

}  // namespace

wall_ms clock_guard::believed(mono_ns mono, wall_ms wall) {
  const std::optional<wall_ms> now = trusted(mono, wall);
  return now ? *now : wall_ms(trusted_offset_ms_ + mono.raw() / 1'000'000);
}

std::optional<wall_ms> clock_guard::trusted(mono_ns mono, wall_ms wall) {
  const int64_t mono_ms = mono.raw() / 1'000'000;
  const int64_t offset = wall.raw() - mono_ms;
  if (!started_ || near(offset, trusted_offset_ms_)) {
    started_ = true;
    trusted_offset_ms_ = offset;  // follows slow corrections
    suspect_offset_ms_.reset();
    return wall;
  }
  if (!suspect_offset_ms_ || !near(offset, *suspect_offset_ms_)) {
    suspect_offset_ms_ = offset;
    suspect_since_ms_ = mono_ms;
    return std::nullopt;
  }
  if (mono_ms - suspect_since_ms_ < steady_ms_min) return std::nullopt;
  trusted_offset_ms_ = offset;
  suspect_offset_ms_.reset();
  return wall;
}

}  // namespace weir
