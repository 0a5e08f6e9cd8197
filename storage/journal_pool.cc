#include "storage/journal_pool.h"

#include <algorithm>

#include "storage/journal_segment.h"

namespace weir {

segment_pool::segment_pool(disk& where, lane& commits, clock_port& clock, std::string directory, uint64_t segment_bytes)
    : disk_(where), lane_(commits), clock_(clock), directory_(std::move(directory)), segment_bytes_(segment_bytes) {}

std::string segment_pool::take() {
  WEIR_CHECK(!ready_.empty());
  std::string path = std::move(ready_.front());
  ready_.pop_front();
  return path;
}

void segment_pool::discard(std::string path) {
  unwanted_.push_back(std::move(path));
  submit_next();
}

result<void> segment_pool::make_now() {
  WEIR_CHECK(!on_lane_);
  begin_fill();
  return settle(run(step_, segment_bytes_));
}

void segment_pool::make_more() {
  bool too_soon = full_at_ && clock_.mono().raw() - full_at_->raw() < retry_ns;
  if (filling_ || stopped_ || too_soon) return;
  begin_fill();
  submit_next();
}

void segment_pool::begin_fill() {
  filling_ = true;
  step_.allocates = to_allocate_ > 0;
}

void segment_pool::submit_next() {
  if (on_lane_ || stopped_) return;
  if (step_.target == nullptr && !unwanted_.empty()) {
    step_.removes = true;
    step_.path = std::move(unwanted_.front());
    unwanted_.pop_front();
  } else if (!filling_) {
    return;
  }
  on_lane_ = true;
  lane_.submit(step_);
}

void segment_pool::step_done() {
  on_lane_ = false;
  result<void> outcome = step_.outcome;
  if (std::exchange(step_.removes, false)) {
    if (outcome) forget_full();
  } else if (!outcome || step_.filled == segment_bytes_) {
    outcome = settle(outcome);
  }
  submit_next();
  on_step(outcome);
}

// The end of a fill. Returns what is an error for the journal: a full disk is none, only a state.
result<void> segment_pool::settle(const result<void>& filled) {
  filling_ = false;
  step_.target.reset();
  step_.filled = 0;
  full_ = !filled && filled.err().code == errc::disk_full;
  full_at_.reset();
  if (filled && step_.allocates) --to_allocate_;
  if (filled) ready_.push_back(step_.path);
  if (!full_) return filled;
  full_at_ = clock_.mono();
  full_reason_ = filled.err();
  return ok();
}

result<void> segment_pool::run(step& work, uint64_t bytes_max) {
  if (work.removes) return disk_.remove(work.path);
  auto outcome = fill_some(work, bytes_max);
  if (!outcome && outcome.err().code == errc::disk_full && work.target != nullptr) {
    work.target.reset();
    auto removed = disk_.remove(work.path);  // half a file is of no use, and somebody may need the space
    if (!removed) return removed;
  }
  return outcome;
}

result<void> segment_pool::fill_some(step& work, uint64_t bytes_max) {
  if (work.target == nullptr) {
    auto space = disk_.free_bytes();
    if (!space) return space.err();
    if (*space < segment_bytes_) {
      return fail(errc::disk_full, "no space for a journal segment of " + std::to_string(segment_bytes_) + " bytes");
    }
    work.path = directory_ + "/" + free_segment_name(next_name_++);
    auto made = disk_.open(work.path, disk::mode::create);
    if (!made) return made.err();
    work.target = std::move(*made);
    auto opened = disk_.open(work.path, disk::mode::onwards);
    if (!opened) return opened.err();
    work.target = std::move(*opened);
  }
  if (work.allocates && work.filled == 0) {
    auto allocated = work.target->allocate(segment_bytes_);
    if (!allocated) return allocated.err();
    if (*allocated) work.filled = segment_bytes_;
  }
  alignas(disk::page_bytes) static constexpr std::array<uint8_t, 256 * 1024> zeros{};
  uint64_t end = std::min(segment_bytes_, work.filled + bytes_max);
  while (work.filled < end) {
    size_t size = std::min<size_t>(zeros.size(), end - work.filled);
    auto put = work.target->write_at(work.filled, {zeros.data(), size});
    if (!put) return put;
    work.filled += size;
  }
  return work.target->sync();
}

}  // namespace weir
