// Writing block files: a file that grows part by part.
//
// Blocking; runs on the pool lane, one writer a file. Nothing that was durable before is overwritten, so a writer that
// fails or is cut off leaves the block as it was (block::length). The caller syncs the directory of a new file.
#pragma once

#include <string>
#include <string_view>

#include "storage/block_format.h"
#include "storage/disk.h"
#include "storage/journal.h"
#include "storage/part_builder.h"

namespace weir {

class block_writer {
 public:
  // A new file; one of the same name that an unfinished checkpoint left is removed first.
  static result<block_writer> create(disk& where, const std::string& path, const block_header& header);
  // A new block that begins with a filled segment of the journal: the file gets a second name. What the segment holds
  // is then added by add_taken(), before anything else. `linked` says if there is a second name now, also after an
  // error.
  static result<block_writer> take_over(disk& where, const std::string& path, const block_header& header,
                                        const filled_segment& segment, bool& linked);
  // Goes on behind what counts of a block that is not closed.
  static result<block_writer> append(disk& where, const std::string& root, block_ref to);

  // What a writer that is done worked with, for the next one: fresh memory costs a page fault for every 4 KiB.
  struct memory {
    part_builder builder{seq_no()};
    chunk_ref piece;
  };
  void work_in(memory old);  // before the first add()
  memory take_memory() { return memory{std::move(builder_), std::move(piece_)}; }

  // In order of sequence, above what is there. Record and subject stay where they are until finish() or abandon();
  // records that stand one behind the other are copied in one go.
  result<void> add(byte_span record, seq_no seq, std::string_view subject, wall_ms time);
  // The same for a record that stands in the file already.
  void add_taken(uint64_t offset, size_t length, seq_no seq, std::string_view subject, wall_ms time) {
    builder_.add(seq, offset, length, subject, time);
  }
  // Messages and bytes in the file, with what was added.
  uint64_t rows() const { return (old_ ? old_->rows() : 0) + builder_.rows(); }
  uint64_t length() const { return written_ + filled_ - into_page() + held_.size(); }
  seq_no base() const { return made_.base; }

  // Writes the index and syncs. `seal`: the block is full. salvaged goes into the trailer's flags.
  result<block_ref> finish(bool seal, bool salvaged = false);
  // Gives the room of a failed append back, as far as the disk lets it.
  void abandon();
  // After a failed finish(): the sync itself failed, so this file must never be synced again.
  bool sync_failed() const { return sync_failed_; }

 private:
  block_writer(disk& where, std::string path, std::unique_ptr<file> to, block_ref old, block made, uint64_t begin);
  // Where in its page the first byte of the piece lies.
  size_t into_page() const { return written_ % disk::page_bytes; }
  result<void> put(byte_span bytes);
  result<void> put_held();
  result<void> write_piece();
  result<void> write_rest();
  part_builder merged(size_t absorbed);

  disk* where_;
  std::string path_;
  std::unique_ptr<file> to_;
  std::unique_ptr<file> pages_;  // the same file past the page cache, from the first full piece on
  block_ref old_;
  block made_;
  part_builder builder_;
  byte_span held_;   // added, behind the piece: where records stand in memory
  chunk_ref piece_;  // put, not yet written: pages of the file, the first of which begins at or before written_
  size_t filled_ = 0;
  uint64_t begin_ = 0;    // where the block's header stands
  uint64_t written_ = 0;  // bytes of the file
  bool sync_failed_ = false;
};

}  // namespace weir
