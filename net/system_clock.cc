#include "net/system_clock.h"

#include <chrono>

namespace weir {

mono_ns system_clock::mono() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return mono_ns(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

wall_ms system_clock::wall() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return wall_ms(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
}

}  // namespace weir
