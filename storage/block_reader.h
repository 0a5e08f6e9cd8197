// Reading block files. Blocking; runs on the pool lane (and while a store opens), a file in one job at a time.
//
// Every byte that is used was checked: index pages by their own crc32c, records by theirs. data_loss: an index page (or
// trailer) is damaged and the block needs salvage; a damaged record is not an error but missing from the answer.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/block_format.h"
#include "storage/disk.h"

namespace weir {

class part_builder;

// Looks into the index of one part, reading its pages when they are first needed. After the first failure every answer
// is 0 or empty and status() says why.
class part_reader {
 public:
  part_reader(file& from, const part_info& part);

  result<void> status() const { return status_; }
  block_row row(uint32_t at);
  block_slot slot(uint32_t at);
  uint32_t posting(uint32_t at);
  std::string_view name(const block_slot& slot);
  // Slot of a subject; nothing if it has no record here.
  std::optional<uint32_t> find_subject(std::string_view name);
  seq_no group_first(uint32_t group);

  // Reads a range of the index's content at once, for what follows.
  void ahead(uint64_t from, uint64_t to);
  // Adds every row to the builder; false if it cannot.
  bool copy_rows(part_builder& to);

 private:
  const uint8_t* need(uint64_t offset, size_t size);
  void load_pages(uint64_t first, uint64_t last);
  uint32_t lookup_hash(uint32_t at);
  void fail_with(error why);
  void damaged();

  file& from_;
  const part_info& part_;
  std::unique_ptr<uint8_t[]> content_;  // pages land here; memory that is never touched costs nothing
  std::vector<bool> loaded_;
  result<void> status_;
};

// The block as its trailers say, up to `length` (nothing: to the end of the file). data_loss if a trailer is not there.
result<block> load_block(file& from, stream_id stream, seq_no base, std::optional<uint64_t> length);

// Calls each(name, slot) for every subject of a part.
result<void> for_each_subject(file& from, const block_part& part,
                              const std::function<void(std::string_view, const block_slot&)>& each);

// A run of up to group_rows rows, decoded. With names: row.slot is the index of its subject in `names`.
struct row_group {
  uint32_t first_row = 0;
  std::vector<block_row> rows;
  bool with_names = false;
  std::vector<std::string> names;
  std::vector<uint32_t> pieces;  // where the runs of rows begin that are read together, in this group
  size_t bytes() const;

  // The lowest row at or after seq; rows.size() if there is none.
  uint32_t first_at(seq_no seq) const;
  // The piece of a row, and the row behind a piece.
  uint32_t piece_of(uint32_t row) const;
  uint32_t end_of(uint32_t piece) const;
};
result<row_group> load_group(file& from, const block_part& part, uint32_t group, bool with_names);
// The group in which the lowest row at or after `seq` lies. seq <= last of the part.
uint32_t group_of(const block_part& part, seq_no seq);
// The last sequence that a group answers for: behind it there is none before the next group.
seq_no last_of(const block_part& part, uint32_t group, const row_group& rows);

// Rows of one subject in [from, to], at most `limit`: the lowest in order, or with `newest_first` the highest in
// descending order.
result<std::vector<block_row>> load_subject_rows(file& from, const block_part& part, std::string_view subject,
                                                 seq_no first, seq_no last, size_t limit, bool newest_first);

// The records of rows in order of offset, near ones read together. Nothing where a record is damaged or unreadable.
std::vector<std::optional<slice>> load_records(file& from, std::span<const block_row> rows);

// Records of neighbouring rows, read in one piece; nothing where one is damaged.
struct data_piece {
  uint32_t first_row = 0;  // in its group
  std::vector<std::optional<slice>> records;
  size_t bytes() const;
};

// A piece of a group, by its place in row_group::pieces.
struct loaded_piece {
  uint32_t number;
  std::shared_ptr<const data_piece> data;
};
struct loaded_group {
  uint32_t number;
  std::shared_ptr<const row_group> rows;
  std::vector<loaded_piece> pieces;
  seq_no through;  // the last one that was read, or behind which there is none before the next group
};
// For who reads on (the disk is told so): rows and records from the piece on in which the lowest row at or after `from`
// lies, until there are `bytes` of them or the part ends. from <= last of the part.
result<std::vector<loaded_group>> load_groups(file& source, const block_part& part, seq_no from, uint64_t bytes,
                                              bool with_names);

}  // namespace weir
