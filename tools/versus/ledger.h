// Which messages of which publisher came: what proves that a consumer got every message exactly once.
//
// One owner, one thread; a bit a message.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

class ledger {
 public:
  // False, and counted as a duplicate, if it came before. `publisher` is below publishers_max, `number` below
  // numbers_max; what is not counts as foreign.
  bool take(uint32_t publisher, uint64_t number);
  // What another one saw; what both saw came twice.
  void merge(const ledger& other);
  // What is wrong, in words, if publisher n sent `sent[n]` messages and each is to come once; empty: nothing.
  std::string difference(const std::vector<uint64_t>& sent) const;

  uint64_t taken() const { return taken_; }

  static constexpr uint32_t publishers_max = 1024;
  static constexpr uint64_t numbers_max = uint64_t{1} << 32;

 private:
  std::vector<std::vector<uint64_t>> came_;  // by publisher; bit n % 64 of word n / 64: number n
  uint64_t taken_ = 0;
  uint64_t duplicates_ = 0;
  uint64_t foreign_ = 0;
};

}  // namespace weir
