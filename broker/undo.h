// Changes that are applied in memory and not yet durable, so that they can be taken back when the disk fails.
//
// Owned by the shard. A change that never became durable must not be shown by the reads that go on afterwards.
#pragma once

#include <deque>
#include <functional>

#include "storage/ids.h"

namespace weir {

class undo_list {
 public:
  // `revert` takes back the change whose journal entry ends at `end`; ends never fall.
  void add(lsn end, std::function<void()> revert) { steps_.push_back({end, std::move(revert)}); }
  // Forgets what is durable.
  void settle(lsn durable_end) {
    while (!steps_.empty() && steps_.front().end <= durable_end) steps_.pop_front();
  }
  // Takes back what is left, newest first.
  void revert_all() {
    while (!steps_.empty()) {
      const step last = std::move(steps_.back());
      steps_.pop_back();
      last.revert();
    }
  }

 private:
  struct step {
    lsn end;
    std::function<void()> revert;
  };
  std::deque<step> steps_;
};

}  // namespace weir
