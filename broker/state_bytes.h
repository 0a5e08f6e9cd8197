// Bytes of the broker's own state: a writer and a reader with bounds checks, both tiny.
//
// Varints are LEB128, signed ones zigzag, texts carry their length. The reader never throws and never reads past the
// end: after the first fault everything reads as zero and ok() is false.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/bytes.h"

namespace weir {

class state_writer {
 public:
  explicit state_writer(std::string& out) : out_(out) {}

  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void varint(uint64_t value) {
    while (value >= 0x80) {
      u8(static_cast<uint8_t>(value | 0x80));
      value >>= 7;
    }
    u8(static_cast<uint8_t>(value));
  }
  void signed_varint(int64_t value) {
    varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
  }
  void text(std::string_view value) {
    varint(value.size());
    out_.append(value);
  }
  void flag(bool value) { u8(value ? 1 : 0); }

 private:
  std::string& out_;
};

class state_reader {
 public:
  explicit state_reader(byte_span bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == bytes_.size(); }
  size_t remaining() const { return bytes_.size() - at_; }
  void fault() {
    ok_ = false;
    at_ = bytes_.size();
  }

  uint8_t u8() {
    if (remaining() == 0) {
      fault();
      return 0;
    }
    return bytes_[at_++];
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = u8();
      const uint64_t bits = byte & 0x7f;
      if (shift == 63 && bits > 1) break;
      value |= bits << shift;
      if ((byte & 0x80) == 0) return value;
    }
    fault();
    return 0;
  }
  int64_t signed_varint() {
    const uint64_t raw = varint();
    return static_cast<int64_t>((raw >> 1) ^ (~(raw & 1) + 1));
  }
  std::string_view text() { return as_text(block()); }
  // A run of bytes with its length in front.
  byte_span block() {
    const uint64_t size = varint();
    if (size > remaining()) {
      fault();
      return {};
    }
    const byte_span found = bytes_.subspan(at_, static_cast<size_t>(size));
    at_ += static_cast<size_t>(size);
    return found;
  }
  bool flag() {
    const uint8_t value = u8();
    if (value > 1) fault();
    return value == 1;
  }
  // How many elements follow; each takes at least `bytes_min`, so a count that cannot be true is a fault, not a
  // reservation.
  uint64_t count(size_t bytes_min = 1) {
    const uint64_t value = varint();
    if (value > remaining() / bytes_min) {
      fault();
      return 0;
    }
    return value;
  }

 private:
  byte_span bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace weir
