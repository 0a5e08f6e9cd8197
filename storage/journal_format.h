// The bytes of a journal segment and its entries, as FORMAT.md tells them: encoded and decoded here and nowhere else.
#pragma once

#include <optional>
#include <vector>

#include "storage/bytes.h"
#include "storage/ids.h"

namespace weir {

// A segment begins with one page that holds its header twice, so that one damaged sector costs nothing.
inline constexpr uint64_t segment_data_offset = 4096;
inline constexpr uint64_t segment_header_copy = 2048;
inline constexpr size_t segment_header_size = 52;
inline constexpr uint64_t segment_bytes_min = 16 * 1024;
inline constexpr uint64_t segment_bytes_limit = 2ull << 30;  // positions within a batch are 32 bits

inline constexpr uint32_t journal_format_version = 1;

struct segment_header {
  uint32_t version = journal_format_version;
  uint64_t number = 0;    // never used twice; also the file's name
  uint64_t base_lsn = 0;  // lsn of the file's first byte
  uint64_t prev_end = 0;  // lsn where the data before this segment ends; all of that was synced before this was written
  uint64_t bytes = 0;     // size of the whole file
  uint32_t salt = 0;      // where the checksums of its entries start
};

// Writes the whole page of segment_data_offset bytes.
void encode_segment_header(uint8_t* page, const segment_header& header);
// One of the two copies; nothing if it is damaged. Of another version only that number is right.
std::optional<segment_header> decode_segment_header(byte_span copy);

// From a segment's first page: the first sound copy.
std::optional<segment_header> segment_header_of(byte_span page);

// An entry: this header, the payload, zeros up to a multiple of 8.
inline constexpr size_t entry_header_size = 32;
inline constexpr size_t entry_alignment = 8;
inline constexpr uint8_t entry_flag_previous_synced = 1;  // the batch before was synced before this one was written

struct entry_header {
  uint32_t crc = 0;
  uint32_t payload_bytes = 0;
  uint64_t at = 0;          // lsn of the entry
  uint32_t batch_back = 0;  // bytes from the first entry of its batch
  uint8_t kind = 0;
  uint8_t flags = 0;
  uint64_t stream = 0;
};

// A part of a group entry: this header, the payload, no padding.
inline constexpr size_t part_header_size = 16;
struct part_header {
  uint32_t payload_bytes = 0;
  uint8_t kind = 0;
  uint64_t stream = 0;
};
void encode_part_header(uint8_t* to, const part_header& header);
struct group_part {
  part_header header;
  size_t at = 0;  // of its payload in the group's
};
// The parts of a group's payload, in order; nothing if it is not a run of parts.
std::optional<std::vector<group_part>> group_parts(byte_span payload);

inline constexpr uint64_t entry_size(uint64_t payload_bytes) {
  return (entry_header_size + payload_bytes + entry_alignment - 1) / entry_alignment * entry_alignment;
}
// Everything but the checksum, which seal_entry adds once the payload stands behind the header.
void encode_entry_header(uint8_t* to, const entry_header& header);
void seal_entry(uint8_t* entry, size_t payload_bytes, uint32_t salt);
entry_header decode_entry_header(const uint8_t* from);
// True if the checksum of the entry (header and payload) is right.
bool entry_is_sound(byte_span header_and_payload, uint32_t salt);

}  // namespace weir
