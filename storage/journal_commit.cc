#include "storage/journal_commit.h"

#include <array>

namespace weir {

void commit_job::work() {
  outcome_ = batch_.roll ? roll(*batch_.roll) : ok();
  if (outcome_) outcome_ = write();
  if (outcome_ && sync_) outcome_ = batch_.target->handle->sync();
  if (outcome_) batch_.target->unsynced = !sync_;
}

// The new header is the proof that all before it is durable, so the old segment is synced first. The new name appears
// only over a durable header: a segment file never has a torn one.
result<void> commit_job::roll(roll_order& order) {
  if (order.previous && order.previous->unsynced) {
    auto synced = order.previous->handle->sync();
    if (!synced) return synced;
    order.previous->unsynced = false;
  }
  if (order.previous) order.previous->handle.reset();
  auto ours = own(order);
  if (!ours) return ours;
  auto opened = disk_.open(order.spare_path, disk::mode::onwards);
  if (!opened) return opened.err();
  std::array<uint8_t, segment_data_offset> page;
  encode_segment_header(page.data(), order.header);
  auto step = (*opened)->write_at(0, page);
  if (step) step = (*opened)->sync();
  if (step) step = disk_.rename(order.spare_path, order.path);
  if (step) step = disk_.sync_dir(directory_);
  if (step) batch_.target->handle = std::move(*opened);
  return step;
}

// A file with a second name is somebody else's too (a block's, a backup's): it is left to him, and a new one made.
result<void> commit_job::own(const roll_order& order) {
  const auto names = disk_.names_of(order.spare_path);
  if (!names) return names.err();
  if (*names == 1) return ok();
  auto step = disk_.remove(order.spare_path);
  if (!step) return step;
  auto made = disk_.open(order.spare_path, disk::mode::create);
  if (!made) return made.err();
  auto allocated = (*made)->allocate(order.header.bytes);
  return allocated ? (*made)->sync() : result<void>(allocated.err());
}

result<void> commit_job::write() {
  for (const write_span& span : batch_.spans) {
    auto put = batch_.target->handle->write_at(span.offset, {span.data, span.size});
    if (!put) return put;
  }
  return ok();
}

}  // namespace weir
