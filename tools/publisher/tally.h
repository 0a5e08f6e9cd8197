// Counts what becomes of the messages of a run, and shows it on a terminal while the run goes on.
//
// One owner, one thread. Times are nanoseconds of the monotonic clock.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "tools/publisher/options.h"
#include "tools/publisher/totals.h"

namespace weir {

class tally {
 public:
  // `consumed` is shown if it is there; somebody else counts it.
  tally(const publisher_options& options, const std::atomic<uint64_t>* consumed);

  void begin(uint64_t at_ns);
  // `count` messages that should have been sent at `due_ns`.
  void acked(uint64_t due_ns, uint64_t at_ns, uint64_t count, uint64_t payload_bytes);
  // `what` is the message in words, for one of the examples.
  void failed(const std::string& code, const std::string& what, const std::string& why, uint64_t count = 1);
  // No more than that many errors were to be borne.
  bool too_many_errors() const { return totals_.failed >= options_.errors_max; }

  void show_progress(uint64_t at_ns, uint64_t sent);
  void end_progress();

  run_totals& totals() { return totals_; }

 private:
  const publisher_options& options_;
  const std::atomic<uint64_t>* consumed_;
  run_totals totals_;
  uint64_t begun_ns_ = 0;
  bool progress_;
  uint64_t shown_ns_ = 0;
  uint64_t shown_acked_ = 0;
  uint64_t shown_bytes_ = 0;
};

}  // namespace weir
