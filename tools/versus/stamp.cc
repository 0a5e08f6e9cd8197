#include "tools/versus/stamp.h"

#include "storage/check.h"
#include "storage/crc32c.h"

namespace weir {
namespace {

// Offsets from the end of the filler.
constexpr size_t number_at = 0, sent_at = 8, publisher_at = 16, crc_at = 20;

}  // namespace

stamper::stamper(uint32_t publisher, size_t payload_bytes) : publisher_(publisher) {
  WEIR_CHECK(payload_bytes >= stamp_bytes);
  filler_.resize(payload_bytes - stamp_bytes);
  for (size_t n = 0; n < filler_.size(); ++n) filler_[n] = static_cast<char>(n * 131 + 17);
  filler_crc_ = crc32c(as_bytes(filler_));
}

void stamper::write(uint8_t* payload, uint64_t number, uint64_t sent_ns) const {
  std::memcpy(payload, filler_.data(), filler_.size());
  renew(payload, number, sent_ns);
}

void stamper::renew(uint8_t* payload, uint64_t number, uint64_t sent_ns) const {
  uint8_t* end = payload + filler_.size();
  store_le(end + number_at, number);
  store_le(end + sent_at, sent_ns);
  store_le(end + publisher_at, publisher_);
  store_le(end + crc_at, crc32c({end, crc_at}, filler_crc_));
}

std::optional<stamp> read_stamp(byte_span payload) {
  if (payload.size() < stamp_bytes) return std::nullopt;
  const uint8_t* end = payload.data() + payload.size() - stamp_bytes;
  size_t covered = payload.size() - stamp_bytes + crc_at;
  if (crc32c(payload.first(covered)) != load_le<uint32_t>(end + crc_at)) return std::nullopt;
  return stamp{load_le<uint32_t>(end + publisher_at), load_le<uint64_t>(end + number_at),
               load_le<uint64_t>(end + sent_at)};
}

}  // namespace weir
