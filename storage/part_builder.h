// Collects the rows of one part of a block file and encodes its index.
//
// Owned by who writes the part, on the pool lane. A part may have as many subjects as records, so a subject is one
// entry of a flat table and its name's bytes stand where the index will have them.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/block_format.h"
#include "storage/result.h"

namespace weir {

class part_builder {
 public:
  explicit part_builder(seq_no base) : base_(base) {}
  part_builder(part_builder&&) = default;
  part_builder& operator=(part_builder&&) = default;

  // Empty again, and keeps its memory.
  void restart(seq_no base);

  // In order of sequence. The subject's bytes stay where they are until resolve() or encode().
  void add(seq_no seq, uint64_t offset, size_t length, std::string_view subject, wall_ms time);
  size_t rows() const { return rows_.size(); }
  // Looks up the subjects of all rows: before the next two are asked for.
  void resolve();
  // Subject of each row, as added. Valid until the next add().
  std::string_view subject_of(size_t row) const { return name(rows_[row].slot); }
  const block_row& row(size_t at) const { return rows_[at]; }

  // Hands marker, index pages and trailer to `to`, piece by piece; fails with what that fails with. The caller fills in
  // flags, level, stream, marker and previous; the rest is set.
  result<void> encode(part_info& info, const std::function<result<void>(byte_span)>& to);
  std::vector<seq_no> group_first() const;

 private:
  struct entry {
    uint32_t name_offset;
    uint32_t name_length;
    uint32_t count;
    uint32_t first;  // row
    uint32_t last;
  };
  struct unresolved {
    std::string_view subject;
    uint32_t hash;
    bool repeats;  // the subject of the row before
  };
  static constexpr size_t side_by_side = 16;  // and as many more are on their way from memory

  std::string_view name(uint32_t slot) const {
    return std::string_view(names_).substr(subjects_[slot].name_offset, subjects_[slot].name_length);
  }
  bool repeats(std::string_view subject) const;
  void resolve_first(size_t count);
  uint32_t slot_of(const unresolved& row, uint32_t number);
  void grow();
  void describe(part_info& info) const;
  std::vector<uint32_t> postings() const;
  void encode_content(class page_writer& to) const;

  seq_no base_;
  std::vector<block_row> rows_;
  std::vector<entry> subjects_;  // by slot
  std::string names_;            // of all slots, in their order
  std::vector<uint64_t> table_;  // open addressing: hash << 32 | slot + 1; 0 is free
  std::array<unresolved, 2 * side_by_side> waiting_;
  size_t waiting_count_ = 0;  // the last rows
};

}  // namespace weir
