#include "broker/retention.h"

#include <algorithm>

namespace weir {
namespace {

constexpr size_t window_min = 32;  // small, because a thousand idle streams hold one each
constexpr size_t window_max = 4096;
constexpr size_t front_chunk = 16384;

}  // namespace

bool retention::has_bounds() const {
  const retention_limits& limits = config_.limits;
  return limits.max_msgs || limits.max_bytes || limits.max_age_ms;
}

bool retention::over_bounds() const {
  const log_stats& stats = log_.stats();
  return over_count(stats.count) || over_bytes(stats.bytes);
}

bool retention::too_old(wall_ms time, std::optional<wall_ms> now) const {
  if (!now || !config_.limits.max_age_ms || now->raw() <= time.raw()) return false;
  return static_cast<uint64_t>(now->raw() - time.raw()) > *config_.limits.max_age_ms;
}

retention::outcome retention::enforce(std::optional<wall_ms> now) {
  if (!has_bounds()) return {};
  return config_.limits.strict ? enforce_strictly(now) : enforce_blocks(now);
}

void retention::note_removed(seq_no seq, uint64_t bytes) {
  if (!log_.exact()) {
    front_.reset();  // the size is not known yet: count again
    return;
  }
  if (!front_ || seq > front_->counted_to || block_of(seq) != front_->block) return;
  front_->count -= std::min<uint64_t>(front_->count, 1);
  front_->bytes -= std::min(front_->bytes, bytes);
  front_->newest_stale = true;
}

// --- block-aligned ---

bool retention::front_may_go(std::optional<wall_ms> now) const {
  const log_stats& stats = log_.stats();
  const retention_limits& limits = config_.limits;
  if (config_.discard_new) return too_old(front_->newest, now);
  if (limits.max_msgs && stats.count - front_->count >= *limits.max_msgs) return true;
  if (limits.max_bytes && stats.bytes - std::min(stats.bytes, front_->bytes) >= *limits.max_bytes) return true;
  return too_old(front_->newest, now);
}

retention::outcome retention::enforce_blocks(std::optional<wall_ms> now) {
  outcome done;
  const bool ages = now && has_age();
  for (;;) {
    const log_stats& stats = log_.stats();
    if (stats.count == 0) return done;
    const uint64_t block = block_of(stats.first);
    if (block >= block_of(stats.last)) return done;
    if (!ages && !over_count(stats.count) && !over_bytes(stats.bytes)) return done;
    const bool known = front_ && front_->block == block && front_->complete && !(ages && front_->newest_stale);
    if (!known || !log_.exact()) {
      done.needs_load = true;
      return done;
    }
    if (!front_may_go(now)) return done;
    done.removed += log_.remove_before(block_end(block).next());
    front_.reset();
    // One removal a call keeps within room_bytes; the next block must be loaded first anyway.
  }
}

task<result<void>> retention::load_front() {
  // Removals while a chunk is on its way are seen by is_live(); later ones by note_removed().
  const uint64_t block = block_of(log_.stats().first);
  front_ = front_block{.block = block,
                       .counted_to = seq_no(block * config_.block_size),
                       .complete = false,
                       .newest_stale = false,
                       .count = 0,
                       .bytes = 0,
                       .newest = wall_ms(0)};
  const seq_no end = block_end(block);
  while (front_ && front_->block == block && !front_->complete) {
    const seq_no from = front_->counted_to.next();
    auto chunk = co_await log_.oldest(from, front_chunk);
    if (!chunk) co_return chunk.err();
    if (!front_ || front_->block != block) break;  // the block went meanwhile
    seq_no last = end;
    for (const stream_log::live_record& one : *chunk) {
      if (one.seq > end) break;
      if (!log_.is_live(one.seq)) continue;
      ++front_->count;
      front_->bytes += one.bytes;
      front_->newest = std::max(front_->newest, one.time);
    }
    if (chunk->size() == front_chunk) last = std::min(last, chunk->back().seq);
    front_->counted_to = last;
    front_->complete = last == end;
  }
  co_return ok();
}

// --- strict ---

uint64_t retention::remove_excess_count() {
  const log_stats& stats = log_.stats();
  if (!over_count(stats.count)) return 0;
  uint64_t excess = stats.count - *config_.limits.max_msgs;
  seq_no first_kept = stats.first;
  if (stats.count == stats.last.raw() - stats.first.raw() + 1) {
    first_kept = seq_no(stats.first.raw() + excess);  // no holes
  } else {
    for (; excess > 0; --excess) first_kept = log_.next_live(first_kept.next());
  }
  return log_.remove_before(first_kept);
}

retention::outcome retention::enforce_strictly(std::optional<wall_ms> now) {
  outcome done;
  front_.reset();  // what goes here is not counted there
  done.removed = remove_excess_count();
  const bool ages = now && has_age();
  if (!ages && !over_bytes(log_.stats().bytes)) return done;
  if (!log_.exact()) {
    done.needs_load = true;
    return done;
  }
  uint64_t bytes = log_.stats().bytes;
  uint64_t count = log_.stats().count;
  seq_no first_kept = log_.stats().first;
  while (count > 0) {
    while (!window_.empty() && !log_.is_live(window_.front().seq)) window_.pop_front();
    if (window_.empty()) {
      done.needs_load = true;
      break;
    }
    const stream_log::live_record& oldest = window_.front();
    if (!over_bytes(bytes) && !too_old(oldest.time, now)) break;
    bytes -= std::min(bytes, oldest.bytes);
    --count;
    first_kept = oldest.seq.next();
    window_.pop_front();
  }
  if (first_kept > log_.stats().first) done.removed += log_.remove_before(first_kept);
  return done;
}

task<result<void>> retention::load_window() {
  window_limit_ = std::clamp(window_limit_ * 2, window_min, window_max);
  const seq_no from = log_.stats().first;
  auto oldest = co_await log_.oldest(from, window_limit_);
  if (!oldest) co_return oldest.err();
  window_.assign(oldest->begin(), oldest->end());
  co_return ok();
}

task<result<void>> retention::load() {
  if (!log_.exact()) {
    auto exact = co_await log_.become_exact();
    if (!exact) co_return exact.err();
  }
  if (config_.limits.strict) {
    if (window_.empty()) {
      auto loaded = co_await load_window();
      co_return loaded;
    }
    co_return ok();
  }
  front_.reset();
  auto loaded = co_await load_front();
  co_return loaded;
}

}  // namespace weir
