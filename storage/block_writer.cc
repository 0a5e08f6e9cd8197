#include "storage/block_writer.h"

#include <algorithm>
#include <cstring>

#include "storage/block_reader.h"

namespace weir {

using namespace block_format;

namespace {

// A full piece goes past the page cache: the kernel neither copies it nor keeps its pages, and the journal's syncs wait
// behind one piece at most.
constexpr size_t piece_bytes = 1 << 20;
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

block_writer::block_writer(disk& where, std::string path, std::unique_ptr<file> to, block_ref old, block made,
                           uint64_t begin)
    : where_(&where),
      path_(std::move(path)),
      to_(std::move(to)),
      old_(std::move(old)),
      made_(std::move(made)),
      builder_(made_.base),
      begin_(begin),
      written_(old_ ? old_->length : begin) {
  filled_ = into_page();
}

namespace {

result<void> remove_leftover(disk& where, const std::string& path) {
  return where.exists(path) ? where.remove(path) : ok();
}

block empty_block(const block_header& header) {
  block made;
  made.stream = header.stream;
  made.base = header.base;
  return made;
}

}  // namespace

result<block_writer> block_writer::create(disk& where, const std::string& path, const block_header& header) {
  auto removed = remove_leftover(where, path);
  if (!removed) return removed.err();
  auto opened = where.open(path, disk::mode::create);
  if (!opened) return opened.err();
  block_writer writer(where, path, std::move(*opened), nullptr, empty_block(header), 0);
  auto begun = writer.put(as_bytes(weir::encode(header)));
  if (!begun) return begun.err();
  return writer;
}

result<block_writer> block_writer::take_over(disk& where, const std::string& path, const block_header& header,
                                             const filled_segment& segment, bool& linked) {
  linked = false;
  auto step = remove_leftover(where, path);
  if (step) step = where.link(segment.path, path);
  if (!step) return step.err();
  // After a restart only the number of names says that the file must not be written over.
  const auto names = where.names_of(path);
  linked = !names || *names > 1 || !where.remove(path);
  if (!names) return names.err();
  if (*names < 2) return fail(errc::storage_failed, path + ": this file system does not count the names of a file");
  auto opened = where.open(path, disk::mode::read_write);
  if (!opened) return opened.err();
  auto size = (*opened)->size();
  if (!size) return size.err();
  if (*size < segment.bytes) return fail(errc::data_loss, segment.path + " is shorter than it was");
  // Of a checkpoint that did not end, under this name or another.
  if (*size > segment.bytes) step = (*opened)->truncate(segment.bytes);
  if (!step) return step.err();
  block_writer writer(where, path, std::move(*opened), nullptr, empty_block(header), segment.bytes);
  auto begun = writer.put(as_bytes(weir::encode(header)));
  if (!begun) return begun.err();
  return writer;
}

result<block_writer> block_writer::append(disk& where, const std::string& root, block_ref to) {
  WEIR_CHECK(!to->closed);
  std::string path = block_path(root, to->stream, to->base);
  auto opened = where.open(path, disk::mode::read_write);
  if (!opened) return opened.err();
  auto size = (*opened)->size();
  if (!size) return size.err();
  if (*size < to->length) return fail(errc::data_loss, "a block file is shorter than it was");
  if (*size > to->length) {
    auto cut = (*opened)->truncate(to->length);
    if (!cut) return cut.err();
  }
  block made = *to;
  const uint64_t begin = made.parts.back()->info.begin;
  return block_writer(where, std::move(path), std::move(*opened), std::move(to), std::move(made), begin);
}

void block_writer::work_in(memory old) {
  old.builder.restart(made_.base);
  builder_ = std::move(old.builder);
  if (piece_ && old.piece) std::memcpy(old.piece->data(), piece_->data(), filled_);
  if (old.piece) piece_ = std::move(old.piece);
}

result<void> block_writer::put(byte_span bytes) {
  if (!piece_) piece_ = chunk_ref::make(piece_bytes);
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), piece_bytes - filled_);
    std::memcpy(piece_->data() + filled_, bytes.data(), size);
    filled_ += size;
    bytes = bytes.subspan(size);
    if (filled_ < piece_bytes) continue;
    auto written = write_piece();
    if (!written) return written;
  }
  return ok();
}

// A full one. A first page that is partly there already goes through the page cache.
result<void> block_writer::write_piece() {
  byte_span full{piece_->data(), piece_bytes};
  if (into_page() != 0) {
    const byte_span head = full.first(disk::page_bytes).subspan(into_page());
    auto written = to_->write_at(written_, head);
    if (!written) return written;
    written_ += head.size();
    full = full.subspan(disk::page_bytes);
  }
  if (!pages_) {
    auto opened = where_->open(path_, disk::mode::pages);
    if (!opened) return opened.err();
    pages_ = std::move(*opened);
  }
  auto written = pages_->write_at(written_, full);
  if (!written) return written;
  written_ += full.size();
  filled_ = 0;
  return ok();
}

// What is left in the piece.
result<void> block_writer::write_rest() {
  const byte_span rest = byte_span(piece_->data(), filled_).subspan(into_page());
  auto written = to_->write_at(written_, rest);
  if (!written) return written;
  written_ += rest.size();
  filled_ = into_page();
  return ok();
}

result<void> block_writer::put_held() {
  return put(std::exchange(held_, byte_span()));
}

result<void> block_writer::add(byte_span record, seq_no seq, std::string_view subject, wall_ms time) {
  builder_.add(seq, length(), record.size(), subject, time);
  const bool adjacent = held_.data() + held_.size() == record.data() && held_.size() < piece_bytes;
  if (adjacent && !held_.empty()) {
    held_ = byte_span(held_.data(), held_.size() + record.size());
    return ok();
  }
  auto written = put_held();
  held_ = record;
  return written;
}

void block_writer::abandon() {
  uint64_t keep = old_ ? old_->length : begin_;
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
  auto held = put_held();
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
  info.begin = begin_;
  info.marker = length();
  info.previous = made_.parts.empty() ? 0 : made_.parts.back()->info.trailer();
  auto written = builder_.encode(info, [this](byte_span bytes) { return put(bytes); });
  if (written) written = write_rest();
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
