#include "tools/publisher/timeline.h"

namespace weir {

void timeline::record(uint64_t at_ns, uint64_t latency_ns, uint64_t times) {
  const uint64_t since = at_ns > begun_ns_ ? at_ns - begun_ns_ : 0;
  while (since / slot_ns_ >= slots_max) widen();
  const auto slot = static_cast<size_t>(since / slot_ns_);
  if (slots_.size() <= slot) slots_.resize(slot + 1);
  slots_[slot].latency_ns.record(latency_ns, times);
}

void timeline::widen_to(uint64_t slot_ns) {
  while (slot_ns_ < slot_ns) widen();
}

void timeline::widen() {
  slot_ns_ *= 2;
  for (size_t n = 1; n < slots_.size(); n += 2) slots_[n - 1].latency_ns.merge(slots_[n].latency_ns);
  for (size_t n = 1; 2 * n < slots_.size(); ++n) slots_[n] = std::move(slots_[2 * n]);
  slots_.resize((slots_.size() + 1) / 2);
}

}  // namespace weir
