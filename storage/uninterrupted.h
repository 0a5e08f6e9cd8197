// A system call, again until no signal interrupts it. An interrupted fdatasync has not consumed an error, so calling it
// again is not the retry that DESIGN forbids.
#pragma once

#include <cerrno>

namespace weir {

template <class Call>
auto uninterrupted(Call call) {
  for (;;) {
    auto answer = call();
    if (answer != -1 || errno != EINTR) return answer;
  }
}

}  // namespace weir
