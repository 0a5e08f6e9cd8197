#include "storage/journal_segment.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace weir {
namespace {

constexpr std::string_view extension = ".wj";
constexpr std::string_view free_prefix = "free-";

// The number between the two, in its only form: no sign, no leading zero.
std::optional<uint64_t> number_between(std::string_view name, std::string_view before, std::string_view after) {
  if (!name.starts_with(before) || !name.ends_with(after) || name.size() <= before.size() + after.size()) {
    return std::nullopt;
  }
  std::string_view digits = name.substr(before.size(), name.size() - before.size() - after.size());
  uint64_t number = 0;
  auto [end, fault] = std::from_chars(digits.begin(), digits.end(), number);
  bool whole = fault == std::errc() && end == digits.end() && digits == std::to_string(number);
  return whole ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string segment_name(uint64_t number) {
  return std::to_string(number) + std::string(extension);
}

std::string free_segment_name(uint64_t n) {
  return std::string(free_prefix) + std::to_string(n) + std::string(extension);
}

std::optional<uint64_t> segment_number(const std::string& name) {
  return number_between(name, "", extension);
}

std::optional<uint64_t> free_segment_number(const std::string& name) {
  return number_between(name, free_prefix, extension);
}

result<std::optional<segment_header>> read_segment_header(file& from) {
  std::array<uint8_t, segment_data_offset> page{};
  auto got = from.read_at(0, page);
  if (!got) return got.err();
  return segment_header_of(byte_span(page).first(*got));
}

bool segment_reader::load(uint64_t offset, uint64_t size) {
  size = std::min(std::max(size, window_bytes), header_.bytes - offset);
  // Slices of the window before may still be held by somebody: then it stays as it is.
  if (!window_.unique() || window_->capacity() < size) window_ = chunk_ref::make(size);
  window_size_ = 0;
  auto got = file_.read_at(offset, {window_->data(), size});
  if (!got) {
    failure_ = got.err();
    return false;
  }
  std::memset(window_->data() + *got, 0, size - *got);
  window_->set_origin(lsn_at(offset));
  window_from_ = offset;
  window_size_ = size;
  return true;
}

const uint8_t* segment_reader::bytes_at(uint64_t offset, uint64_t size) {
  if (offset + size > header_.bytes || !failure_) return nullptr;
  bool inside = offset >= window_from_ && offset + size <= window_from_ + window_size_;
  if (!inside && !load(offset, size)) return nullptr;
  return window_->data() + (offset - window_from_);
}

bool segment_reader::looks_like_entry(uint64_t offset) {
  const uint8_t* head = bytes_at(offset, entry_header_size);
  return head != nullptr && load_le<uint64_t>(head + 8) == lsn_at(offset);
}

std::optional<found_entry> segment_reader::entry_at(uint64_t offset) {
  if (!looks_like_entry(offset)) return std::nullopt;
  entry_header header = decode_entry_header(bytes_at(offset, entry_header_size));
  uint64_t size = entry_size(header.payload_bytes);
  const uint8_t* whole = bytes_at(offset, size);
  if (whole == nullptr) return std::nullopt;
  if (!entry_is_sound({whole, entry_header_size + header.payload_bytes}, header_.salt)) return std::nullopt;
  if (header.batch_back > offset - segment_data_offset) return std::nullopt;
  slice payload(window_, whole + entry_header_size, header.payload_bytes);
  return found_entry{offset, offset + size, header, std::move(payload)};
}

std::optional<found_entry> segment_reader::next_entry(uint64_t offset) {
  for (; offset + entry_header_size <= header_.bytes && failure_; offset += entry_alignment) {
    if (!looks_like_entry(offset)) continue;
    auto found = entry_at(offset);
    if (found) return found;
  }
  return std::nullopt;
}

bool segment_reader::is_zero_from(uint64_t offset) {
  for (; offset < header_.bytes; offset += entry_alignment) {
    uint64_t size = std::min<uint64_t>(entry_alignment, header_.bytes - offset);
    const uint8_t* bytes = bytes_at(offset, size);
    if (bytes == nullptr || std::any_of(bytes, bytes + size, [](uint8_t byte) { return byte != 0; })) return false;
  }
  return true;
}

}  // namespace weir
