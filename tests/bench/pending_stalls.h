// How long the thread of a shard is busy at a time with a consumer that has many messages pending: the real shard over
// a disk and lanes that take no time, one event after the other.
//
// Processor time of the thread, so that a busy machine does not count; what lanes do (on other threads in the server)
// does not count either.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

struct event_cost {
  std::string what;
  uint64_t events = 0;
  double mean_us = 0;
  double worst_us = 0;
};

// `messages` are delivered to one consumer, and acknowledged one by one in random order (on a stream with limits and on
// a work queue), or their deadlines all pass at the same moment and they are delivered again.
std::vector<event_cost> measure_pending_stalls(uint64_t messages);

}  // namespace weir
