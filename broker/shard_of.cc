// FNV-1a 64 over the name's bytes, then the finalizer of MurmurHash3 (FNV's low bits alone mix badly), modulo the
// count.
#include "broker/shard.h"
#include "storage/check.h"

namespace weir {

uint32_t shard_of(std::string_view stream_name, uint32_t shard_count) {
  WEIR_CHECK(shard_count != 0);
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : stream_name) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 0x100000001b3u;
  }
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdu;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53u;
  hash ^= hash >> 33;
  return static_cast<uint32_t>(hash % shard_count);
}

}  // namespace weir
