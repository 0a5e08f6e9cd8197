// What a run did: counted while it goes on, reported at its end.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/histogram.h"
#include "tools/publisher/timeline.h"

namespace weir {

// One acknowledged message, for --verify.
struct acknowledged {
  uint64_t seq;
  uint64_t number;  // of the message, from 0
  uint64_t hash;    // of its payload
  size_t stream = 0;
};

// What a consumer beside the publishers got.
struct consume_totals {
  uint64_t consumed = 0;  // messages that this run published, delivered once each
  uint64_t missing = 0;   // acknowledged to the publisher and never delivered
  uint64_t others = 0;    // delivered and not this run's, or a second time
  double seconds = 0;     // from the first send to the last delivery
  histogram latency_ns;   // from when a message should have been sent to its delivery
  timeline over_time;
  std::string failure;  // why it ended early; empty if it did not
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
  timeline over_time;
  std::map<std::string, uint64_t> errors;  // by result_code or gRPC status
  std::vector<std::string> examples;       // the first few errors in words
  std::string stopped;                     // why the run ended early; empty if it did not
  bool interrupted = false;
  std::vector<acknowledged> acknowledged_messages;  // filled for --verify only
  std::optional<consume_totals> consumer;           // with --consume only
};

}  // namespace weir
