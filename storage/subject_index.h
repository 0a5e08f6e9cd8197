// The subjects of one stream: how many live messages each has, and where the first and the last of them are.
//
// Owned by its stream_log, which keeps the numbers right; this is the container. A known subject costs one hash
// look-up, listing a prefix costs what it lists. About 110 bytes a subject beside its name. A subject without live
// messages is erased. Ordinals are reused after erase(); names never move while their subject lives.
//
// With a million subjects each step of a look-up (slot, line, name) waits for memory. find_or_add() of many takes the
// same step for all of them before the next, so that they wait together.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/huge_pages.h"
#include "storage/stream_log.h"

namespace weir {

class subject_index {
 public:
  using ordinal = uint32_t;
  static constexpr ordinal none = ~ordinal{0};

  // A subject's line. 0 bytes: not known without reading the block. stale: `first` / `last` was removed and the next
  // one is not known yet; the true one lies above / below.
  struct alignas(64) line : subject_info {
    uint32_t last_bytes = 0;
    bool first_stale = false;
    bool last_stale = false;
  };

  subject_index() = default;
  subject_index(const subject_index&) = delete;
  subject_index& operator=(const subject_index&) = delete;

  ordinal find(std::string_view name) const;
  // The subject's ordinal; a new line is empty.
  ordinal find_or_add(std::string_view name) { return find_or_add(name, hash_of(name)); }
  // The same for the subjects of a run, in their order; cheapest where all of them are the very same bytes.
  void find_or_add(const std::vector<record_fields>& run, std::vector<ordinal>& to);
  line& at(ordinal which) { return const_cast<line&>(std::as_const(*this).at(which)); }
  const line& at(ordinal which) const {
    if (which < lines_in_chunks) return chunks_[which / chunk_lines][which % chunk_lines];
    const ordinal beyond = which - lines_in_chunks;
    return large_chunks_[beyond / large_chunk_lines][beyond % large_chunk_lines];
  }
  // Whether the ordinal was ever given out since the last clear(); an erased line is empty.
  bool knows(ordinal which) const { return which < lines_; }
  void erase(ordinal which);
  void clear();

  size_t size() const { return size_; }
  // In byte order of names; stops when `each` returns false. Nothing may be added or erased meanwhile.
  void for_each(std::string_view prefix, const std::function<bool(const line&)>& each) const;

 private:
  static constexpr ordinal chunk_lines = 16;
  // More lines than these lie in large chunks, two huge pages each.
  static constexpr ordinal lines_in_chunks = 1 << 17;
  static constexpr ordinal large_chunk_lines = 1 << 16;

  static uint32_t hash_of(std::string_view name);
  ordinal find_or_add(std::string_view name, uint32_t hash);
  // The line that the name with this hash most probably has; none if it is not known.
  ordinal likely(uint32_t hash) const;
  size_t home_of(uint32_t hash) const { return hash & (slots_.size() - 1); }
  size_t slot_of(std::string_view name, uint32_t hash) const;
  void grow();
  ordinal take_line(std::string_view name);
  // The leaf that holds the name or would hold it; the place in it.
  size_t leaf_of(std::string_view name) const;
  size_t place_in(const std::vector<ordinal>& leaf, std::string_view name) const;
  void insert_ordered(ordinal which);
  void erase_ordered(ordinal which);

  using slot_table = std::vector<uint64_t, huge_pages<uint64_t>>;
  using large_chunk = std::vector<line, huge_pages<line>>;

  slot_table slots_;  // open addressing: hash << 32 | ordinal + 1; 0 is free
  std::vector<std::unique_ptr<line[]>> chunks_;
  std::vector<large_chunk> large_chunks_;
  std::vector<ordinal> free_;
  std::vector<std::vector<ordinal>> leaves_;  // all ordinals in order of name, in short runs, none empty
  std::vector<std::unique_ptr<char[]>> names_;
  size_t size_ = 0;
  ordinal lines_ = 0;  // ordinals ever used
};

}  // namespace weir
