// One round of group commit, on the commit lane: roll to a new segment if the batch asks for it, write the batch, sync.
//
// Owned by the journal, used again for every round. Between submit() and on_done the journal leaves it alone, except
// for what fill() set, which it may read.
#pragma once

#include <functional>

#include "storage/journal_batch.h"
#include "storage/lane.h"

namespace weir {

class commit_job final : public job {
 public:
  commit_job(disk& where, std::string directory) : disk_(where), directory_(std::move(directory)) {}

  // The batch may be empty: then the round only syncs its target.
  void fill(batch what, bool sync) {
    batch_ = std::move(what);
    sync_ = sync;
    outcome_ = ok();
  }
  batch& what() { return batch_; }
  const batch& what() const { return batch_; }
  bool syncs() const { return sync_; }
  const result<void>& outcome() const { return outcome_; }

  std::function<void()> on_done;

  void work() override;
  void done() override { on_done(); }

 private:
  result<void> roll(roll_order& order);
  result<void> own(const roll_order& order);
  result<void> write();

  disk& disk_;
  std::string directory_;
  batch batch_;
  bool sync_ = false;
  result<void> outcome_;
};

}  // namespace weir
