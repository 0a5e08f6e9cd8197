// The bytes of a block file (FORMAT.md, "Block files"): a header page, then parts. A part is a run of records back to
// back, a marker, the index of the part in checked pages, and a trailer. Before the header there may be a whole segment
// of the journal that the block took over; the records of the first part then stand in its entries.
//
// A part's index may cover records of parts before it (their own indexes are then dead bytes); the chain of trailers
// from the last one back by `previous` covers every record once. A file only grows: what a snapshot has seen stays.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/bytes.h"
#include "storage/ids.h"
#include "storage/time.h"

namespace weir {

namespace block_format {
inline constexpr std::string_view header_magic = "WEIRBLK1";
inline constexpr std::string_view trailer_magic = "WEIRPRT1";
inline constexpr std::string_view marker_magic = "WXPT";
inline constexpr uint32_t version = 1;
inline constexpr size_t header_page = 4096;
inline constexpr size_t header_fixed = 40;
inline constexpr size_t marker_bytes = 16;
inline constexpr size_t trailer_bytes = 128;
inline constexpr size_t page_bytes = 4096;  // of an index: content and, in the last four bytes, its crc32c
inline constexpr size_t page_content = page_bytes - 4;
inline constexpr size_t row_bytes = 24;
inline constexpr size_t posting_bytes = 4;
inline constexpr size_t lookup_bytes = 8;
inline constexpr size_t group_bytes = 4;
inline constexpr size_t slot_bytes = 32;
inline constexpr uint32_t group_rows = 1024;
inline constexpr uint64_t file_bytes_max = 1ull << 31;  // offsets are u32
inline constexpr size_t label_bytes_max = 1 << 20;
}  // namespace block_format

struct block_header {
  stream_id stream;
  seq_no base;
  std::string label;
};
std::string encode(const block_header& header);
// From the start of a file; nothing if it is damaged. `size`: where the records begin.
struct read_block_header {
  block_header header;
  uint32_t size;
};
std::optional<read_block_header> decode_block_header(byte_span bytes);

// Where the header stands in a file whose first page this is: at 0, or behind the segment that was taken over.
uint64_t block_header_offset(byte_span first_page);

// One record of a part.
struct block_row {
  seq_no seq;
  uint32_t offset = 0;  // in the file
  uint32_t length = 0;
  uint32_t slot = 0;  // its subject
  wall_ms time;
};
void encode_row(uint8_t* to, const block_row& row, seq_no base);
block_row decode_row(const uint8_t* from, seq_no base);

// One subject of a part. Slots stand in the order of their first record.
struct block_slot {
  uint32_t hash = 0;
  uint32_t name_offset = 0;
  uint32_t name_length = 0;
  uint32_t postings = 0;  // index of its first posting
  uint32_t count = 0;
  seq_no first;
  seq_no last;
  uint32_t last_length = 0;  // of its last record
};
void encode_slot(uint8_t* to, const block_slot& slot, seq_no base);
block_slot decode_slot(const uint8_t* from, seq_no base);
uint32_t subject_hash(std::string_view name);

// What a trailer says of its part.
struct part_info {
  static constexpr uint32_t sealed = 1;    // nothing is appended to this file any more
  static constexpr uint32_t salvaged = 2;  // written by repairing a damaged file
  uint32_t flags = 0;
  uint32_t level = 0;  // how often its rows were merged
  stream_id stream;
  seq_no base;            // of the file
  uint64_t marker = 0;    // offset in the file
  uint64_t previous = 0;  // offset of the trailer before in the chain; 0: none
  seq_no first;
  seq_no last;
  wall_ms time_min;
  wall_ms time_max;
  uint64_t record_bytes = 0;
  uint64_t begin = 0;  // where the header stands
  uint32_t rows = 0;
  uint32_t subjects = 0;
  uint32_t name_bytes = 0;

  uint32_t groups() const { return (rows + block_format::group_rows - 1) / block_format::group_rows; }
  bool dense() const { return last.raw() - first.raw() + 1 == rows; }

  // Sections of the index, as offsets in its content.
  uint64_t rows_at() const { return 0; }
  uint64_t postings_at() const { return uint64_t{rows} * block_format::row_bytes; }
  uint64_t lookup_at() const { return postings_at() + uint64_t{rows} * block_format::posting_bytes; }
  uint64_t groups_at() const { return lookup_at() + uint64_t{subjects} * block_format::lookup_bytes; }
  uint64_t slots_at() const { return groups_at() + uint64_t{groups()} * block_format::group_bytes; }
  uint64_t names_at() const { return slots_at() + uint64_t{subjects} * block_format::slot_bytes; }
  uint64_t content_bytes() const { return names_at() + name_bytes; }
  uint64_t pages() const { return (content_bytes() + block_format::page_content - 1) / block_format::page_content; }
  uint64_t pages_at() const { return marker + block_format::marker_bytes; }
  uint64_t trailer() const { return pages_at() + content_bytes() + 4 * pages(); }
  uint64_t end() const { return trailer() + block_format::trailer_bytes; }
};
void encode_trailer(uint8_t* to, const part_info& part);
// Nothing if the bytes are not a whole trailer that lies at `offset`.
std::optional<part_info> decode_trailer(byte_span bytes, uint64_t offset);

void encode_marker(uint8_t* to, const part_info& part);
// Bytes of marker, index and trailer together; nothing if this is not a marker.
std::optional<uint64_t> decode_marker(byte_span bytes);

// A part whose file is known to hold it: the trailer and, where sequences have gaps, the first of each row group.
struct block_part {
  part_info info;
  std::vector<seq_no> group_first;  // empty if dense
  uint64_t uid = 0;                 // key of its cached groups; set by the store
};

// A block file as far as it counts: bytes behind `length` are leftovers of a checkpoint that did not end.
struct block {
  stream_id stream;
  seq_no base;
  uint64_t length = 0;
  bool closed = false;    // nothing may be appended: full, salvaged, or a sync failed
  uint64_t file_uid = 0;  // changes when another file takes its place; set by the store
  std::vector<std::shared_ptr<const block_part>> parts;

  seq_no first() const { return parts.front()->info.first; }
  seq_no last() const { return parts.back()->info.last; }
  uint64_t rows() const;
  uint64_t record_bytes() const;
};
using block_ref = std::shared_ptr<const block>;

// Paths below the store's directory.
std::string stream_dir(const std::string& root, stream_id stream);
std::string block_path(const std::string& root, stream_id stream, seq_no base);
// From the names that list() gives; nothing if they are not ours.
std::optional<stream_id> parse_stream_dir(std::string_view name);
std::optional<seq_no> parse_block_name(std::string_view name);

}  // namespace weir
