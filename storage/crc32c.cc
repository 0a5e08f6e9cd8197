#include "storage/crc32c.h"

#include <isa-l/crc.h>

namespace weir {

uint32_t crc32c(byte_span bytes, uint32_t before) {
  // isa-l takes a non-const pointer and leaves the inversions to the caller.
  auto* data = const_cast<unsigned char*>(bytes.data());
  return ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~before);
}

}  // namespace weir
