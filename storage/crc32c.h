// CRC-32C (Castagnoli, reflected, as in iSCSI), from Intel's isa-l, which picks the fastest code for the CPU.
#pragma once

#include "storage/bytes.h"

namespace weir {

// Of `bytes`, going on from the crc of what came before (0 at the start).
uint32_t crc32c(byte_span bytes, uint32_t before = 0);

}  // namespace weir
