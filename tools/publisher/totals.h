// What a run did: counted while it goes on, reported at its end.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tools/histogram.h"

namespace weir {

// One acknowledged message, for --verify.
struct acknowledged {
  uint64_t seq;
  uint64_t number;  // of the message, from 0
  uint64_t hash;    // of its payload
};

struct run_totals {
  uint64_t sent = 0;  // messages, not attempts
  uint64_t acked = 0;
  uint64_t failed = 0;
  uint64_t retried = 0;  // attempts beyond the first
  uint64_t overdue = 0;  // of a paced run: due before its end and never sent, because the broker was too slow
  uint64_t bytes = 0;    // payload bytes acknowledged
  double seconds = 0;    // from the first send to the last answer
  histogram latency_ns;
  std::map<std::string, uint64_t> errors;  // by result_code or gRPC status
  std::vector<std::string> examples;       // the first few errors in words
  std::string stopped;                     // why the run ended early; empty if it did not
  bool interrupted = false;
  std::vector<acknowledged> acknowledged_messages;  // filled for --verify only
};

}  // namespace weir
