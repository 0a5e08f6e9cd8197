// Finds out how long messages took from publisher to consumer, without a mark in them: an acknowledgement says which
// sequence a message got, a delivery says which sequence came, and the two meet here, whichever is first.
//
// Shared by the publishing and the consuming thread; every call takes its lock. Works on runs of consecutive
// sequences, so that frames cost little. Times are nanoseconds of the monotonic clock.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

#include "tools/publisher/totals.h"

namespace weir {

class delivery_match {
 public:
  // Of a paced run: messages are due `step_ns` apart; 0: those acknowledged together were sent together.
  delivery_match(size_t streams, double step_ns) : step_ns_(step_ns), streams_(streams) {}

  void begin(uint64_t at_ns);
  // Acknowledged to the publisher: `count` messages, the first of which should have been sent at `due_ns`.
  void acknowledged(size_t stream, uint64_t first_seq, uint64_t count, uint64_t due_ns);
  void delivered(size_t stream, uint64_t first_seq, uint64_t count, uint64_t at_ns);

  // Acknowledged and not delivered.
  uint64_t outstanding() const { return outstanding_.load(); }
  const std::atomic<uint64_t>& consumed() const { return consumed_; }
  // The end: what is left is missing, or was never ours.
  consume_totals take_totals();

  // Runs of messages that are not ours and are remembered, a stream; more are forgotten, the oldest first.
  static constexpr size_t others_runs_max = 65'536;

 private:
  struct run {
    uint64_t end;      // one past its last sequence
    uint64_t time_ns;  // of its first message: when it was due, or when all of it was delivered
    double step_ns;
  };
  using runs = std::map<uint64_t, run>;  // by first sequence; they do not overlap
  struct one_stream {
    runs sent;
    runs came;
  };

  void match(uint64_t count, uint64_t due_ns, uint64_t at_ns);
  template <class Matched>
  static void meet(runs& waiting, runs& own, uint64_t first, run fresh, Matched matched);

  const double step_ns_;
  std::mutex mutex_;
  uint64_t begun_ns_ = 0;
  uint64_t last_ns_ = 0;  // delivery
  std::vector<one_stream> streams_;
  consume_totals totals_;
  std::atomic<uint64_t> outstanding_{0};
  std::atomic<uint64_t> consumed_{0};
};

}  // namespace weir
