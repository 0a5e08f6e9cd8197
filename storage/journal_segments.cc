// Which segment files the journal has: those in use, until their content is elsewhere, and spares to go on with.
#include <algorithm>

#include "storage/journal_impl.h"

namespace weir {
namespace {

constexpr unsigned spare_segments_max = 2;  // one to go on with, one as reserve

}  // namespace

size_t journal_impl::spares_wanted() const {
  size_t files_max = segments_limit(true);
  return segments_.size() >= files_max ? 0 : std::min<size_t>(spare_segments_max, files_max - segments_.size());
}

void journal_impl::want_segments() {
  if (!failure_ && !closing_ && pool_.ready() < spares_wanted()) pool_.make_more();
}

void journal_impl::pool_step(const result<void>& outcome) {
  if (!outcome) poison(outcome.err());
  if (pool_.ready() > 0) reserve_only_ = false;
  want_segments();
  wake_room();
  after_job();
}

// Once for each segment: best while there is still room in it for what comes until a checkpoint has made its cut.
void journal_impl::announce_end(bool rolled) {
  if (segments_.empty()) return;
  const uint64_t current = segments_.back().header.number;
  const uint64_t ended = nearly_full() ? current : current - 1;
  if (!rolled && ended < current) return;
  if (std::exchange(announced_, std::max(announced_, ended)) < ended && on_roll) on_roll();
}

void journal_impl::end_segment() {
  if (nearly_full() && can_take_segment(false)) limit_ = offset_;
}

std::vector<filled_segment> journal_impl::filled_segments() const {
  std::vector<filled_segment> all;
  for (const segment& each : segments_) {
    const bool current = limit_ != 0 && &each == &segments_.back();
    if (each.taken || (current && offset_ < limit_)) continue;
    all.push_back(
        filled_segment{each.path, lsn(each.header.base_lsn), lsn(current ? appended_ : each.end), each.header.bytes});
  }
  return all;
}

void journal_impl::taken_over(lsn base) {
  for (segment& each : segments_) {
    if (each.header.base_lsn == base.raw()) each.taken = true;
  }
  pool_.allocate_one();
}

void journal_impl::keep_or_discard(std::string path, uint64_t bytes, bool taken) {
  size_t files = segments_.size() + pool_.ready() + (pool_.filling() ? 1 : 0);
  if (!taken && bytes == config_.segment_bytes && files < segments_limit(true)) {
    pool_.give(std::move(path));
  } else {
    pool_.discard(std::move(path));
  }
}

void journal_impl::release_before(lsn keep) {
  // Of what is still on its way to the disk nothing is given away, nor the segment that is written to.
  uint64_t bound = std::min(keep.raw(), durable_end_);
  size_t held = limit_ != 0 ? 1 : 0;
  while (segments_.size() > held && segments_.front().end <= bound) {
    segment freed = std::move(segments_.front());
    segments_.pop_front();
    keep_or_discard(std::move(freed.path), freed.header.bytes, freed.taken);
  }
  asked_to_release_ = false;
  grant_one_more();
  pool_.forget_full();
  if (pool_.ready() > 0) reserve_only_ = false;
  want_segments();
  wake_room();
}

}  // namespace weir
