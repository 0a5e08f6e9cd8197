#include "storage/part_builder.h"

#include <algorithm>
#include <utility>

#include "storage/check.h"
#include "storage/crc32c.h"

namespace weir {

using namespace block_format;

// Cuts what it is given into checked pages.
class page_writer {
 public:
  explicit page_writer(const std::function<result<void>(byte_span)>& to) : to_(to) {}

  void put(const uint8_t* bytes, size_t size) {
    while (size > page_content - used_) {
      const size_t part = page_content - used_;
      std::memcpy(page_ + used_, bytes, part);
      used_ = page_content;
      end_page();
      bytes += part;
      size -= part;
    }
    std::memcpy(page_ + used_, bytes, size);
    used_ += size;
  }
  template <size_t Size, class Encode>
  void put_item(Encode encode) {
    uint8_t item[Size];
    encode(item);
    put(item, Size);
  }
  void put_u32(uint32_t value) {
    put_item<4>([value](uint8_t* to) { store_le<uint32_t>(to, value); });
  }
  // Of the last page.
  result<void> finish() {
    if (used_ > 0) end_page();
    return std::move(status_);
  }

 private:
  void end_page() {
    store_le<uint32_t>(page_ + used_, crc32c({page_, used_}));
    if (status_) status_ = to_({page_, used_ + 4});  // after a failure nothing counts
    used_ = 0;
  }

