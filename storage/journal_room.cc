// Who may reserve an entry, who waits, and who is refused: the journal's answer to a full batch, to segments that are
// all in use, and to a full disk.
#include <algorithm>

#include "storage/journal_impl.h"

namespace weir {

task<result<void>> journal_impl::room(size_t payload_bytes, bool use_reserve) {
  room_queue& queue = use_reserve ? freers_ : publishers_;
  want_segments();
  verdict what = judge(payload_bytes, use_reserve);
  if (what == verdict::wait) flush();  // a full batch goes out now, not at the end of the turn
  if (what == verdict::wait) ask_to_release();
  for (bool woken = false;; woken = true) {
    what = judge(payload_bytes, use_reserve);
    bool behind_others = what == verdict::go && !woken && !queue.empty();
    if (what != verdict::wait && !behind_others) break;
    auto place = queue.wait(payload_bytes);
    co_await place;
  }
  co_return told(what, payload_bytes);
}

bool journal_impl::has_room(size_t payload_bytes) const {
  return publishers_.empty() && freers_.empty() && judge(payload_bytes, false) == verdict::go;
}

journal_impl::verdict journal_impl::judge(size_t payload_bytes, bool use_reserve) const {
  if (failure_) return verdict::failed;
  if (closing_) return verdict::closed;
  uint64_t largest = config_.segment_bytes - segment_data_offset - entry_header_size;
  if (payload_bytes > largest) return verdict::oversize;
  uint64_t need = entry_size(payload_bytes);
  if (unsubmitted_bytes_ != 0 && unsubmitted_bytes_ + need > config_.batch_bytes_max) return verdict::wait;
  bool fits = offset_ + need <= limit_;
  if (fits ? !reserve_only_ || use_reserve : can_take_segment(use_reserve)) return verdict::go;
  return judge_shortage(use_reserve);
}

size_t journal_impl::segments_limit(bool use_reserve) const {
  return std::max<size_t>(config_.segments_max, granted_segments_) + (use_reserve ? 1 : 0);
}

bool journal_impl::can_take_segment(bool use_reserve) const {
  // The last spare is the reserve, except for the very first segment of a journal.
  size_t kept_back = use_reserve || segments_.empty() ? 0 : 1;
  return segments_.size() < segments_limit(use_reserve) && pool_.ready() > kept_back;
}

// Without a segment to go on with: is one on its way, or must space come back first?
journal_impl::verdict journal_impl::judge_shortage(bool use_reserve) const {
  bool all_in_use = segments_.size() >= segments_limit(use_reserve);
  if (all_in_use || pool_.filling() || !pool_.disk_is_full()) return verdict::wait;
  return verdict::full;
}

result<void> journal_impl::told(verdict what, size_t payload_bytes) const {
  switch (what) {
    case verdict::go:
      return ok();
    case verdict::failed:
      return failure();
    case verdict::closed:
      return fail(errc::unavailable, "the journal is closing");
    case verdict::full:
      return fail(errc::disk_full, pool_.full_reason().message);
    case verdict::oversize:
      return fail(errc::oversize, "an entry of " + std::to_string(payload_bytes) +
                                      " bytes does not fit into a segment of " + std::to_string(config_.segment_bytes));
    case verdict::wait:
      break;
  }
  WEIR_CHECK(false);
}

// Those who free space go first: publishers may be waiting for them.
void journal_impl::wake_room() {
  while (!freers_.empty() && judge(freers_.first_bytes(), true) != verdict::wait) freers_.wake_first();
  while (!publishers_.empty() && judge(publishers_.first_bytes(), false) != verdict::wait) publishers_.wake_first();
}

// With all segments in use only a checkpoint helps, and without new entries no roll will bring one.
void journal_impl::ask_to_release() {
  if (segments_.size() < segments_limit(false) || std::exchange(asked_to_release_, true)) return;
  if (on_roll) on_roll();
}

// A checkpoint ended, somebody still waits, and nothing could be released: the older of the two snapshots that are kept
// needs it all. One more segment lets the next checkpoint be a later one, which frees everything up to this one.
void journal_impl::grant_one_more() {
  bool somebody_waits = !publishers_.empty() || !freers_.empty();
  if (segments_.size() < config_.segments_max) granted_segments_ = 0;
  if (somebody_waits && segments_.size() >= segments_limit(false)) granted_segments_ = segments_.size() + 1;
}

}  // namespace weir
