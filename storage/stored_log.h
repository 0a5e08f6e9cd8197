// The stream log of a store: removal, accounting, reading and settling around a tail in memory and blocks on disk.
//
// Owned by the store (shared: a read under way keeps a dropped log alive); borrows the store's host. Where a record is:
// above settled_ in the tail; at or below it in a block, unless it is removed or lost. Everything removed lies below
// first or in removed_.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/block_format.h"
#include "storage/block_salvage.h"
#include "storage/interval_set.h"
#include "storage/settle.h"
#include "storage/snapshot.h"
#include "storage/store_host.h"
#include "storage/stream_log.h"
#include "storage/stream_log_tail.h"
#include "storage/subject_index.h"
#include "storage/wait_list.h"

namespace weir {

class stored_log final : public stream_log, public std::enable_shared_from_this<stored_log> {
 public:
  stored_log(store_host& host, stream_id id, const log_options& options);

  stream_id id() const override { return id_; }
  const log_stats& stats() const override { return stats_; }
  seq_no last_visible() const override { return visible_; }
  lsn last_change() const override { return last_change_; }
  lsn last_removal() const override { return last_removal_; }
  uint64_t damaged_count() const override { return lost_.count() + suspect_.count(); }

  appended append(const record_fields& fields, uint64_t epoch) override;
  size_t append_bytes(const record_fields& fields) const override;
  appended append_run(const std::vector<record_fields>& run, uint64_t epoch) override;
  size_t run_bytes(const std::vector<record_fields>& run) const override;
  uint64_t remove_before(seq_no first_kept) override;
  uint64_t remove(const std::vector<seq_no>& seqs) override;
  bool is_live(seq_no seq) const override;
  seq_no next_live(seq_no from) const override;
  uint64_t live_since(seq_no from) const override;

  bool exact() const override { return pending_.empty() && stale_lines_ == 0; }
  task<result<void>> become_exact() override;
  const subject_info* find_subject(std::string_view subject) const override;
  size_t subject_count() const override { return index_.size(); }
  void for_each_subject(std::string_view prefix, const std::function<bool(const subject_info&)>& each) const override;

  task<result<scan_result>> scan(scan_request request) override;
  task<result<std::vector<seq_no>>> sequences_at(std::string subject, seq_no from, size_t limit) override;
  task<result<seq_no>> first_at_or_after(wall_ms time) override;
  task<result<wall_ms>> time_of(seq_no seq) override;
  task<result<std::vector<live_record>>> oldest(seq_no from, size_t limit) override;

  const log_options& options() const { return options_; }
  void reconfigure(const log_options& options);

  // Visibility, by the store's queues.
  void make_visible(seq_no seq) { visible_ = seq; }
  // The journal failed: what lies above `last` never became durable.
  void drop_above(seq_no last);

  // Recovery, in this order; the subject index, the sizes and removals of settled records come with finish_recovery().
  void restore(log_snapshot from);
  // Adds a block found on disk without a snapshot; above those added before.
  void adopt_block(block_ref found, const interval_set& present);
  void replay_records(const slice& payload);
  void replay_remove_before(seq_no first_kept);
  void replay_remove(byte_span payload);
  // Opens the blocks of the snapshot and builds the index. Blocking.
  result<void> finish_recovery();

  // Checkpoint. begin_settle(): what the log is at this moment, and the work for the pool lane (no runs: nothing to
  // write). end_settle(): the records are in `blocks` now, or still in memory.
  log_snapshot snapshot() const;
  settle_request begin_settle();
  void end_settle(const settle_outcome& outcome, seq_no through);
  void cancel_settle() { tail_.thaw(); }
  // Blocks of which every record is removed: taken out of the log, for the store to delete.
  std::vector<block_ref> take_dead_blocks();
  const std::vector<block_ref>& blocks() const { return blocks_; }

 private:
  using part_ref = std::shared_ptr<const block_part>;
  struct place {  // where a settled sequence is, or the next one after it
    block_ref in;
    part_ref part;
  };
  struct known_record {  // what oldest() read of a settled record
    seq_no seq;
    uint32_t bytes;
    uint32_t subject;
  };
  struct scan_state;
  struct reading_ahead {  // of one reader at a time; the others do without
    seq_no expected;      // where a reader goes on
    bool running = false;
    seq_no from;  // what was read ahead last
    seq_no through;
    uint64_t part = 0;  // its uid
    seq_no to;          // about where it ends; known once it is read
    size_t rest = 0;    // looks without
    wait_list ended;
    bool loads(uint64_t of_part, seq_no seq) const { return running && part == of_part && from <= seq && seq <= to; }
  };

