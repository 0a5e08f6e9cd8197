#include "storage/block_salvage.h"

#include <algorithm>
#include <optional>

#include "storage/block_writer.h"
#include "storage/journal_format.h"
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
    for (;;) {
      while (auto size = index_size(at_)) at_ += *size;
      if (at_ >= bytes_.size()) return false;
      if (auto record = record_at(at_)) {
        found = *record;
        before_ = found.seq;
        at_ += found.whole.size();
        return true;
      }
      if (!step_over()) return false;
    }
  }

 private:
  static constexpr uint8_t record_tag = 0x22;
  static constexpr size_t length_bytes_max = 5;

  std::optional<record_view> record_at(size_t at) const {
    if (at >= bytes_.size() || bytes_[at] != record_tag) return std::nullopt;
    auto record = decode_record(bytes_.subspan(at));
    if (!record || record->seq <= before_ || record->seq > keep_to_) return std::nullopt;
    return *record;
  }

  // Past a damaged record. What lies inside of it is payload and must not be taken for records, so its own length is
  // believed if something sound stands behind it, or if it leads behind the end of a file that was cut. Only a record
  // whose length is damaged as well is searched for the next sound thing.
  bool step_over() {
    auto end = claimed_end();
    if (end && (index_size(*end) || record_at(*end))) {
      at_ = *end;
      return true;
    }
    if (end && *end >= bytes_.size() && !any_index_behind()) return false;
    while (++at_ < bytes_.size()) {
      if (index_size(at_) || record_at(at_)) return true;
    }
    return false;
  }

  // Where the record here says that it ends; nothing if it says no such thing.
  std::optional<size_t> claimed_end() const {
    if (bytes_[at_] != record_tag) return std::nullopt;
    uint64_t length = 0;
    for (size_t i = 0; i < length_bytes_max && at_ + 1 + i < bytes_.size(); ++i) {
      uint8_t byte = bytes_[at_ + 1 + i];
      length |= uint64_t{byte & 0x7fu} << (7 * i);
      if (byte < 0x80) return at_ + 2 + i + static_cast<size_t>(length);
    }
    return std::nullopt;
  }

  bool any_index_behind() const {
    for (size_t at = at_ + 1; at < bytes_.size(); ++at) {
      if (index_size(at)) return true;
    }
    return false;
  }

  // Bytes of the marker, index and trailer at `at`; nothing if a trailer does not stand where the marker says.
  std::optional<size_t> index_size(size_t at) const {
    if (at >= bytes_.size()) return std::nullopt;
    auto size = decode_marker(bytes_.subspan(at));
    if (!size || *size < marker_bytes + trailer_bytes || *size > bytes_.size() - at) return std::nullopt;
    size_t trailer = at + static_cast<size_t>(*size) - trailer_bytes;
    if (!decode_trailer(bytes_.subspan(trailer), trailer)) return std::nullopt;
    return static_cast<size_t>(*size);
  }

  byte_span bytes_;
  size_t at_;
  seq_no keep_to_;
  seq_no before_;
};

// Calls each(record) for the records of one stream in a segment of the journal. Only entries that are sound count: a
// record does not say whose it is.
class taken_segment {
 public:
  taken_segment(byte_span bytes, const segment_header& header, stream_id stream)
      : bytes_(bytes), header_(header), stream_(stream) {}

  template <class Each>
  result<void> for_each(Each each) const {
    for (uint64_t at = segment_data_offset; at + entry_header_size <= bytes_.size();) {
      const entry_header entry = decode_entry_header(bytes_.data() + at);
      if (!is_sound(at, entry)) {
        at += entry_alignment;
        continue;
      }
      auto done =
          in_payload(entry.kind, entry.stream, bytes_.subspan(at + entry_header_size, entry.payload_bytes), each);
      if (!done) return done;
      at += entry_size(entry.payload_bytes);
    }
    return ok();
  }

 private:
  bool is_sound(uint64_t at, const entry_header& entry) const {
    if (entry.at != header_.base_lsn + at || entry.payload_bytes > bytes_.size() - at - entry_header_size) return false;
    return entry_is_sound(bytes_.subspan(at, entry_header_size + entry.payload_bytes), header_.salt);
  }

  template <class Each>
  result<void> in_payload(uint8_t kind, uint64_t stream, byte_span payload, Each& each) const {
    if (static_cast<entry_kind>(kind) == entry_kind::group) {
      const auto parts = group_parts(payload);
      for (const group_part& part : parts ? *parts : std::vector<group_part>()) {
        auto done =
            in_payload(part.header.kind, part.header.stream, payload.subspan(part.at, part.header.payload_bytes), each);
        if (!done) return done;
      }
      return ok();
    }
    if (static_cast<entry_kind>(kind) != entry_kind::records || stream != stream_.raw()) return ok();
    while (!payload.empty()) {
      const auto record = decode_record(payload);
      if (!record) return ok();
      auto done = each(*record);
      if (!done) return done;
      payload = payload.subspan(record->whole.size());
    }
    return ok();
  }

  byte_span bytes_;
  segment_header header_;
  stream_id stream_;
};

// Where the header stands: the last trailer says it, else the first page.
uint64_t header_offset(byte_span bytes) {
  const uint64_t trailer = bytes.size() < trailer_bytes ? 0 : bytes.size() - trailer_bytes;
  const auto last = decode_trailer(bytes.subspan(trailer), trailer);
  const uint64_t offset = last ? last->begin : block_header_offset(bytes.first(std::min(header_page, bytes.size())));
  return std::min<uint64_t>(offset, bytes.size());
}

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
  const uint64_t at = header_offset(*bytes);
  const byte_span before = byte_span(*bytes).first(at);  // a segment that was taken over
  auto old = decode_block_header(byte_span(*bytes).subspan(at));
  const size_t begin = std::min(at + (old ? old->size : header_page), bytes->size());
  block_header header{stream, base, old ? old->header.label : std::string()};

  salvaged_block done;
  auto writer = block_writer::create(where, path + std::string(suffix), header);
  if (!writer) return writer.err();
  seq_no last;
  const auto keep = [&](const record_view& record) -> result<void> {
    if (record.seq < base || record.seq <= last || record.seq > keep_to) return ok();
    last = record.seq;
    done.present.add(record.seq);
    return writer->add(record.whole, record.seq, record.subject, record.time);
  };
  if (const auto segment = segment_header_of(before); segment) {
    auto kept = taken_segment(before, *segment, stream).for_each(keep);
    if (!kept) return kept.err();
  }
  walk walking(*bytes, begin, keep_to);
  record_view record;
  while (walking.next(record)) {
    auto kept = keep(record);
    if (!kept) return kept.err();
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
