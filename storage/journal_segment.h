// The segment files of a journal: their names, and reading one back.
#pragma once

#include "storage/disk.h"
#include "storage/journal_format.h"

namespace weir {

// `journal/<number>.wj` holds entries; `journal/free-<n>.wj` holds nothing yet.
std::string segment_name(uint64_t number);
std::string free_segment_name(uint64_t n);
// The number in such a name; nothing for any other name.
std::optional<uint64_t> segment_number(const std::string& name);
std::optional<uint64_t> free_segment_number(const std::string& name);

// From the file of a segment; nothing if both copies are damaged.
result<std::optional<segment_header>> read_segment_header(file& from);

// One entry as it stands in a segment.
struct found_entry {
  uint64_t offset;  // in the file
  uint64_t end;     // where the next one may begin
  entry_header header;
  slice payload;

  // lsn of the first entry of its batch.
  uint64_t batch_start() const { return header.at - header.batch_back; }
  bool proves_what_is_before() const { return (header.flags & entry_flag_previous_synced) != 0; }
};

// Reads a segment through windows of window_bytes that the slices it gives out keep alive. What is past the end of a
// file that was cut reads as zeros. Never believes a length before its checksum: the largest window is the segment.
class segment_reader {
 public:
  static constexpr uint64_t window_bytes = 1 << 20;

  segment_reader(file& from, const segment_header& header) : file_(from), header_(header) {}

  // The sound entry at this offset, if there is one.
  std::optional<found_entry> entry_at(uint64_t offset);
  // The first sound entry at or after this offset.
  std::optional<found_entry> next_entry(uint64_t offset);
  // True if the header of an entry stands here, sound or not.
  bool looks_like_entry(uint64_t offset);
  bool is_zero_from(uint64_t offset);

  const segment_header& header() const { return header_; }
  uint64_t lsn_at(uint64_t offset) const { return header_.base_lsn + offset; }
  // Reading failed once: answers since then mean nothing.
  const result<void>& failure() const { return failure_; }

 private:
  const uint8_t* bytes_at(uint64_t offset, uint64_t size);
  bool load(uint64_t offset, uint64_t size);

  file& file_;
  segment_header header_;
  chunk_ref window_;
  uint64_t window_from_ = 0;
  uint64_t window_size_ = 0;
  result<void> failure_;
};

}  // namespace weir
