// The journal behind journal.h: the open batch, the commits, the segments in use, and who waits for what.
//
// Everything here runs on the shard's thread. The lane's jobs (commit, watermark, segment pool) are objects of their
// own that call back when they end. Destroyed only when no job of it is on the lane: after close(), or (in tests) after
// a crash made the lane forget.
#pragma once

#include <deque>

#include "storage/journal.h"
#include "storage/journal_commit.h"
#include "storage/journal_pool.h"
#include "storage/journal_recovery.h"
#include "storage/journal_waiters.h"
#include "storage/watermark.h"

namespace weir {

class journal_impl final : public journal {
 public:
  journal_impl(disk& where, lane& commits, clock_port& clock, const std::string& directory,
               const journal_config& config, std::unique_ptr<watermark> mark);
  // Takes over what recovery found. Blocking, for open().
  result<void> start(recovered_journal found);

  task<result<void>> room(size_t payload_bytes, bool use_reserve) override;
  bool has_room(size_t payload_bytes) const override;
  reserved reserve(entry_kind kind, stream_id stream, size_t payload_bytes) override;
  lsn seal() override;
  void begin_group(size_t group_bytes) override;
  lsn end_group() override;
  void flush() override;
  void hasten(bool sync) override;
  size_t gathered_bytes() const override { return unsubmitted_bytes_; }
  void tick() override;

  lsn appended() const override { return lsn(appended_); }
  lsn durable_end() const override { return lsn(durable_end_); }
  lsn written_end() const override { return lsn(written_end_); }
  bool failed() const override { return failure_.has_value(); }
  const journal_stats& stats() const override { return stats_; }

  void end_segment() override;
  std::vector<filled_segment> filled_segments() const override;
  void taken_over(lsn base) override;
  void release_before(lsn keep) override;
  task<result<void>> close() override;

 private:
  struct segment {
    segment_header header;
    std::string path;
    uint64_t end = 0;    // lsn where its data ends; of the current one, appended_
    bool taken = false;  // has a second name: never written over
  };
  // Writes the watermark on the lane.
  struct watermark_job final : job {
    explicit watermark_job(journal_impl& journal) : owner(journal) {}
    void work() override { outcome = owner.watermark_->write(durable, clean); }
    void done() override { owner.watermark_done(); }

    journal_impl& owner;
    lsn durable;
    bool clean = false;
    result<void> outcome;
  };
  static constexpr uint64_t rest_share = 16;  // a segment is nearly full when less than this part of it is left
  enum class verdict : uint8_t { go, wait, full, failed, closed, oversize };

  bool ready(waiter& node) override;
  void wait(waiter& node) override;

  // Room
  verdict judge(size_t payload_bytes, bool use_reserve) const;
  size_t segments_limit(bool use_reserve) const;
  bool can_take_segment(bool use_reserve) const;
  verdict judge_shortage(bool use_reserve) const;
  result<void> told(verdict what, size_t payload_bytes) const;
  void wake_room();
  void ask_to_release();
  void grant_one_more();

  // Reserving
  reserved reserve_part(entry_kind kind, stream_id stream, size_t payload_bytes);
  lsn seal_part();
  void roll();
  void begin_batch();
  void next_chunk(size_t bytes_min);

  // Committing
  bool has_work() const;
  void start_commit();
  void commit_done();
  void poison(const error& cause);
  void settle_waiters();
  result<void> failure() const;

  // Segments and watermark
  size_t spares_wanted() const;
  void want_segments();
  bool nearly_full() const { return limit_ != 0 && offset_ + config_.segment_bytes / rest_share > limit_; }
  void announce_end(bool rolled);
  void keep_or_discard(std::string path, uint64_t bytes, bool taken);
  void pool_step(const result<void>& outcome);
  void write_watermark(bool clean);
  void watermark_done();
  void watermark_if_due(bool now);
  bool lane_is_idle() const { return !committing_ && !marking_ && !pool_.on_lane(); }
  void after_job();

  disk& disk_;
  lane& lane_;
  clock_port& clock_;
  std::string directory_;  // of the segments
  journal_config config_;
  std::unique_ptr<watermark> watermark_;

  // Where the next entry goes. limit_ is 0 while there is no current segment.
  uint64_t base_ = 0;
  uint64_t offset_ = 0;
  uint64_t limit_ = 0;
  uint32_t salt_ = 0;
  chunk_ref chunk_;
  size_t chunk_at_ = 0;
  size_t chunk_end_ = 0;
  uint8_t* pending_ = nullptr;  // the reserved entry that waits for seal()
  size_t pending_payload_ = 0;
  bool in_group_ = false;
  bool part_open_ = false;
  size_t group_used_ = 0;  // bytes of the group's payload

  batch open_;
  std::deque<batch> closed_batches_;  // of segments that were rolled, oldest first
  size_t unsubmitted_bytes_ = 0;
  commit_job commit_;
  bool committing_ = false;
  mono_ns committed_at_;  // when the last commit ended
  bool flush_asked_ = false;
  uint64_t sync_asked_ = 0;  // somebody wants everything before this lsn durable
  chunk_supply chunks_;

  uint64_t appended_ = 0;
  uint64_t written_end_ = 0;
  uint64_t durable_end_ = 0;
  std::optional<error> failure_;
  journal_stats stats_;

  std::deque<segment> segments_;  // in use, oldest first
  uint64_t announced_ = 0;        // on_roll was called for the end of this segment, and of all before it
  std::shared_ptr<segment_file> current_file_;
  bool reserve_only_ = false;    // the current segment is the reserve: for those who free space
  size_t granted_segments_ = 0;  // more than segments_max, when releasing could not help (grant_one_more)
  bool asked_to_release_ = false;
  uint64_t next_number_ = 1;
  uint64_t next_base_ = 0;
  segment_pool pool_;

  watermark_job mark_job_{*this};
  bool marking_ = false;
  mono_ns marked_at_;

  waiter_list waiters_;
  room_queue publishers_;
  room_queue freers_;  // with use_reserve
  bool closing_ = false;
  std::coroutine_handle<> closer_;
};

}  // namespace weir
