// Writing block files: the index of a part, and a file that grows part by part.
//
// Blocking; runs on the pool lane, one writer a file. Nothing that was durable before is overwritten, so a writer that
// fails or is cut off leaves the block as it was (block::length). The caller syncs the directory of a new file.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "storage/block_format.h"
#include "storage/disk.h"

namespace weir {

// Collects the rows of one part and encodes its index.
class part_builder {
 public:
  explicit part_builder(seq_no base) : base_(base) {}
  part_builder(part_builder&&) = default;
  part_builder& operator=(part_builder&&) = default;

  // In order of sequence.
  void add(seq_no seq, uint64_t offset, size_t length, std::string_view subject, wall_ms time);
  size_t rows() const { return rows_.size(); }
  // Subject of each row, as added.
  std::string_view subject_of(size_t row) const { return names_[rows_[row].slot]; }
  const block_row& row(size_t at) const { return rows_[at]; }

  // Marker, index pages and trailer. The caller fills in flags, level, stream, marker and previous; the rest is set.
  std::string encode(part_info& info) const;
  std::vector<seq_no> group_first() const;

 private:
  uint32_t slot_of(std::string_view subject);
  std::vector<block_slot> slots() const;
  std::string content(const std::vector<block_slot>& slots) const;

  seq_no base_;
  std::vector<block_row> rows_;
  std::deque<std::string> names_;  // by slot; never move, so the map's keys stay
  std::unordered_map<std::string_view, uint32_t> slots_by_name_;
  size_t name_bytes_ = 0;
};

class block_writer {
 public:
  // A new file; one of the same name that an unfinished checkpoint left is removed first.
  static result<block_writer> create(disk& where, const std::string& path, const block_header& header);
  // Goes on behind what counts of a block that is not closed.
  static result<block_writer> append(disk& where, const std::string& root, block_ref to);

  // In order of sequence, above what is there. The record stays where it is until finish() or abandon(): those that
  // stand one behind the other are written from there.
  result<void> add(byte_span record, seq_no seq, std::string_view subject, wall_ms time);
  // Messages and bytes in the file, with what was added.
  uint64_t rows() const { return (old_ ? old_->rows() : 0) + builder_.rows(); }
  uint64_t length() const { return written_ + buffer_.size() + held_.size(); }
  seq_no base() const { return made_.base; }

  // Writes the index and syncs. `seal`: the block is full. salvaged goes into the trailer's flags.
  result<block_ref> finish(bool seal, bool salvaged = false);
  // Gives the room of a failed append back, as far as the disk lets it.
  void abandon();
  // After a failed finish(): the sync itself failed, so this file must never be synced again.
  bool sync_failed() const { return sync_failed_; }

 private:
  block_writer(std::unique_ptr<file> to, block_ref old, block made);
  result<void> write_out();
  result<void> write_held();
  part_builder merged(size_t absorbed);

  std::unique_ptr<file> to_;
  block_ref old_;
  block made_;
  part_builder builder_;
  std::string buffer_;  // added, not yet written
  byte_span held_;      // behind it: where records stand in memory
  uint64_t written_ = 0;
  bool sync_failed_ = false;
};

}  // namespace weir
