// One Publish call of the fast lane on a connection of its own: builds frames, keeps to the limits the broker told, and
// says what became of each record.
//
// One thread. Borrows options and records; `results` is told everything and outlives it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tools/load/h2_turn.h"
#include "tools/publisher/options.h"
#include "tools/publisher/record_source.h"
#include "weir/v1/broker.pb.h"

namespace weir {

// A frame that was sent: records of consecutive messages for one stream.
struct sent_frame {
  uint64_t number = 0;
  size_t stream = 0;
  uint64_t first_message = 0;
  uint64_t sent_ns = 0;
  uint64_t bytes = 0;
  uint64_t payload_bytes = 0;
  std::vector<uint32_t> sizes;   // of the payloads
  std::vector<uint64_t> hashes;  // likewise; for --verify only

  uint64_t records() const { return sizes.size(); }
};

class lane_results {
 public:
  virtual void answered(const sent_frame& frame, const weir::v1::PublishBatchAck& answer, uint64_t at_ns) = 0;
  // No answer will come: a code and a sentence.
  virtual void lost(const sent_frame& frame, const std::string& code, const std::string& why) = 0;
  // A message that is larger than the broker's limit for a frame: not sent.
  virtual void too_large(uint64_t message, uint64_t bytes, uint64_t bytes_max) = 0;

 protected:
  ~lane_results() = default;
};

class batch_lane final : private call_sink {
 public:
  batch_lane(std::unique_ptr<h2_connection> over, const publisher_options& options, record_source& records,
             lane_results& results);
  batch_lane(const batch_lane&) = delete;
  batch_lane& operator=(const batch_lane&) = delete;

  // Room for another frame, as far as the broker's limits and the connection go.
  bool has_room() const;
  // Sends what is due, at most `records_max`, as one frame to that stream; returns how many messages that were.
  uint64_t send_frame(size_t stream, uint64_t records_max, uint64_t at_ns);
  // Nothing follows: the broker answers what it has and ends the call.
  void end();

  h2_peer peer() { return {over_.get(), this}; }
  bool idle() const { return in_flight_.empty(); }
  // The call has ended, by whomever.
  bool is_over() const { return over_with_; }
  // Why it ended before end(), or before all was answered; empty if it did not.
  const std::string& failure() const { return failure_; }
  // What is in flight is lost.
  void give_up(const std::string& code, const std::string& why);

 private:
  bool add_record(sent_frame& frame, const frame_record& record);
  void streamed(uint64_t, byte_span message) override;
  void done(const call_answer& answer) override;
  void broken(const std::string& why) override { give_up("UNAVAILABLE", why); }

  std::unique_ptr<h2_connection> over_;
  const publisher_options& options_;
  record_source& records_;
  lane_results& results_;
  const std::vector<std::string> streams_;
  std::string frame_bytes_;
  weir::v1::PublishBatchAck answer_;
  std::deque<sent_frame> in_flight_;
  uint64_t bytes_in_flight_ = 0;
  uint64_t next_number_ = 1;
  // Until the first answer tells: one small frame.
  uint64_t frame_bytes_max_;
  uint64_t frame_records_max_;
  uint64_t frames_max_ = 1;
  uint64_t bytes_max_ = UINT64_MAX;
  bool limits_told_ = false;
  uint32_t call_ = 0;
  bool ending_ = false;
  bool over_with_ = false;
  std::string failure_;
};

}  // namespace weir
