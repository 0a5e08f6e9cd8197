#include "storage/interval_set.h"

#include <algorithm>
#include <bit>

namespace weir {

namespace {

constexpr unsigned piece_bits = 16;
constexpr uint32_t piece_size = 1u << piece_bits;
constexpr size_t bitmap_words = piece_size / 64;
constexpr size_t runs_max = piece_size / 8 / sizeof(uint32_t);  // more runs take more room than the bitmap

uint64_t key_of(uint64_t number) {
  return number >> piece_bits;
}
uint32_t place_of(uint64_t number) {
  return static_cast<uint32_t>(number & (piece_size - 1));
}

// Bits [from, to] of one word, both below 64.
uint64_t mask(uint32_t from, uint32_t to) {
  return (~uint64_t{0} << from) & (~uint64_t{0} >> (63 - to));
}

// Calls each(word index, mask) for the words that [from, to] touches.
template <class Each>
void for_words(uint32_t from, uint32_t to, Each each) {
  for (uint32_t word = from / 64; word <= to / 64; ++word) {
    uint32_t low = word == from / 64 ? from % 64 : 0;
    uint32_t high = word == to / 64 ? to % 64 : 63;
    each(word, mask(low, high));
  }
}

}  // namespace

struct interval_set::piece {
  struct run {
    uint16_t first;
    uint16_t last;
    bool operator==(const run&) const = default;
  };

  uint64_t key = 0;
  uint32_t count = 0;
  std::vector<run> runs;
  std::vector<uint64_t> bits;  // not empty: instead of runs

  // First run that ends at or after `place`.
  size_t run_at(uint32_t place) const {
    auto found = std::lower_bound(runs.begin(), runs.end(), place, [](const run& r, uint32_t p) { return r.last < p; });
    return static_cast<size_t>(found - runs.begin());
  }

  uint32_t count_in(uint32_t from, uint32_t to) const {
    uint32_t total = 0;
    if (!bits.empty()) {
      for_words(from, to,
                [&](uint32_t word, uint64_t m) { total += static_cast<uint32_t>(std::popcount(bits[word] & m)); });
      return total;
    }
    for (size_t i = run_at(from); i < runs.size() && runs[i].first <= to; ++i) {
      total += std::min<uint32_t>(runs[i].last, to) - std::max<uint32_t>(runs[i].first, from) + 1;
    }
    return total;
  }

  void to_bits() {
    bits.assign(bitmap_words, 0);
    for (const run& each : runs) {
      for_words(each.first, each.last, [&](uint32_t word, uint64_t m) { bits[word] |= m; });
    }
    runs = {};
  }

  void add(uint32_t from, uint32_t to) {
    count += to - from + 1 - count_in(from, to);
    if (count == piece_size) {
      bits = {};
      runs.assign(1, run{0, static_cast<uint16_t>(piece_size - 1)});
      return;
    }
    if (!bits.empty()) {
      for_words(from, to, [&](uint32_t word, uint64_t m) { bits[word] |= m; });
      return;
    }
    // The runs that touch [from, to] become one.
    size_t first = run_at(from == 0 ? 0 : from - 1);
    size_t last = first;
    while (last < runs.size() && runs[last].first <= to + 1) ++last;
    run merged{static_cast<uint16_t>(from), static_cast<uint16_t>(to)};
    if (first < last) {
      merged.first = std::min(merged.first, runs[first].first);
      merged.last = std::max(merged.last, runs[last - 1].last);
      runs[first] = merged;
      runs.erase(runs.begin() + static_cast<ptrdiff_t>(first) + 1, runs.begin() + static_cast<ptrdiff_t>(last));
    } else {
      runs.insert(runs.begin() + static_cast<ptrdiff_t>(first), merged);
    }
    if (runs.size() > runs_max) to_bits();
  }

  void erase(uint32_t from, uint32_t to) {
    count -= count_in(from, to);
    if (!bits.empty()) {
      for_words(from, to, [&](uint32_t word, uint64_t m) { bits[word] &= ~m; });
      return;
    }
    std::vector<run> kept;
    for (const run& each : runs) {
      if (each.last < from || each.first > to) {
        kept.push_back(each);
        continue;
      }
      if (each.first < from) kept.push_back(run{each.first, static_cast<uint16_t>(from - 1)});
      if (each.last > to) kept.push_back(run{static_cast<uint16_t>(to + 1), each.last});
    }
    runs = std::move(kept);
    if (runs.size() > runs_max) to_bits();
  }

