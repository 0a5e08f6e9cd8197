#include "storage/block_format.h"

#include <charconv>
#include <cstdio>
#include <limits>

#include "storage/check.h"
#include "storage/crc32c.h"
#include "storage/journal_format.h"

namespace weir {

using namespace block_format;

namespace {

bool has_magic(byte_span bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && as_text(bytes.first(magic.size())) == magic;
}

void put_magic(uint8_t* to, std::string_view magic) {
  std::memcpy(to, magic.data(), magic.size());
}

uint32_t delta(seq_no seq, seq_no base) {
  uint64_t distance = seq.raw() - base.raw();
  WEIR_CHECK(seq >= base && distance <= std::numeric_limits<uint32_t>::max());
  return static_cast<uint32_t>(distance);
}

uint32_t header_crc(byte_span bytes, uint32_t label_bytes) {
  return crc32c(bytes.subspan(header_fixed, label_bytes), crc32c(bytes.first(header_fixed - 4)));
}

}  // namespace

// Header: magic 0, version 8, header bytes 12, stream 16, base 24, label bytes 32, crc 36, label 40.

std::string encode(const block_header& header) {
  size_t size = (header_fixed + header.label.size() + header_page - 1) / header_page * header_page;
  std::string bytes(size, '\0');
  auto* to = reinterpret_cast<uint8_t*>(bytes.data());
  put_magic(to, header_magic);
  store_le<uint32_t>(to + 8, version);
  store_le<uint32_t>(to + 12, static_cast<uint32_t>(size));
  store_le<uint64_t>(to + 16, header.stream.raw());
  store_le<uint64_t>(to + 24, header.base.raw());
  store_le<uint32_t>(to + 32, static_cast<uint32_t>(header.label.size()));
  std::memcpy(to + header_fixed, header.label.data(), header.label.size());
  store_le<uint32_t>(to + 36, header_crc(as_bytes(bytes), static_cast<uint32_t>(header.label.size())));
  return bytes;
}

std::optional<read_block_header> decode_block_header(byte_span bytes) {
  if (bytes.size() < header_page || !has_magic(bytes, header_magic)) return std::nullopt;
  const uint8_t* from = bytes.data();
  uint32_t label_bytes = load_le<uint32_t>(from + 32);
  if (load_le<uint32_t>(from + 8) != version || label_bytes > bytes.size() - header_fixed) return std::nullopt;
  if (load_le<uint32_t>(from + 36) != header_crc(bytes, label_bytes)) return std::nullopt;
  read_block_header read;
  read.size = load_le<uint32_t>(from + 12);
  read.header.stream = stream_id(load_le<uint64_t>(from + 16));
  read.header.base = seq_no(load_le<uint64_t>(from + 24));
  read.header.label = as_text(bytes.subspan(header_fixed, label_bytes));
  return read;
}

uint64_t block_header_offset(byte_span first_page) {
  if (has_magic(first_page, header_magic)) return 0;
  const auto segment = segment_header_of(first_page);
  return segment ? segment->bytes : 0;
}

// Row: offset 0, length 4, seq - base 8, slot 12, time 16.

void encode_row(uint8_t* to, const block_row& row, seq_no base) {
  store_le<uint32_t>(to, row.offset);
  store_le<uint32_t>(to + 4, row.length);
  store_le<uint32_t>(to + 8, delta(row.seq, base));
  store_le<uint32_t>(to + 12, row.slot);
  store_le<uint64_t>(to + 16, static_cast<uint64_t>(row.time.raw()));
}

block_row decode_row(const uint8_t* from, seq_no base) {
  block_row row;
  row.offset = load_le<uint32_t>(from);
  row.length = load_le<uint32_t>(from + 4);
  row.seq = seq_no(base.raw() + load_le<uint32_t>(from + 8));
  row.slot = load_le<uint32_t>(from + 12);
  row.time = wall_ms(static_cast<int64_t>(load_le<uint64_t>(from + 16)));
  return row;
}

// Slot: hash 0, name offset 4, name length 8, first posting 12, count 16, first - base 20, last - base 24, length of
// the last record 28.

void encode_slot(uint8_t* to, const block_slot& slot, seq_no base) {
  store_le<uint32_t>(to, slot.hash);
  store_le<uint32_t>(to + 4, slot.name_offset);
  store_le<uint32_t>(to + 8, slot.name_length);
  store_le<uint32_t>(to + 12, slot.postings);
  store_le<uint32_t>(to + 16, slot.count);
  store_le<uint32_t>(to + 20, delta(slot.first, base));
  store_le<uint32_t>(to + 24, delta(slot.last, base));
  store_le<uint32_t>(to + 28, slot.last_length);
}

block_slot decode_slot(const uint8_t* from, seq_no base) {
  block_slot slot;
  slot.hash = load_le<uint32_t>(from);
  slot.name_offset = load_le<uint32_t>(from + 4);
  slot.name_length = load_le<uint32_t>(from + 8);
  slot.postings = load_le<uint32_t>(from + 12);
  slot.count = load_le<uint32_t>(from + 16);
  slot.first = seq_no(base.raw() + load_le<uint32_t>(from + 20));
  slot.last = seq_no(base.raw() + load_le<uint32_t>(from + 24));
  slot.last_length = load_le<uint32_t>(from + 28);
  return slot;
}

uint32_t subject_hash(std::string_view name) {
  return crc32c(as_bytes(name));
}

// Trailer: magic 0, version 8, flags 12, level 16, rows 20, subjects 24, name bytes 28, stream 32, base 40, marker 48,
// previous 56, first 64, last 72, time min 80, time max 88, record bytes 96, begin 104, zeros 112, crc 124.

void encode_trailer(uint8_t* to, const part_info& part) {
  std::memset(to, 0, trailer_bytes);
  put_magic(to, trailer_magic);
  store_le<uint32_t>(to + 8, version);
  store_le<uint32_t>(to + 12, part.flags);
  store_le<uint32_t>(to + 16, part.level);
  store_le<uint32_t>(to + 20, part.rows);
  store_le<uint32_t>(to + 24, part.subjects);
  store_le<uint32_t>(to + 28, part.name_bytes);
  store_le<uint64_t>(to + 32, part.stream.raw());
  store_le<uint64_t>(to + 40, part.base.raw());
  store_le<uint64_t>(to + 48, part.marker);
  store_le<uint64_t>(to + 56, part.previous);
  store_le<uint64_t>(to + 64, part.first.raw());
  store_le<uint64_t>(to + 72, part.last.raw());
  store_le<uint64_t>(to + 80, static_cast<uint64_t>(part.time_min.raw()));
  store_le<uint64_t>(to + 88, static_cast<uint64_t>(part.time_max.raw()));
  store_le<uint64_t>(to + 96, part.record_bytes);
  store_le<uint64_t>(to + 104, part.begin);
  store_le<uint32_t>(to + trailer_bytes - 4, crc32c({to, trailer_bytes - 4}));
}

std::optional<part_info> decode_trailer(byte_span bytes, uint64_t offset) {
  if (bytes.size() < trailer_bytes || !has_magic(bytes, trailer_magic)) return std::nullopt;
  const uint8_t* from = bytes.data();
  if (load_le<uint32_t>(from + trailer_bytes - 4) != crc32c(bytes.first(trailer_bytes - 4))) return std::nullopt;
  if (load_le<uint32_t>(from + 8) != version) return std::nullopt;
  part_info part;
  part.flags = load_le<uint32_t>(from + 12);
  part.level = load_le<uint32_t>(from + 16);
  part.rows = load_le<uint32_t>(from + 20);
  part.subjects = load_le<uint32_t>(from + 24);
  part.name_bytes = load_le<uint32_t>(from + 28);
  part.stream = stream_id(load_le<uint64_t>(from + 32));
  part.base = seq_no(load_le<uint64_t>(from + 40));
  part.marker = load_le<uint64_t>(from + 48);
  part.previous = load_le<uint64_t>(from + 56);
  part.first = seq_no(load_le<uint64_t>(from + 64));
  part.last = seq_no(load_le<uint64_t>(from + 72));
  part.time_min = wall_ms(static_cast<int64_t>(load_le<uint64_t>(from + 80)));
  part.time_max = wall_ms(static_cast<int64_t>(load_le<uint64_t>(from + 88)));
  part.record_bytes = load_le<uint64_t>(from + 96);
  part.begin = load_le<uint64_t>(from + 104);
  bool sound = part.rows > 0 && part.subjects > 0 && part.base <= part.first && part.first <= part.last &&
               part.last.raw() - part.base.raw() <= std::numeric_limits<uint32_t>::max() &&
               part.last.raw() - part.first.raw() + 1 >= part.rows && part.subjects <= part.rows &&
               part.marker < offset && part.previous < part.marker && part.trailer() == offset;
  if (!sound) return std::nullopt;
  return part;
}

// Marker: magic 0, bytes of marker, index and trailer 4, zero 8, crc 12.

void encode_marker(uint8_t* to, const part_info& part) {
  put_magic(to, marker_magic);
  store_le<uint32_t>(to + 4, static_cast<uint32_t>(part.end() - part.marker));
  store_le<uint32_t>(to + 8, 0);
  store_le<uint32_t>(to + 12, crc32c({to, 12}));
}

std::optional<uint64_t> decode_marker(byte_span bytes) {
  if (bytes.size() < marker_bytes || !has_magic(bytes, marker_magic)) return std::nullopt;
  if (load_le<uint32_t>(bytes.data() + 12) != crc32c(bytes.first(12))) return std::nullopt;
  return load_le<uint32_t>(bytes.data() + 4);
}

uint64_t block::rows() const {
  uint64_t total = 0;
  for (const auto& part : parts) total += part->info.rows;
  return total;
}

uint64_t block::record_bytes() const {
  uint64_t total = 0;
  for (const auto& part : parts) total += part->info.record_bytes;
  return total;
}

// Names

namespace {

constexpr std::string_view block_prefix = "block-";
constexpr size_t stream_digits = 16;
constexpr size_t seq_digits = 20;

std::optional<uint64_t> number(std::string_view text, size_t digits, int base) {
  if (text.size() != digits) return std::nullopt;
  uint64_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string stream_dir(const std::string& root, stream_id stream) {
  char name[32];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(stream.raw()));
  return root + "/streams/" + name;
}

std::string block_path(const std::string& root, stream_id stream, seq_no base) {
  char name[40];
  std::snprintf(name, sizeof name, "/block-%020llu", static_cast<unsigned long long>(base.raw()));
  return stream_dir(root, stream) + name;
}

std::optional<stream_id> parse_stream_dir(std::string_view name) {
  if (name.ends_with('/')) name.remove_suffix(1);
  auto found = number(name, stream_digits, 16);
  if (!found) return std::nullopt;
  return stream_id(*found);
}

std::optional<seq_no> parse_block_name(std::string_view name) {
  if (!name.starts_with(block_prefix)) return std::nullopt;
  auto found = number(name.substr(block_prefix.size()), seq_digits, 10);
  if (!found) return std::nullopt;
  return seq_no(*found);
}

}  // namespace weir
