// The messages one consumer gave up on, by sequence.
//
// Owned by its consumer. Bounded unless the stream is a work queue: beyond the bound the one parked longest ago is
// forgotten (of the same instant, the lowest sequence).
#pragma once

#include <map>
#include <optional>
#include <set>

#include "broker/types.h"

namespace weir {

class parked_set {
 public:
  size_t size() const { return by_seq_.size(); }
  bool empty() const { return by_seq_.empty(); }
  bool contains(seq_no seq) const { return by_seq_.contains(seq); }
  const std::map<seq_no, parked_message>& by_seq() const { return by_seq_; }

  // 0: no bound.
  void add(const parked_message& message, size_t most);
  // nullopt: it was not there.
  std::optional<parked_message> erase(seq_no seq);
  void erase_before(seq_no first_kept);
  void clear();

 private:
  std::map<seq_no, parked_message> by_seq_;
  std::set<std::pair<wall_ms, seq_no>> by_age_;
};

}  // namespace weir
