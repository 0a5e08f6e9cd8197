// The version of weir, as programs and answers show it. The build passes it on from the project's definition.
#pragma once

namespace weir {

inline constexpr const char* version_text = WEIR_VERSION;

}  // namespace weir
