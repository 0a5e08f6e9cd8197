// Limits retention of one stream: which of its oldest messages must go, by age, count and bytes.
//
// Owned by its stream; borrows the stream's log and limits. enforce() removes at once whatever it can decide from what
// it knows; where it must read sizes or times first it says so, load() reads them, and enforce() is called again.
//
// Strict: message by message from the oldest until every bound holds. Otherwise whole logical blocks of block_size
// messages ((seq - 1) / block_size) from the oldest: by count or bytes only while at least the bound itself stays, by
// age only when the block's newest message is older; never the block of the last message. So a block-aligned stream may
// exceed a bound by less than a block, and never holds less than the bound.
//
// With discard_new nothing goes by count or bytes: the stream refuses what would exceed them.
#pragma once

#include <deque>
#include <optional>

#include "broker/types.h"
#include "storage/stream_log.h"
#include "storage/task.h"

namespace weir {

class retention {
 public:
  // Journal payload that removals of one enforce() take, with room for their headers.
  static constexpr size_t room_bytes = 256;

  retention(stream_log& log, const stream_config& config) : log_(log), config_(config) {}
  retention(const retention&) = delete;
  retention& operator=(const retention&) = delete;

  struct outcome {
    uint64_t removed = 0;
    bool needs_load = false;  // load(), then enforce() again
  };
  // Has room for its removals (room_bytes). `now` absent: ages are left alone.
  outcome enforce(std::optional<wall_ms> now);
  // Reads what the last enforce() missed. One at a time. storage_failed if the log cannot be read.
  task<result<void>> load();

  bool has_bounds() const;
  bool has_age() const { return config_.limits.max_age_ms.has_value(); }
  // True if enforce(nullopt) would do something or ask for load(): the cheap look after each publish.
  bool over_bounds() const;

  // Another rule than this removed a live message of `bytes` (a per-subject cap).
  void note_removed(seq_no seq, uint64_t bytes);
  // The same for many.
  void note_removed() { front_.reset(); }

 private:
  // What is known of the oldest logical block, so far up to `counted_to`.
  struct front_block {
    uint64_t block = 0;
    seq_no counted_to;
    bool complete = false;
    bool newest_stale = false;  // the newest message may be gone
    uint64_t count = 0;
    uint64_t bytes = 0;
    wall_ms newest;
  };

  uint64_t block_of(seq_no seq) const { return (seq.raw() - 1) / config_.block_size; }
  seq_no block_end(uint64_t block) const { return seq_no((block + 1) * config_.block_size); }
  bool over_count(uint64_t count) const {
    return config_.limits.max_msgs && count > *config_.limits.max_msgs && !config_.discard_new;
  }
  bool over_bytes(uint64_t bytes) const {
    return config_.limits.max_bytes && bytes > *config_.limits.max_bytes && !config_.discard_new;
  }
  bool too_old(wall_ms time, std::optional<wall_ms> now) const;
  bool front_may_go(std::optional<wall_ms> now) const;

  outcome enforce_blocks(std::optional<wall_ms> now);
  outcome enforce_strictly(std::optional<wall_ms> now);
  uint64_t remove_excess_count();
  task<result<void>> load_front();
  task<result<void>> load_window();

  stream_log& log_;
  const stream_config& config_;
  std::optional<front_block> front_;            // block-aligned mode
  std::deque<stream_log::live_record> window_;  // strict mode: the oldest messages, some may be gone meanwhile
  size_t window_limit_ = 0;
};

}  // namespace weir