  const std::function<result<void>(byte_span)>& to_;
  result<void> status_;
  uint8_t page_[page_bytes];
  size_t used_ = 0;
};

namespace {

constexpr size_t table_min = 16;

// What stands for slots in the look-up table, hash << 32 | slot, put in order digit by digit: a comparison sort of a
// hundred thousand would cost as much as the rest of a part's index.
void sort_by_hash(std::vector<uint64_t>& items) {
  constexpr unsigned digit_bits = 11;
  constexpr size_t digits = size_t{1} << digit_bits;
  if (items.size() < digits) return std::sort(items.begin(), items.end());
  std::vector<uint64_t> other(items.size());
  for (unsigned shift = 32; shift < 64; shift += digit_bits) {
    uint32_t starts[digits] = {};
    const auto digit = [shift](uint64_t each) { return (each >> shift) & (digits - 1); };
    for (const uint64_t each : items) ++starts[digit(each)];
    uint32_t sum = 0;
    for (uint32_t& start : starts) sum += std::exchange(start, sum);
    for (const uint64_t each : items) other[starts[digit(each)]++] = each;
    items.swap(other);
  }
}

}  // namespace

void part_builder::restart(seq_no base) {
  base_ = base;
  rows_.clear();
  subjects_.clear();
  names_.clear();
  std::fill(table_.begin(), table_.end(), 0);
  waiting_count_ = 0;
}

bool part_builder::repeats(std::string_view subject) const {
  if (rows_.empty()) return false;
  const auto before = waiting_count_ > 0 ? waiting_[waiting_count_ - 1].subject : name(rows_.back().slot);
  return before == subject;
}

uint32_t part_builder::slot_of(const unresolved& row, uint32_t number) {
  if (subjects_.size() * 4 >= table_.size() * 3) grow();
  size_t at = row.hash & (table_.size() - 1);
  for (; table_[at] != 0; at = (at + 1) & (table_.size() - 1)) {
    const uint32_t slot = static_cast<uint32_t>(table_[at]) - 1;
    if (static_cast<uint32_t>(table_[at] >> 32) == row.hash && name(slot) == row.subject) return slot;
  }
  const auto slot = static_cast<uint32_t>(subjects_.size());
  table_[at] = uint64_t{row.hash} << 32 | (slot + 1);
  const auto length = static_cast<uint32_t>(row.subject.size());
  subjects_.push_back(entry{static_cast<uint32_t>(names_.size()), length, 0, number, number});
  names_ += row.subject;
  return slot;
}

void part_builder::resolve() {
  resolve_first(waiting_count_);
}

// Of those that wait.
void part_builder::resolve_first(size_t count) {
  auto number = static_cast<uint32_t>(rows_.size() - waiting_count_);
  for (size_t i = 0; i < count; ++i, ++number) {
    const uint32_t slot = waiting_[i].repeats ? rows_[number - 1].slot : slot_of(waiting_[i], number);
    rows_[number].slot = slot;
    ++subjects_[slot].count;
    subjects_[slot].last = number;
  }
  std::copy(waiting_.begin() + static_cast<ptrdiff_t>(count), waiting_.begin() + static_cast<ptrdiff_t>(waiting_count_),
            waiting_.begin());
  waiting_count_ -= count;
}

void part_builder::grow() {
  std::vector<uint64_t> old(std::max(table_min, table_.size() * 4));
  old.swap(table_);
  for (const uint64_t each : old) {
    if (each == 0) continue;
    size_t at = (each >> 32) & (table_.size() - 1);
    while (table_[at] != 0) at = (at + 1) & (table_.size() - 1);
    table_[at] = each;
  }
}

void part_builder::add(seq_no seq, uint64_t offset, size_t length, std::string_view subject, wall_ms time) {
  WEIR_CHECK(rows_.empty() || rows_.back().seq < seq);
  unresolved row{subject, 0, repeats(subject)};
  if (!row.repeats) {
    const size_t hash = std::hash<std::string_view>()(subject);
    row.hash = static_cast<uint32_t>(hash ^ (hash >> 32));
    if (!table_.empty()) __builtin_prefetch(&table_[row.hash & (table_.size() - 1)], 1);
  }
  rows_.push_back(block_row{seq, static_cast<uint32_t>(offset), static_cast<uint32_t>(length), 0, time});
  waiting_[waiting_count_++] = row;
  if (waiting_count_ == waiting_.size()) resolve_first(side_by_side);
}

std::vector<seq_no> part_builder::group_first() const {
  std::vector<seq_no> first;
  for (size_t i = 0; i < rows_.size(); i += group_rows) first.push_back(rows_[i].seq);
  return first;
}

// The rows of each subject, one subject after the other.
std::vector<uint32_t> part_builder::postings() const {
  std::vector<uint32_t> next(subjects_.size());
  uint32_t sum = 0;
  for (size_t i = 0; i < subjects_.size(); ++i) next[i] = std::exchange(sum, sum + subjects_[i].count);
  std::vector<uint32_t> all(rows_.size());
  for (uint32_t i = 0; i < rows_.size(); ++i) all[next[rows_[i].slot]++] = i;
  return all;
}

void part_builder::encode_content(page_writer& to) const {
  for (const block_row& row : rows_) {
    to.put_item<row_bytes>([&](uint8_t* item) { encode_row(item, row, base_); });
  }
  for (const uint32_t row : postings()) to.put_u32(row);
  std::vector<uint64_t> order(subjects_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = uint64_t{subject_hash(name(i))} << 32 | i;
  std::vector<uint32_t> hashes(order.size());
  for (size_t i = 0; i < order.size(); ++i) hashes[i] = static_cast<uint32_t>(order[i] >> 32);
  sort_by_hash(order);
  for (const uint64_t each : order) {
    to.put_u32(static_cast<uint32_t>(each >> 32));
    to.put_u32(static_cast<uint32_t>(each));
  }
  for (const seq_no first : group_first()) to.put_u32(static_cast<uint32_t>(first.raw() - base_.raw()));
  block_slot slot;
  for (size_t i = 0; i < subjects_.size(); ++i) {
    const entry& one = subjects_[i];
    slot.hash = hashes[i];
    slot.name_offset = one.name_offset;
    slot.name_length = one.name_length;
    slot.count = one.count;
    slot.first = rows_[one.first].seq;
    slot.last = rows_[one.last].seq;
    slot.last_length = rows_[one.last].length;
    to.put_item<slot_bytes>([&](uint8_t* item) { encode_slot(item, slot, base_); });
    slot.postings += one.count;
  }
  to.put(reinterpret_cast<const uint8_t*>(names_.data()), names_.size());
}

void part_builder::describe(part_info& info) const {
  info.base = base_;
  info.rows = static_cast<uint32_t>(rows_.size());
  info.subjects = static_cast<uint32_t>(subjects_.size());
  info.name_bytes = static_cast<uint32_t>(names_.size());
  info.first = rows_.front().seq;
  info.last = rows_.back().seq;
  info.time_min = info.time_max = rows_.front().time;
  info.record_bytes = 0;
  for (const block_row& row : rows_) {
    info.time_min = std::min(info.time_min, row.time);
    info.time_max = std::max(info.time_max, row.time);
    info.record_bytes += row.length;
  }
}

result<void> part_builder::encode(part_info& info, const std::function<result<void>(byte_span)>& to) {
  WEIR_CHECK(!rows_.empty());
  resolve();
  describe(info);
  uint8_t marker[marker_bytes];
  encode_marker(marker, info);
  auto written = to(marker);
  if (!written) return written;
  page_writer pages(to);
  encode_content(pages);
  written = pages.finish();
  if (!written) return written;
  uint8_t trailer[trailer_bytes];
  encode_trailer(trailer, info);
  return to(trailer);
}

}  // namespace weir
