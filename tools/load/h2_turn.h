// One wait over several HTTP/2 connections of one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/load/clock.h"
#include "tools/load/h2_connection.h"

namespace weir {

struct h2_peer {
  h2_connection* over;
  call_sink* sink;
};

// Sends what the sockets take, waits until one of them has something, can take more, or `until_ns` has come (0 = does
// not wait), then receives what is there. Broken connections are told to their sinks and not waited for.
void h2_turn(const std::vector<h2_peer>& peers, uint64_t until_ns);

// The calling thread's waits end when they should, not up to 50 us later.
void ask_for_exact_timers();

}  // namespace weir
