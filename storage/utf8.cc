#include "storage/utf8.h"

#include <cstdint>
#include <cstring>

namespace weir {
namespace {

// Bytes of the well-formed character at the start of `text`, 0 if there is none. The second byte's range excludes
// overlong forms, surrogates and what is above U+10FFFF (Unicode, table 3-7).
size_t character_size(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t first = byte(0);
  if (first < 0x80) return 1;
  size_t size = first >= 0xc2 && first <= 0xdf   ? 2
                : (first & 0xf0) == 0xe0         ? 3
                : first >= 0xf0 && first <= 0xf4 ? 4
                                                 : 0;
  if (size == 0 || text.size() < size) return 0;
  uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return size;
}

}  // namespace

bool is_utf8(std::string_view text) {
  constexpr uint64_t high_bits = 0x8080808080808080;
  while (!text.empty()) {
    uint64_t eight = 0;
    if (text.size() >= sizeof(eight)) {
      std::memcpy(&eight, text.data(), sizeof(eight));
      if ((eight & high_bits) == 0) {
        text.remove_prefix(sizeof(eight));
        continue;
      }
    }
    size_t size = character_size(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

bool has_control(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<uint8_t>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xa0) return true;
  }
  return false;
}

}  // namespace weir
