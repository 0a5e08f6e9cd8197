#include "broker/parked.h"

namespace weir {

void parked_set::add(const parked_message& message, size_t most) {
  erase(message.seq);
  by_seq_[message.seq] = message;
  by_age_.emplace(message.parked_at, message.seq);
  while (most != 0 && by_seq_.size() > most) erase(by_age_.begin()->second);
}

std::optional<parked_message> parked_set::erase(seq_no seq) {
  const auto at = by_seq_.find(seq);
  if (at == by_seq_.end()) return std::nullopt;
  const parked_message found = at->second;
  by_age_.erase({found.parked_at, seq});
  by_seq_.erase(at);
  return found;
}

void parked_set::erase_before(seq_no first_kept) {
  while (!by_seq_.empty() && by_seq_.begin()->first < first_kept) erase(seq_no(by_seq_.begin()->first));
}

void parked_set::clear() {
  by_seq_.clear();
  by_age_.clear();
}

}  // namespace weir
