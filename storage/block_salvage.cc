#include "storage/block_salvage.h"

#include <algorithm>

#include "storage/block_writer.h"
#include "storage/quarantine.h"
#include "storage/record.h"

namespace weir {

using namespace block_format;

namespace {

constexpr size_t read_step = 1 << 20;
constexpr size_t retry_step = 4096;
constexpr std::string_view suffix = ".salvage";

// The whole file; places that cannot be read are zeros.
result<std::vector<uint8_t>> read_all(file& from) {
  auto size = from.size();
  if (!size) return size.err();
  std::vector<uint8_t> bytes(*size);
  std::span<uint8_t> all = bytes;
  for (size_t at = 0; at < all.size(); at += read_step) {
    auto step = all.subspan(at, std::min(read_step, all.size() - at));
    if (from.read_at(at, step)) continue;
    for (size_t inner = 0; inner < step.size(); inner += retry_step) {
      auto part = step.subspan(inner, std::min(retry_step, step.size() - inner));
      if (!from.read_at(at + inner, part)) std::fill(part.begin(), part.end(), uint8_t{0});
    }
  }
  return bytes;
}

// Walks a damaged file from record to record.
class walk {
 public:
  walk(byte_span bytes, size_t at, seq_no keep_to) : bytes_(bytes), at_(at), keep_to_(keep_to) {}

  // The next sound record; false at the end.
  bool next(record_view& found) {
    for (bool on_track = true; at_ < bytes_.size(); ++at_, on_track = false) {
      if (on_track) skip_indexes();
      if (at_ >= bytes_.size()) return false;
      if (bytes_[at_] != record_tag) continue;
      auto record = decode_record(bytes_.subspan(at_));
      if (!record || record->seq <= before_ || record->seq > keep_to_) continue;
      before_ = record->seq;
      at_ += record->whole.size();
      found = *record;
      return true;
    }
    return false;
  }

 private:
  static constexpr uint8_t record_tag = 0x22;

  // A marker counts only if a trailer stands where it says.
  void skip_indexes() {
    while (at_ < bytes_.size()) {
      auto size = decode_marker(bytes_.subspan(at_));
      if (!size || *size < marker_bytes + trailer_bytes || *size > bytes_.size() - at_) return;
      at_ += *size;
    }
  }

  byte_span bytes_;
  size_t at_;
  seq_no keep_to_;
  seq_no before_;
};

result<void> take_place(disk& where, const std::string& path) {
  auto moved = where.rename(path + std::string(suffix), path);
  return moved ? where.sync_dir(parent_of(path)) : moved;
}

}  // namespace

result<salvaged_block> salvage_block(disk& where, const std::string& root, stream_id stream, seq_no base,
                                     seq_no keep_to) {
  std::string path = block_path(root, stream, base);
  auto opened = where.open(path, disk::mode::read);
  if (!opened) return opened.err();
  auto bytes = read_all(**opened);
  if (!bytes) return bytes.err();
  auto old = decode_block_header(*bytes);
  size_t begin = old ? old->size : std::min(header_page, bytes->size());
  block_header header{stream, base, old ? old->header.label : std::string()};

  salvaged_block done;
  auto writer = block_writer::create(where, path + std::string(suffix), header);
  if (!writer) return writer.err();
  walk walking(*bytes, begin, keep_to);
  record_view record;
  while (walking.next(record)) {
    if (record.seq < base) continue;
    auto added = writer->add(record.whole, record.seq, record.subject, record.time);
    if (!added) return added.err();
    done.present.add(record.seq);
  }
  if (done.present.empty()) {
    auto removed = where.remove(path + std::string(suffix));
    if (!removed) return removed.err();
  } else {
    auto made = writer->finish(true, true);
    if (made) {
      auto synced = where.sync_dir(parent_of(path));
      if (!synced) return synced.err();
    }
    if (!made) return made.err();
    done.made = *made;
  }
  auto moved = quarantine(where, root, path);
  if (!moved) return moved.err();
  done.quarantined = *moved;
  if (done.made) {
    auto placed = take_place(where, path);
    if (!placed) return placed.err();
  }
  return done;
}

result<void> finish_salvage(disk& where, const std::string& root, stream_id stream, seq_no base) {
  std::string path = block_path(root, stream, base);
  if (where.exists(path) || !where.exists(path + std::string(suffix))) return ok();
  return take_place(where, path);
}

}  // namespace weir