  // Appending and removing (stored_log.cc)
  slice encode_in_arena(const record_fields& fields, seq_no seq, uint64_t epoch);
  void place_appended(seq_no seq, const chunk_ref& owner, byte_span bytes, wall_ms time,
                      subject_index::ordinal subject);
  subject_index::ordinal ordinal_of(std::string_view subject);
  void show_when_safe(seq_no first, lsn end);
  void index_append(seq_no seq, tail_node& node, subject_index::ordinal subject);
  void take_out(seq_no seq);
  void raise_first();
  uint64_t remove_range(seq_no from, seq_no to);
  void forget_everything();
  void journal_removal(entry_kind kind, byte_span payload);
  void after_removal();

  // Accounting (stored_log_accounts.cc)
  void account(seq_no seq, uint32_t bytes, uint32_t subject, const tail_node* node);
  void account_settled(seq_no seq);
  void account_known(seq_no to);
  void fix_ends(uint32_t subject);
  void mark_stale(uint32_t subject, bool first);
  void clear_stale(subject_index::line& line, bool first);
  void erase_line(uint32_t subject);
  void lose_line(uint32_t subject);
  task<void> run_accounts();
  task<result<void>> account_all();
  task<result<void>> account_next();
  task<result<void>> account_whole_part(place at);
  task<result<void>> account_group(place at, seq_no from);
  task<result<void>> resolve_first(std::string subject);
  task<result<void>> resolve_last(std::string subject);

  // Reading (stored_log_read.cc, stored_log_scan.cc)
  // On the lane: opens the block's file unless it is open.
  result<void> open_file(std::unique_ptr<file>& from, const block& in) const;
  std::optional<place> find_place(seq_no seq) const;
  bool is_current(const block_ref& in) const;
  bool readable(seq_no seq) const { return is_live(seq) && !lost_.contains(seq); }
  task<result<std::shared_ptr<const row_group>>> group_at(place at, uint32_t group, bool names);
  using found_slices = std::vector<std::optional<slice>>;
  task<result<found_slices>> records_of(place at, uint32_t group, std::shared_ptr<const row_group> rows,
                                        std::vector<uint32_t> wanted);
  task<result<found_slices>> records_at(place at, std::vector<block_row> rows);
  struct subject_row {
    place at;
    block_row row;
  };
  task<result<std::vector<subject_row>>> subject_rows(std::string subject, seq_no from, seq_no to, size_t limit,
                                                      bool newest_first);
  void read_on(const scan_state& state, const place& in, const row_group& rows, const std::vector<uint32_t>& wanted,
               seq_no next);
  std::optional<seq_no> cached_through(const place& at, seq_no seq, bool names) const;
  task<void> read_ahead(place at, seq_no from, bool names);
  task<result<void>> scan_group(scan_state& state, place at);
  task<result<void>> scan_subject(scan_state& state);
  void take_found(scan_state& state, seq_no seq, const std::optional<slice>& found);
  task<result<std::vector<block_row>>> rows_since(place at, seq_no from, wall_ms time);
  void scan_tail(scan_state& state);
  void scan_lost(scan_state& state);
  // Puts a damaged block right; ok if reading may be tried again.
  task<result<void>> repair(block_ref damaged, error why);

  // Recovery (stored_log_recovery.cc)
  void install(std::shared_ptr<block> made);
  void set_uids(block& made);
  void recount();
  result<void> recover_block(const block_snapshot& from);
  result<void> salvage_now(const block_ref& damaged);
  result<void> salvage_file(seq_no base, seq_no last);
  void place_salvaged(seq_no base, seq_no last, const salvaged_block& saved);
  result<void> index_block(const block& in);
  void index_rows(const row_group& rows);
  void find_lost(seq_no from, seq_no to, const interval_set& present);

  store_host& host_;
  stream_id id_;
  log_options options_;
  log_stats stats_;
  seq_no visible_;
  lsn last_change_;
  lsn last_removal_;

  seq_no settled_;
  record_tail tail_;
  std::vector<block_ref> blocks_;  // in order, none without parts
  interval_set removed_;           // above first
  interval_set lost_;              // live, but certainly unreadable
  interval_set suspect_;           // live, and damaged when last read
  subject_index index_;

  reading_ahead ahead_;

  interval_set pending_;                          // removed and settled, not yet accounted
  std::vector<uint32_t> stale_;                   // subjects that may have a stale first or last
  uint64_t stale_lines_ = 0;                      // how many such ends there are
  uint32_t hint_ = subject_index::none;           // subject appended last
  std::vector<known_record> known_;               // in order
  std::vector<subject_index::ordinal> ordinals_;  // of a run; kept for its memory
  bool accounting_ = false;
  wait_list accounts_ended_;
  result<void> accounts_outcome_;

  std::vector<block_snapshot> known_blocks_;  // while recovering: what the snapshot says
  slice arena_;                               // room for the records of an ephemeral log
};

}  // namespace weir
