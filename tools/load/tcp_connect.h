// A socket to a server, for who speaks a protocol by hand.
#pragma once

#include <string>

#include "storage/result.h"

namespace weir {

// To HOST:PORT; the caller closes it. What is sent goes at once; a read fails after a minute of silence. Fails with
// unavailable.
result<int> connect_tcp(const std::string& target);

}  // namespace weir
