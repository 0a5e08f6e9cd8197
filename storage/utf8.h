// Text as the wire contract wants it: every protobuf string must be well-formed UTF-8, or clients refuse the message.
#pragma once

#include <string_view>

namespace weir {

// True for well-formed UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF).
bool is_utf8(std::string_view text);
// True if well-formed text holds a control character (U+0000-001F, U+007F-009F).
bool has_control(std::string_view text);

}  // namespace weir
