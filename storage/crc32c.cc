#include "storage/crc32c.h"

#include <isa-l/crc.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weir {
namespace {

// isa-l 2.30 comes back from its AVX-512 code with the upper halves of the vector registers in use. Until they are
// cleared, every SSE instruction of the thread waits for them: 110 ns a record where 25 do.
#if defined(__x86_64__)
const bool has_avx = __builtin_cpu_supports("avx") != 0;

__attribute__((target("avx"))) inline void clear_upper_halves() {
  _mm256_zeroupper();
}
#else
constexpr bool has_avx = false;
inline void clear_upper_halves() {}
#endif

}  // namespace

uint32_t crc32c(byte_span bytes, uint32_t before) {
  // isa-l takes a non-const pointer and leaves the inversions to the caller.
  auto* data = const_cast<unsigned char*>(bytes.data());
  const uint32_t crc = ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~before);
  if (has_avx) clear_upper_halves();
  return crc;
}

}  // namespace weir
