// What --verify found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

struct verify_report {
  uint64_t read = 0;          // messages delivered
  uint64_t matched = 0;       // ours, with their bytes
  uint64_t different = 0;     // ours, with other bytes
  uint64_t missing = 0;       // acknowledged, never delivered
  uint64_t out_of_order = 0;  // delivered with a sequence that does not rise
  uint64_t foreign = 0;       // not acknowledged to us: other publishers, or answers that got lost
  uint64_t moved = 0;         // ours, stored before a message that was sent earlier (two were under way together)
  double seconds = 0;
  std::vector<std::string> failures;  // what the broker refused, and the first few differences

  bool good() const { return different + missing + out_of_order == 0 && failures.empty(); }
};

}  // namespace weir
