// Protobuf written and read by hand, where a client makes many messages at a time: a library would pay for objects.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/bytes.h"

namespace weir {

enum class wire_type : uint32_t { varint = 0, fixed64 = 1, with_length = 2, fixed32 = 5 };

// Bytes of a varint.
size_t varint_size(uint64_t value);
void put_varint(uint64_t value, std::string& out);
void put_tag(uint32_t field, wire_type type, std::string& out);
void put_number_field(uint32_t field, uint64_t value, std::string& out);
void put_text_field(uint32_t field, std::string_view text, std::string& out);
// `repeated uint64`, packed.
void put_numbers_field(uint32_t field, const std::vector<uint64_t>& numbers, std::string& out);

struct wire_field {
  uint32_t number = 0;
  uint64_t value = 0;  // of a varint
  byte_span bytes;     // of what has a length
};

// Takes the fields of a message one after the other. It never reads past the end; what is no protobuf ends it, bad.
class field_reader {
 public:
  explicit field_reader(byte_span message) : left_(message) {}
  // False at the end.
  bool next(wire_field& out);
  bool good() const { return good_; }

 private:
  bool take_varint(uint64_t& out);
  bool take_bytes(uint64_t size, byte_span& out);
  bool bad();

  byte_span left_;
  bool good_ = true;
};

}  // namespace weir
