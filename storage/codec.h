// Writing and reading the bodies of our own files: little-endian numbers, varints and counted bytes in one string.
//
// A reader given garbage never reads past its end: the first item that does not fit makes it bad, and everything read
// from then on is empty or 0. The caller looks at good() once, at the end.
#pragma once

#include <string>

#include "storage/bytes.h"

namespace weir {

class byte_writer {
 public:
  explicit byte_writer(std::string& to) : to_(to) {}

  void u8(uint8_t value) { to_.push_back(static_cast<char>(value)); }
  void u32(uint32_t value) { number(value); }
  void u64(uint64_t value) { number(value); }
  void varint(uint64_t value) {
    while (value >= 0x80) {
      u8(static_cast<uint8_t>(value | 0x80));
      value >>= 7;
    }
    u8(static_cast<uint8_t>(value));
  }
  void raw(byte_span bytes) { to_.append(as_text(bytes)); }
  // A varint length, then the bytes.
  void counted(std::string_view bytes) {
    varint(bytes.size());
    to_.append(bytes);
  }

 private:
  template <class T>
  void number(T value) {
    uint8_t bytes[sizeof(T)];
    store_le(bytes, value);
    raw(bytes);
  }

  std::string& to_;
};

class byte_reader {
 public:
  explicit byte_reader(byte_span from) : left_(from) {}

  bool good() const { return good_; }
  size_t left() const { return left_.size(); }

  uint8_t u8() { return number<uint8_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }
  uint64_t varint() {
    if (!left_.empty() && left_.front() < 0x80) {  // most are one byte
      const uint8_t only = left_.front();
      left_ = left_.subspan(1);
      return only;
    }
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      uint8_t byte = u8();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return bad(), 0;
  }
  byte_span raw(size_t size) {
    if (size > left_.size()) return bad(), byte_span();
    byte_span taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }
  std::string_view counted() {
    uint64_t size = varint();
    if (size > left_.size()) return bad(), std::string_view();
    return as_text(raw(size));
  }
  void bad() {
    good_ = false;
    left_ = {};
  }

 private:
  template <class T>
  T number() {
    byte_span bytes = raw(sizeof(T));
    return bytes.size() == sizeof(T) ? load_le<T>(bytes.data()) : T{0};
  }

  byte_span left_;
  bool good_ = true;
};

}  // namespace weir
