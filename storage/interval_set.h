// A set of sequence numbers that lie in runs: what was removed from a stream, what of it was lost.
//
// Made for both ends: one long run (a pruned stream) and every second number (a key-value bucket whose keys are
// overwritten at random). The numbers are cut into pieces of 65,536; a piece is a sorted list of runs, or a bitmap of 8
// KiB once that is smaller. So a set never takes more than about one bit a number of the range it covers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/codec.h"
#include "storage/ids.h"

namespace weir {

class interval_set {
 public:
  interval_set();
  interval_set(const interval_set& other);
  interval_set(interval_set&& other) noexcept;
  interval_set& operator=(interval_set other) noexcept;
  ~interval_set();

  // Adds [from, to]; returns how many of them were not there.
  uint64_t add(seq_no from, seq_no to);
  bool add(seq_no seq) { return add(seq, seq) != 0; }
  // Removes [from, to]; returns how many of them were there.
  uint64_t erase(seq_no from, seq_no to);
  void clear();

  bool contains(seq_no seq) const;
  bool empty() const { return count_ == 0; }
  uint64_t count() const { return count_; }
  uint64_t count_in(seq_no from, seq_no to) const;
  // Lowest number at or after `from` that is not in the set.
  seq_no next_absent(seq_no from) const;
  // Lowest number at or after `from` that is in the set.
  std::optional<seq_no> next_present(seq_no from) const;

  void encode(byte_writer& to) const;
  // Marks the reader bad if the bytes are not a set.
  static interval_set decode(byte_reader& from);

  bool operator==(const interval_set& other) const;

 private:
  struct piece;
  using piece_ref = std::unique_ptr<piece>;

  size_t lower_bound(uint64_t key) const;
  piece& at(uint64_t key);

  std::vector<piece_ref> pieces_;  // sorted by key, none empty
  uint64_t count_ = 0;
};

}  // namespace weir
