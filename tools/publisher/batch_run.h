// The run loop of --mode batch: frames of the fast lane over several connections, several in flight on each. Paced,
// what is due is sent; a frame is never waited for to fill.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "storage/result.h"
#include "tools/publisher/batch_lane.h"
#include "tools/publisher/delivery_match.h"
#include "tools/publisher/feed.h"
#include "tools/publisher/options.h"
#include "tools/publisher/tally.h"

namespace weir {

// One run. Owned by main, one thread; borrows everything it is given. `interrupt` ends it early: what was sent is still
// waited for. `match` is null without --consume. When a connection is lost the run ends: what was in flight there has
// failed, what the others have in flight is still waited for.
class batch_run : private lane_results {
 public:
  batch_run(const publisher_options& options, message_feed& feed, tally& counts, delivery_match* match,
            const std::atomic<bool>& interrupt);

  // Fails with unavailable.
  result<void> connect();
  void go();

 private:
  void send_due();
  batch_lane* next_lane();
  // Every frame counts as a full one: when answers are late, what is due gathers in few frames, not in many small ones.
  bool may_send_frame() const { return (frames_in_flight_ + 1) * options_.batch <= options_.in_flight; }
  void turn(uint64_t at_ns, bool sending);
  void wait_for_answers();
  void end_lanes();
  void look_for_lost_lanes();
  bool all_idle() const;
  void abort(std::string why);
  void answered(const sent_frame& frame, const weir::v1::PublishBatchAck& answer, uint64_t at_ns) override;
  void answered_one_by_one(const sent_frame& frame, const weir::v1::PublishBatchAck& answer, uint64_t at_ns);
  void lost(const sent_frame& frame, const std::string& code, const std::string& why) override;
  void too_large(uint64_t message, uint64_t bytes, uint64_t bytes_max) override;
  void stored(const sent_frame& frame, uint64_t from, uint64_t count, uint64_t first_seq, uint64_t at_ns);
  std::string name_of(const sent_frame& frame, uint64_t record) const;

  const publisher_options& options_;
  message_feed& feed_;
  tally& counts_;
  delivery_match* match_;
  const std::atomic<bool>& interrupt_;
  const size_t streams_;
  record_source records_;
  std::vector<std::unique_ptr<batch_lane>> lanes_;
  std::vector<h2_peer> peers_;
  size_t lane_turn_ = 0;
  size_t stream_turn_ = 0;
  uint64_t frames_in_flight_ = 0;
  uint64_t last_answer_ns_ = 0;
  bool aborted_ = false;
};

}  // namespace weir
