// How many messages were done in each moment of a run, and how long each took: for reports and plots over time.
//
// One owner, one thread. Slots begin narrow and become twice as wide whenever there are too many, so a run of a second
// and one of a day have about as many. Percentiles of a slot are high by less than 2 %.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/histogram.h"

namespace weir {

struct timeline_slot {
  static constexpr int latency_bits = 7;
  histogram latency_ns{latency_bits};  // its count is that of the messages
};

class timeline {
 public:
  static constexpr uint64_t first_slot_ns = 62'500'000;
  static constexpr size_t slots_max = 120;

  // Slot 0 begins here.
  void begin(uint64_t at_ns) { begun_ns_ = at_ns; }
  void record(uint64_t at_ns, uint64_t latency_ns, uint64_t times = 1);
  // Slots become at least that wide: first_slot_ns times a power of two.
  void widen_to(uint64_t slot_ns);

  uint64_t slot_ns() const { return slot_ns_; }
  const std::vector<timeline_slot>& slots() const { return slots_; }

 private:
  void widen();

  uint64_t begun_ns_ = 0;
  uint64_t slot_ns_ = first_slot_ns;
  std::vector<timeline_slot> slots_;
};

}  // namespace weir
