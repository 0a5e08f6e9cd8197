#include "storage/block_writer.h"

#include <algorithm>

#include "storage/block_reader.h"

namespace weir {

using namespace block_format;

namespace {

constexpr size_t write_bytes = 1 << 20;
// Records that stand together in memory are written from there, if they are so many bytes.
constexpr size_t direct_bytes_min = 8 << 10;
// So many parts of one level are merged into one of the next: each row's index entry is written again once a level.
constexpr size_t fan_in = 8;

// How many of the last parts the new one takes over, and its level.
std::pair<size_t, uint32_t> to_absorb(const std::vector<std::shared_ptr<const block_part>>& parts, bool all) {
  uint32_t top = parts.empty() ? 0 : parts.front()->info.level;
  if (all) return {parts.size(), parts.empty() ? 0 : top + 1};
  size_t absorbed = 0;
  uint32_t level = 0;
  for (;;) {
    size_t same = 0;
    while (absorbed + same < parts.size() && parts[parts.size() - 1 - absorbed - same]->info.level <= level) ++same;
    if (same + 1 < fan_in) return {absorbed, level};
    absorbed += same;
    ++level;
  }
}

}  // namespace

block_writer::block_writer(std::unique_ptr<file> to, block_ref old, block made)
    : to_(std::move(to)), old_(std::move(old)), made_(std::move(made)), builder_(made_.base) {}

result<block_writer> block_writer::create(disk& where, const std::string& path, const block_header& header) {
  if (where.exists(path)) {
    auto removed = where.remove(path);
    if (!removed) return removed.err();
  }
  auto opened = where.open(path, disk::mode::create);
  if (!opened) return opened.err();
  block made;
  made.stream = header.stream;
  made.base = header.base;
  block_writer writer(std::move(*opened), nullptr, std::move(made));
  writer.buffer_ = weir::encode(header);
  return writer;
}

result<block_writer> block_writer::append(disk& where, const std::string& root, block_ref to) {
  WEIR_CHECK(!to->closed);
  auto opened = where.open(block_path(root, to->stream, to->base), disk::mode::read_write);
  if (!opened) return opened.err();
  auto size = (*opened)->size();
  if (!size) return size.err();
  if (*size < to->length) return fail(errc::data_loss, "a block file is shorter than it was");
  if (*size > to->length) {
    auto cut = (*opened)->truncate(to->length);
    if (!cut) return cut.err();
  }
  block made = *to;
  uint64_t length = to->length;
  block_writer writer(std::move(*opened), std::move(to), std::move(made));
  writer.written_ = writer.paced_ = length;
  return writer;
}

void block_writer::work_in(memory old) {
  old.builder.restart(made_.base);
  builder_ = std::move(old.builder);
  old.buffer.assign(buffer_);
  buffer_ = std::move(old.buffer);
}

result<void> block_writer::write_out() {
  if (buffer_.empty()) return ok();
  auto written = to_->write_at(written_, as_bytes(buffer_));
  if (!written) return written;
  written_ += buffer_.size();
  buffer_.clear();
  return pace();
}

// The journal's syncs wait behind what is on its way to the disk: that is never more than a piece of a block.
result<void> block_writer::pace() {
  if (written_ - paced_ < write_bytes) return ok();
  auto done = to_->write_back(paced_, written_ - paced_);
  sync_failed_ = sync_failed_ || !done;
  paced_ = written_;
  return done;
}

result<void> block_writer::write_held() {
  const byte_span held = std::exchange(held_, byte_span());
  if (held.size() < direct_bytes_min) {
    buffer_.append(as_text(held));
    return buffer_.size() >= write_bytes ? write_out() : ok();
  }
  auto written = write_out();
  if (written) written = to_->write_at(written_, held);
  if (!written) return written;
  written_ += held.size();
  return pace();
}

result<void> block_writer::add(byte_span record, seq_no seq, std::string_view subject, wall_ms time) {
  builder_.add(seq, length(), record.size(), subject, time);
  const bool adjacent = held_.data() + held_.size() == record.data() && held_.size() < write_bytes;
  if (adjacent && !held_.empty()) {
    held_ = byte_span(held_.data(), held_.size() + record.size());
    return ok();
  }
  auto written = write_held();
  held_ = record;
  return written;
}

void block_writer::abandon() {
  uint64_t keep = old_ ? old_->length : 0;
  [[maybe_unused]] auto ignored = to_->truncate(keep);  // what is left over is cut before the next append
}

// The rows of the last `absorbed` old parts and the new ones. Empty if an old index cannot be read.
part_builder block_writer::merged(size_t absorbed) {
  part_builder all(made_.base);
  for (size_t i = old_->parts.size() - absorbed; i < old_->parts.size(); ++i) {
    part_reader reader(*to_, old_->parts[i]->info);
    if (!reader.copy_rows(all)) return part_builder(made_.base);
  }
  builder_.resolve();
  for (size_t i = 0; i < builder_.rows(); ++i) {
    const block_row& row = builder_.row(i);
    all.add(row.seq, row.offset, row.length, builder_.subject_of(i), row.time);
  }
  all.resolve();
  return all;
}

result<block_ref> block_writer::finish(bool seal, bool salvaged) {
  auto held = write_held();
  if (!held) return held.err();
  auto [absorbed, level] = to_absorb(made_.parts, seal);
  part_info info;
  if (absorbed > 0) {
    part_builder all = merged(absorbed);
    if (all.rows() > 0) {
      builder_ = std::move(all);
      made_.parts.resize(made_.parts.size() - absorbed);
    } else {
      level = 0;
    }
  }
  if (builder_.rows() == 0) {
    // Nothing was added, and what is there cannot be merged: it stays as it is.
    made_.closed = seal;
    return block_ref(std::make_shared<block>(made_));
  }
  info.level = level;
  info.flags = (seal ? part_info::sealed : 0) | (salvaged ? part_info::salvaged : 0);
  info.stream = made_.stream;
  info.marker = length();
  info.previous = made_.parts.empty() ? 0 : made_.parts.back()->info.trailer();
  const auto some = [this] { return write_out(); };
  auto written = builder_.encode(info, buffer_, some);
  if (written) written = write_out();
  if (!written) return written.err();
  WEIR_CHECK(written_ == info.end());
  auto synced = to_->sync();
  if (!synced) {
    sync_failed_ = true;
    return synced.err();
  }
  auto part = std::make_shared<block_part>();
  part->info = info;
  if (!info.dense()) part->group_first = builder_.group_first();
  made_.parts.push_back(std::move(part));
  made_.length = written_;
  made_.closed = seal;
  return block_ref(std::make_shared<block>(made_));
}

}  // namespace weir
