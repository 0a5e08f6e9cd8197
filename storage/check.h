// Checks of our own invariants. Always on, in every build: a broken invariant stops the process before it can damage
// data. Bad input never reaches one.
#pragma once

namespace weir {

[[noreturn]] void check_failed(const char* expression, const char* file, int line);

}  // namespace weir

#define WEIR_CHECK(expression) \
  (static_cast<bool>(expression) ? static_cast<void>(0) : ::weir::check_failed(#expression, __FILE__, __LINE__))
