#include "tools/versus/ledger.h"

#include <bit>

namespace weir {
namespace {

constexpr uint64_t word_bits = 64;

uint64_t count(const std::vector<uint64_t>& words) {
  uint64_t set = 0;
  for (uint64_t word : words) set += static_cast<uint64_t>(std::popcount(word));
  return set;
}

// How many of the first `bits` are set.
uint64_t count_first(const std::vector<uint64_t>& words, uint64_t bits) {
  uint64_t set = 0;
  for (uint64_t at = 0; at < words.size() && at * word_bits < bits; ++at) {
    uint64_t left = bits - at * word_bits;
    uint64_t word = left >= word_bits ? words[at] : words[at] & ((uint64_t{1} << left) - 1);
    set += static_cast<uint64_t>(std::popcount(word));
  }
  return set;
}

}  // namespace

bool ledger::take(uint32_t publisher, uint64_t number) {
  ++taken_;
  if (publisher >= publishers_max || number >= numbers_max) {
    ++foreign_;
    return false;
  }
  if (publisher >= came_.size()) came_.resize(publisher + 1);
  std::vector<uint64_t>& words = came_[publisher];
  uint64_t at = number / word_bits;
  if (at >= words.size()) words.resize(at + 1);
  uint64_t bit = uint64_t{1} << (number % word_bits);
  if ((words[at] & bit) != 0) {
    ++duplicates_;
    return false;
  }
  words[at] |= bit;
  return true;
}

void ledger::merge(const ledger& other) {
  taken_ += other.taken_;
  duplicates_ += other.duplicates_;
  foreign_ += other.foreign_;
  if (came_.size() < other.came_.size()) came_.resize(other.came_.size());
  for (size_t n = 0; n < other.came_.size(); ++n) {
    const std::vector<uint64_t>& from = other.came_[n];
    std::vector<uint64_t>& to = came_[n];
    if (to.size() < from.size()) to.resize(from.size());
    for (size_t at = 0; at < from.size(); ++at) {
      duplicates_ += static_cast<uint64_t>(std::popcount(to[at] & from[at]));
      to[at] |= from[at];
    }
  }
}

std::string ledger::difference(const std::vector<uint64_t>& sent) const {
  uint64_t missing = 0;
  uint64_t never_sent = foreign_;
  for (size_t n = 0; n < sent.size() || n < came_.size(); ++n) {
    uint64_t wanted = n < sent.size() ? sent[n] : 0;
    uint64_t in_range = n < came_.size() ? count_first(came_[n], wanted) : 0;
    missing += wanted - in_range;
    never_sent += n < came_.size() ? count(came_[n]) - in_range : 0;
  }
  if (missing + duplicates_ + never_sent == 0) return "";
  return std::to_string(missing) + " missing, " + std::to_string(duplicates_) + " twice, " +
         std::to_string(never_sent) + " never sent";
}

}  // namespace weir