  // First place at or after `from` whose membership is `wanted`; piece_size if none.
  uint32_t next(uint32_t from, bool wanted) const {
    if (bits.empty()) {
      size_t i = run_at(from);
      bool inside = i < runs.size() && runs[i].first <= from;
      if (inside == wanted) return from;
      if (wanted) return i < runs.size() ? runs[i].first : piece_size;
      return runs[i].last + 1u;
    }
    for (uint32_t word = from / 64; word < bitmap_words; ++word) {
      uint64_t found = wanted ? bits[word] : ~bits[word];
      if (word == from / 64) found &= ~uint64_t{0} << (from % 64);
      if (found != 0) return word * 64 + static_cast<uint32_t>(std::countr_zero(found));
    }
    return piece_size;
  }
};

interval_set::interval_set() = default;
interval_set::~interval_set() = default;
interval_set::interval_set(interval_set&& other) noexcept
    : pieces_(std::move(other.pieces_)), count_(std::exchange(other.count_, 0)) {}

interval_set::interval_set(const interval_set& other) : count_(other.count_) {
  pieces_.reserve(other.pieces_.size());
  for (const auto& each : other.pieces_) pieces_.push_back(std::make_unique<piece>(*each));
}

interval_set& interval_set::operator=(interval_set other) noexcept {
  pieces_.swap(other.pieces_);
  std::swap(count_, other.count_);
  return *this;
}

void interval_set::clear() {
  pieces_ = std::vector<piece_ref>();
  count_ = 0;
}

size_t interval_set::lower_bound(uint64_t key) const {
  auto found = std::lower_bound(pieces_.begin(), pieces_.end(), key,
                                [](const piece_ref& each, uint64_t wanted) { return each->key < wanted; });
  return static_cast<size_t>(found - pieces_.begin());
}

interval_set::piece& interval_set::at(uint64_t key) {
  size_t i = lower_bound(key);
  if (i == pieces_.size() || pieces_[i]->key != key) {
    auto made = std::make_unique<piece>();
    made->key = key;
    pieces_.insert(pieces_.begin() + static_cast<ptrdiff_t>(i), std::move(made));
  }
  return *pieces_[i];
}

uint64_t interval_set::add(seq_no from, seq_no to) {
  if (from > to) return 0;
  uint64_t before = count_;
  for (uint64_t key = key_of(from.raw()); key <= key_of(to.raw()); ++key) {
    uint32_t low = key == key_of(from.raw()) ? place_of(from.raw()) : 0;
    uint32_t high = key == key_of(to.raw()) ? place_of(to.raw()) : piece_size - 1;
    piece& here = at(key);
    count_ -= here.count;
    here.add(low, high);
    count_ += here.count;
  }
  return count_ - before;
}

uint64_t interval_set::erase(seq_no from, seq_no to) {
  if (from > to) return 0;
  uint64_t before = count_;
  size_t first = lower_bound(key_of(from.raw()));
  size_t last = first;
  for (; last < pieces_.size() && pieces_[last]->key <= key_of(to.raw()); ++last) {
    piece& here = *pieces_[last];
    uint32_t low = here.key == key_of(from.raw()) ? place_of(from.raw()) : 0;
    uint32_t high = here.key == key_of(to.raw()) ? place_of(to.raw()) : piece_size - 1;
    count_ -= here.count;
    here.erase(low, high);
    count_ += here.count;
  }
  auto begin = pieces_.begin();
  auto dead = std::remove_if(begin + static_cast<ptrdiff_t>(first), begin + static_cast<ptrdiff_t>(last),
                             [](const piece_ref& each) { return each->count == 0; });
  pieces_.erase(dead, begin + static_cast<ptrdiff_t>(last));
  return before - count_;
}

bool interval_set::contains(seq_no seq) const {
  size_t i = lower_bound(key_of(seq.raw()));
  if (i == pieces_.size() || pieces_[i]->key != key_of(seq.raw())) return false;
  return pieces_[i]->next(place_of(seq.raw()), true) == place_of(seq.raw());
}

uint64_t interval_set::count_in(seq_no from, seq_no to) const {
  if (from > to) return 0;
  uint64_t total = 0;
  for (size_t i = lower_bound(key_of(from.raw())); i < pieces_.size() && pieces_[i]->key <= key_of(to.raw()); ++i) {
    const piece& here = *pieces_[i];
    uint32_t low = here.key == key_of(from.raw()) ? place_of(from.raw()) : 0;
    uint32_t high = here.key == key_of(to.raw()) ? place_of(to.raw()) : piece_size - 1;
    total += low == 0 && high == piece_size - 1 ? here.count : here.count_in(low, high);
  }
  return total;
}

seq_no interval_set::next_absent(seq_no from) const {
  uint64_t key = key_of(from.raw());
  uint32_t place = place_of(from.raw());
  for (size_t i = lower_bound(key);; ++i, ++key, place = 0) {
    if (i == pieces_.size() || pieces_[i]->key != key) break;
    uint32_t found = pieces_[i]->next(place, false);
    if (found < piece_size) return seq_no((key << piece_bits) + found);
  }
  return seq_no((key << piece_bits) + place);
}

std::optional<seq_no> interval_set::next_present(seq_no from) const {
  uint64_t key = key_of(from.raw());
  for (size_t i = lower_bound(key); i < pieces_.size(); ++i) {
    uint32_t place = pieces_[i]->key == key ? place_of(from.raw()) : 0;
    uint32_t found = pieces_[i]->next(place, true);
    if (found < piece_size) return seq_no((pieces_[i]->key << piece_bits) + found);
  }
  return std::nullopt;
}

bool interval_set::operator==(const interval_set& other) const {
  if (count_ != other.count_) return false;
  auto mine = next_present(seq_no(0));
  auto theirs = other.next_present(seq_no(0));
  while (mine && mine == theirs) {
    seq_no end = next_absent(*mine);
    if (end != other.next_absent(*theirs)) return false;
    mine = next_present(end);
    theirs = other.next_present(end);
  }
  return mine == theirs;
}

namespace {
constexpr uint8_t kind_runs = 0;
constexpr uint8_t kind_bitmap = 1;
}  // namespace

void interval_set::encode(byte_writer& to) const {
  to.varint(pieces_.size());
  uint64_t before = 0;
  for (const auto& each : pieces_) {
    to.varint(each->key - before);
    before = each->key;
    to.u8(each->bits.empty() ? kind_runs : kind_bitmap);
    for (uint64_t word : each->bits) to.u64(word);
    if (!each->bits.empty()) continue;
    to.varint(each->runs.size());
    uint32_t end = 0;
    for (const piece::run& run : each->runs) {
      to.varint(run.first - end);
      to.varint(static_cast<uint32_t>(run.last - run.first));
      end = run.last;
    }
  }
}

interval_set interval_set::decode(byte_reader& from) {
  interval_set made;
  uint64_t pieces = from.varint();
  uint64_t key = 0;
  for (uint64_t i = 0; i < pieces && from.good(); ++i) {
    uint64_t step = from.varint();
    if ((i != 0 && step == 0) || step > key_of(~uint64_t{0}) - key) from.bad();
    key += step;
    auto here = std::make_unique<piece>();
    here->key = key;
    if (from.u8() == kind_bitmap) {
      here->bits.resize(bitmap_words);
      for (uint64_t& word : here->bits) word = from.u64();
      for (uint64_t word : here->bits) here->count += static_cast<uint32_t>(std::popcount(word));
    } else {
      uint64_t runs = from.varint();
      uint64_t end = 0;
      for (uint64_t r = 0; r < runs && from.good(); ++r) {
        uint64_t first = end + std::min<uint64_t>(from.varint(), piece_size);
        uint64_t last = first + std::min<uint64_t>(from.varint(), piece_size);
        if (last >= piece_size || (r != 0 && first <= end)) from.bad();
        if (!from.good()) break;
        here->runs.push_back(piece::run{static_cast<uint16_t>(first), static_cast<uint16_t>(last)});
        here->count += static_cast<uint32_t>(last - first + 1);
        end = last;
      }
    }
    if (here->count == 0) from.bad();
    made.count_ += here->count;
    made.pieces_.push_back(std::move(here));
  }
  return from.good() ? std::move(made) : interval_set();
}

}  // namespace weir
