// What a message of a comparison carries, so that its receiver can tell that it is whole, whose it is, which one of
// that publisher's, and how old: filler, then number, time, publisher and a CRC-32C over all of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "storage/bytes.h"
#include "tools/load/clock.h"

namespace weir {

inline constexpr size_t stamp_bytes = 24;  // the smallest payload

struct stamp {
  uint32_t publisher = 0;
  uint64_t number = 0;  // of this publisher's messages, from 0
  uint64_t sent_ns = 0;
};

// Writes the payloads of one publisher.
class stamper {
 public:
  // `payload_bytes` is at least stamp_bytes.
  stamper(uint32_t publisher, size_t payload_bytes);

  size_t payload_bytes() const { return filler_.size() + stamp_bytes; }
  // The whole payload, filler too.
  void write(uint8_t* payload, uint64_t number, uint64_t sent_ns) const;
  // The same where an earlier payload of this stamper stands already.
  void renew(uint8_t* payload, uint64_t number, uint64_t sent_ns) const;

 private:
  uint32_t publisher_;
  std::string filler_;
  uint32_t filler_crc_;
};

// None if the payload is too short or its checksum is wrong.
std::optional<stamp> read_stamp(byte_span payload);

}  // namespace weir
