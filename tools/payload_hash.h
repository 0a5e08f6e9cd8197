// A 64-bit fingerprint of a payload, to compare what came back with what was sent without keeping it. Not for storage,
// not against an adversary.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir {

inline uint64_t payload_hash(std::string_view payload) {
  const auto mix = [](uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9fb21c651e98df25u;
    return hash ^ (hash >> 32);
  };
  uint64_t hash = mix(0x2d358dccaa6c78a5u, payload.size());
  while (payload.size() >= sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, payload.data(), sizeof word);
    hash = mix(hash, word);
    payload.remove_prefix(sizeof word);
  }
  uint64_t rest = 0;
  std::memcpy(&rest, payload.data(), payload.size());
  return mix(mix(hash, rest), 0x8bb84b93962eacc9u);
}

}  // namespace weir
