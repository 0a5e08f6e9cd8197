// What the subscriptions of one reactor have taken and not yet written, in bytes: bounded together.
#pragma once

#include <algorithm>
#include <cstddef>

#include "broker/types.h"

namespace weir {

class in_hand_account {
 public:
  explicit in_hand_account(size_t bytes_max) : bytes_max_(bytes_max) {}
  in_hand_account(const in_hand_account&) = delete;

  static constexpr size_t batch_bytes_min = 32u << 10;  // always allowed; how a subscription begins
  // What the next batch may take, of at most batch_max: the more is in hand, the less, but always something.
  size_t batch_bytes(size_t batch_max) const {
    const size_t left = bytes_max_ - std::min(bytes_, bytes_max_);
    return std::clamp(left / 4, std::min(batch_bytes_min, batch_max), batch_max);
  }

 private:
  friend class bytes_in_hand;

  const size_t bytes_max_;
  size_t bytes_ = 0;
};

// Bytes of a batch, counted while they are in hand.
class bytes_in_hand {
 public:
  bytes_in_hand(in_hand_account& all, const fetch_outcome& taken) : all_(all) {
    for (const delivery& one : taken.deliveries) mine_ += one.record.bytes.size();
    all_.bytes_ += mine_;
  }
  bytes_in_hand(const bytes_in_hand&) = delete;
  ~bytes_in_hand() { all_.bytes_ -= mine_; }

  void let_go(delivery& written) {
    all_.bytes_ -= written.record.bytes.size();
    mine_ -= written.record.bytes.size();
    written.record.bytes = slice();
  }
  size_t bytes() const { return mine_; }

 private:
  in_hand_account& all_;
  size_t mine_ = 0;
};

}  // namespace weir
