// The one implementation of store.h: opening and recovery (store_recovery.cc), checkpoints (store_checkpoint.cc), the
// rest (store.cc).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/snapshot.h"
#include "storage/store.h"
#include "storage/store_host.h"
#include "storage/stored_log.h"

namespace weir {

class store_impl final : public store, private journal_visitor {
 public:
  store_impl(disk& where, lane& pool, std::string dir, const store_config& config, store_client& client);

  // Blocking. Called once, before anything else.
  result<void> recover(lane& commits, clock_port& clock);

  journal& log_journal() override { return *journal_; }
  const recovery_report& report() const override { return host_.report; }
  lsn append_state(stream_id stream, byte_span entry) override;
  stream_log& create_log(stream_id stream, const log_options& options) override;
  void drop_log(stream_id stream) override;
  stream_log* log(stream_id stream) override;
  void flush() override { journal_->flush(); }
  size_t gathered_bytes() const override { return journal_->gathered_bytes(); }
  task<result<void>> checkpoint() override;
  bool failed() const override { return journal_->failed(); }
  bool full() const override { return short_of_space_ || checkpoint_is_full_; }
  void tick() override;
  task<result<void>> close() override;

 private:
  using log_ref = std::shared_ptr<stored_log>;

  // A file, or (ending in '/') a dropped log's directory, that no snapshot from `since` on needs.
  struct retired {
    std::string path;
    stream_id stream;
    std::optional<lsn> since;  // nothing: from the next snapshot on
  };
  // One log at the moment of a checkpoint.
  struct cut {
    log_ref log;
    log_snapshot taken;
    settle_request work;
  };

  // Recovery
  result<void> on_entry(const journal_entry& entry) override;
  result<void> on_group(const journal_entry& entry);
  result<void> take(const journal_entry& entry);
  void on_hole(lsn from, lsn to) override;
  void on_cut(lsn from, lsn to) override;
  result<lsn> load_newest();
  result<bool> journal_is_whole() const;
  result<void> load(snapshot&& from);
  result<bool> any_blocks();
  result<void> rebuild();
  result<void> adopt_stream(stream_id stream, const std::string& dir);
  result<void> adopt_blocks(stored_log& into, const std::vector<seq_no>& bases);
  result<void> replay(const journal_entry& entry);
  result<void> find_orphans();
  result<void> orphans_of(stream_id stream, const std::string& dir);
  result<void> orphan(stream_id stream, const std::string& path);

  // Progress of the journal
  void on_progress();
  void want_checkpoint();
  task<void> checkpoint_in_background();

  // Checkpoint; the caller holds host_.files.
  task<result<void>> take_checkpoint();
  task<void> wait_durable(lsn end, result<void>& outcome);
  std::vector<filled_segment> segments_to_take();
  std::vector<cut> cut_logs(std::span<const filled_segment> segments);
  task<result<void>> make_directories(const std::vector<cut>& cuts);
  task<result<void>> settle_all(std::vector<cut>& cuts);
  task<void> settle_some(std::vector<cut>& cuts, size_t& next, result<void>& outcome);
  task<result<void>> keep_snapshot(snapshot made);
  task<result<void>> free_journal();
  bool journal_is_short() const;
  task<result<void>> give_up_older();
  task<void> delete_retired(lsn needed_from);
  bool in_use(const retired& item) const;
  task<void> look_at_space();

  store_config config_;
  store_client& client_;
  store_host host_;
  std::unique_ptr<journal> journal_;
  std::map<stream_id, log_ref> logs_;

  bool recovering_ = true;
  bool rebuilding_ = false;  // no snapshot could be read
  uint64_t holes_ = 0;

  std::optional<lsn> newest_;  // snapshots on disk
  std::optional<lsn> older_;
  std::vector<retired> retired_;
  bool checkpoint_wanted_ = false;
  bool checkpoint_is_full_ = false;  // the last checkpoint found no room
  bool checkpoint_failed_ = false;
  bool changed_ = false;  // something that the journal does not know: blocks closed or repaired
  bool short_of_space_ = false;
  bool looking_at_space_ = false;
  bool poisoned_ = false;
};

}  // namespace weir
