// What the checks of configs and messages are written with.
#pragma once

#include <string>
#include <string_view>

#include "broker/limits.h"
#include "storage/result.h"

namespace weir {

inline std::string number(uint64_t value) {
  return std::to_string(value);
}

inline error bad_config(std::string_view field, const std::string& rule) {
  return fail(errc::invalid_config, std::string(field) + ": " + rule);
}

inline result<void> check_duration(uint64_t ms, std::string_view field) {
  if (ms <= duration_ms_max) return ok();
  return bad_config(field, number(ms) + " ms, at most " + number(duration_ms_max) + " (duration_ms_max)");
}

}  // namespace weir
