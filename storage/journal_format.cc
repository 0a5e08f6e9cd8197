#include "storage/journal_format.h"

#include "storage/crc32c.h"

namespace weir {
namespace {

constexpr std::string_view segment_magic = "WEIRJRN1";
constexpr size_t segment_crc_at = segment_header_size - 4;

}  // namespace

void encode_segment_header(uint8_t* page, const segment_header& header) {
  std::memset(page, 0, segment_data_offset);
  std::memcpy(page, segment_magic.data(), segment_magic.size());
  store_le(page + 8, header.version);
  store_le(page + 12, header.salt);
  store_le(page + 16, header.number);
  store_le(page + 24, header.base_lsn);
  store_le(page + 32, header.prev_end);
  store_le(page + 40, header.bytes);
  store_le(page + segment_crc_at, crc32c({page, segment_crc_at}));
  std::memcpy(page + segment_header_copy, page, segment_header_size);
}

std::optional<segment_header> decode_segment_header(byte_span copy) {
  if (copy.size() < segment_header_size) return std::nullopt;
  const uint8_t* from = copy.data();
  if (as_text(copy.first(segment_magic.size())) != segment_magic) return std::nullopt;
  if (load_le<uint32_t>(from + segment_crc_at) != crc32c(copy.first(segment_crc_at))) return std::nullopt;
  segment_header header;
  header.version = load_le<uint32_t>(from + 8);
  if (header.version != journal_format_version) return header;
  header.salt = load_le<uint32_t>(from + 12);
  header.number = load_le<uint64_t>(from + 16);
  header.base_lsn = load_le<uint64_t>(from + 24);
  header.prev_end = load_le<uint64_t>(from + 32);
  header.bytes = load_le<uint64_t>(from + 40);
  bool sane = header.bytes >= segment_bytes_min && header.bytes <= segment_bytes_limit &&
              header.bytes % segment_data_offset == 0 && header.base_lsn % segment_data_offset == 0 &&
              header.base_lsn < UINT64_MAX - segment_bytes_limit && header.prev_end <= header.base_lsn;
  if (!sane) return std::nullopt;
  return header;
}

std::optional<segment_header> segment_header_of(byte_span page) {
  for (const uint64_t copy : {uint64_t{0}, segment_header_copy}) {
    if (page.size() < copy + segment_header_size) break;
    auto header = decode_segment_header(page.subspan(copy, segment_header_size));
    if (header) return header;
  }
  return std::nullopt;
}

void encode_entry_header(uint8_t* to, const entry_header& header) {
  store_le(to + 4, header.payload_bytes);
  store_le(to + 8, header.at);
  store_le(to + 16, header.batch_back);
  to[20] = header.kind;
  to[21] = header.flags;
  store_le(to + 22, uint16_t{0});
  store_le(to + 24, header.stream);
}

void seal_entry(uint8_t* entry, size_t payload_bytes, uint32_t salt) {
  size_t used = entry_header_size + payload_bytes;
  std::memset(entry + used, 0, entry_size(payload_bytes) - used);
  store_le(entry, crc32c({entry + 4, used - 4}, salt));
}

entry_header decode_entry_header(const uint8_t* from) {
  entry_header header;
  header.crc = load_le<uint32_t>(from);
  header.payload_bytes = load_le<uint32_t>(from + 4);
  header.at = load_le<uint64_t>(from + 8);
  header.batch_back = load_le<uint32_t>(from + 16);
  header.kind = from[20];
  header.flags = from[21];
  header.stream = load_le<uint64_t>(from + 24);
  return header;
}

void encode_part_header(uint8_t* to, const part_header& header) {
  store_le(to, header.payload_bytes);
  to[4] = header.kind;
  std::memset(to + 5, 0, 3);
  store_le(to + 8, header.stream);
}

std::optional<std::vector<group_part>> group_parts(byte_span payload) {
  std::vector<group_part> found;
  for (size_t at = 0; at < payload.size();) {
    if (payload.size() - at < part_header_size) return std::nullopt;
    const uint8_t* from = payload.data() + at;
    group_part part;
    part.header.payload_bytes = load_le<uint32_t>(from);
    part.header.kind = from[4];
    part.header.stream = load_le<uint64_t>(from + 8);
    part.at = at + part_header_size;
    if (part.header.payload_bytes > payload.size() - part.at) return std::nullopt;
    at = part.at + part.header.payload_bytes;
    found.push_back(part);
  }
  return found;
}

bool entry_is_sound(byte_span header_and_payload, uint32_t salt) {
  return load_le<uint32_t>(header_and_payload.data()) == crc32c(header_and_payload.subspan(4), salt);
}

}  // namespace weir
