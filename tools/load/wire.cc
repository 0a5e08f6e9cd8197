#include "tools/load/wire.h"

namespace weir {

size_t varint_size(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

void put_varint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_tag(uint32_t field, wire_type type, std::string& out) {
  put_varint(uint64_t{field} << 3 | static_cast<uint32_t>(type), out);
}

void put_number_field(uint32_t field, uint64_t value, std::string& out) {
  put_tag(field, wire_type::varint, out);
  put_varint(value, out);
}

void put_text_field(uint32_t field, std::string_view text, std::string& out) {
  put_tag(field, wire_type::with_length, out);
  put_varint(text.size(), out);
  out.append(text);
}

void put_numbers_field(uint32_t field, const std::vector<uint64_t>& numbers, std::string& out) {
  std::string packed;
  for (uint64_t number : numbers) put_varint(number, packed);
  put_text_field(field, packed, out);
}

bool field_reader::bad() {
  good_ = false;
  left_ = {};
  return false;
}

bool field_reader::take_varint(uint64_t& out) {
  out = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (left_.empty()) return bad();
    uint8_t next = left_[0];
    left_ = left_.subspan(1);
    out |= static_cast<uint64_t>(next & 0x7f) << shift;
    if ((next & 0x80) == 0) return true;
  }
  return bad();
}

bool field_reader::take_bytes(uint64_t size, byte_span& out) {
  if (size > left_.size()) return bad();
  out = left_.first(static_cast<size_t>(size));
  left_ = left_.subspan(static_cast<size_t>(size));
  return true;
}

bool field_reader::next(wire_field& out) {
  uint64_t tag = 0;
  if (left_.empty() || !take_varint(tag)) return false;
  out.number = static_cast<uint32_t>(tag >> 3);
  out.value = 0;
  out.bytes = {};
  byte_span skipped;
  uint64_t size = 0;
  switch (static_cast<wire_type>(tag & 7)) {
    case wire_type::varint:
      return take_varint(out.value);
    case wire_type::with_length:
      return take_varint(size) && take_bytes(size, out.bytes);
    case wire_type::fixed64:
      return take_bytes(8, skipped);
    case wire_type::fixed32:
      return take_bytes(4, skipped);
    default:
      return bad();
  }
}

}  // namespace weir
