#include "storage/part_builder.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "storage/check.h"
#include "storage/crc32c.h"

namespace weir {

using namespace block_format;

namespace {

constexpr size_t table_min = 16;

void append_page(std::string& to, std::string_view content) {
  to.append(content);
  uint8_t crc[4];
  store_le<uint32_t>(crc, crc32c(as_bytes(content)));
  to.append(as_text(crc));
}

// The slots as hash << 32 | slot, rising: sorted digit by digit, because a comparison sort of a hundred thousand costs
// more than all the rest of a part's index.
std::vector<uint64_t> by_hash(const std::vector<block_slot>& slots) {
  constexpr unsigned digit_bits = 11;
  constexpr size_t digits = size_t{1} << digit_bits;
  std::vector<uint64_t> sorted(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) sorted[i] = uint64_t{slots[i].hash} << 32 | i;
  if (slots.size() < digits) {
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }
  std::vector<uint64_t> other(slots.size());
  for (unsigned shift = 32; shift < 64; shift += digit_bits) {
    uint32_t starts[digits] = {};
    const auto digit = [shift](uint64_t each) { return (each >> shift) & (digits - 1); };
    for (const uint64_t each : sorted) ++starts[digit(each)];
    uint32_t sum = 0;
    for (uint32_t& start : starts) sum += std::exchange(start, sum);
    for (const uint64_t each : sorted) other[starts[digit(each)]++] = each;
    sorted.swap(other);
  }
  return sorted;
}

}  // namespace

uint32_t part_builder::slot_of(std::string_view subject) {
  if (!rows_.empty() && name(rows_.back().slot) == subject) return rows_.back().slot;
  if (places_.size() * 4 >= table_.size() * 3) grow();
  const size_t full = std::hash<std::string_view>()(subject);
  const auto hash = static_cast<uint32_t>(full ^ (full >> 32));
  size_t at = hash & (table_.size() - 1);
  for (; table_[at] != 0; at = (at + 1) & (table_.size() - 1)) {
    const uint32_t slot = static_cast<uint32_t>(table_[at]) - 1;
    if (static_cast<uint32_t>(table_[at] >> 32) == hash && name(slot) == subject) return slot;
  }
  const auto slot = static_cast<uint32_t>(places_.size());
  table_[at] = uint64_t{hash} << 32 | (slot + 1);
  places_.push_back(place{static_cast<uint32_t>(names_.size()), static_cast<uint32_t>(subject.size())});
  names_ += subject;
  return slot;
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
  uint32_t slot = slot_of(subject);
  rows_.push_back(block_row{seq, static_cast<uint32_t>(offset), static_cast<uint32_t>(length), slot, time});
}

std::vector<block_slot> part_builder::slots() const {
  std::vector<block_slot> slots(places_.size());
  for (const block_row& row : rows_) {
    block_slot& slot = slots[row.slot];
    if (slot.count++ == 0) slot.first = row.seq;
    slot.last = row.seq;
    slot.last_length = row.length;
  }
  uint32_t postings = 0;
  for (uint32_t i = 0; i < slots.size(); ++i) {
    slots[i].hash = subject_hash(name(i));
    slots[i].postings = postings;
    slots[i].name_offset = places_[i].offset;
    slots[i].name_length = places_[i].length;
    postings += slots[i].count;
  }
  return slots;
}

std::vector<seq_no> part_builder::group_first() const {
  std::vector<seq_no> first;
  for (size_t i = 0; i < rows_.size(); i += group_rows) first.push_back(rows_[i].seq);
  return first;
}

std::string part_builder::content(const std::vector<block_slot>& slots) const {
  size_t groups = (rows_.size() + group_rows - 1) / group_rows;
  std::string bytes(
      rows_.size() * (row_bytes + posting_bytes) + slots.size() * (lookup_bytes + slot_bytes) + groups * group_bytes,
      '\0');
  auto* to = reinterpret_cast<uint8_t*>(bytes.data());
  for (const block_row& row : rows_) {
    encode_row(to, row, base_);
    to += row_bytes;
  }
  std::vector<uint32_t> next(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) next[i] = slots[i].postings;
  for (size_t i = 0; i < rows_.size(); ++i) {
    store_le<uint32_t>(to + posting_bytes * next[rows_[i].slot]++, static_cast<uint32_t>(i));
  }
  to += posting_bytes * rows_.size();
  for (const uint64_t each : by_hash(slots)) {
    store_le<uint32_t>(to, static_cast<uint32_t>(each >> 32));
    store_le<uint32_t>(to + 4, static_cast<uint32_t>(each));
    to += lookup_bytes;
  }
  for (size_t i = 0; i < rows_.size(); i += group_rows) {
    store_le<uint32_t>(to, static_cast<uint32_t>(rows_[i].seq.raw() - base_.raw()));
    to += group_bytes;
  }
  for (const block_slot& slot : slots) {
    encode_slot(to, slot, base_);
    to += slot_bytes;
  }
  bytes += names_;
  return bytes;
}

std::string part_builder::encode(part_info& info) const {
  WEIR_CHECK(!rows_.empty());
  std::vector<block_slot> all = slots();
  info.base = base_;
  info.rows = static_cast<uint32_t>(rows_.size());
  info.subjects = static_cast<uint32_t>(all.size());
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
  std::string inside = content(all);
  WEIR_CHECK(inside.size() == info.content_bytes());
  std::string bytes(marker_bytes, '\0');
  bytes.reserve(info.end() - info.marker);
  encode_marker(reinterpret_cast<uint8_t*>(bytes.data()), info);
  std::string_view left = inside;
  while (!left.empty()) {
    append_page(bytes, left.substr(0, page_content));
    left.remove_prefix(std::min(left.size(), page_content));
  }
  bytes.resize(bytes.size() + trailer_bytes);
  encode_trailer(reinterpret_cast<uint8_t*>(bytes.data()) + bytes.size() - trailer_bytes, info);
  WEIR_CHECK(info.marker + bytes.size() == info.end());
  return bytes;
}

}  // namespace weir
