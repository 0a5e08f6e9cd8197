#include "tools/publisher/batch_lane.h"

#include <algorithm>

#include "tools/channel.h"
#include "tools/load/wire.h"

namespace weir {
namespace {

constexpr std::string_view path = "/weir.v1.Broker/Publish";
constexpr uint64_t first_frame_bytes_max = 64u << 10;

// Field numbers of PublishBatch.
constexpr uint32_t stream_field = 1, frame_field = 2;

}  // namespace

batch_lane::batch_lane(std::unique_ptr<h2_connection> over, const publisher_options& options, record_source& records,
                       lane_results& results)
    : over_(std::move(over)),
      options_(options),
      records_(records),
      results_(results),
      streams_(stream_names(options)),
      frame_bytes_max_(first_frame_bytes_max),
      frame_records_max_(options.batch) {
  call_ = over_->start_bidirectional(path, 0);
  if (call_ == 0) give_up("UNAVAILABLE", "the server allows no call on this connection");
}

bool batch_lane::has_room() const {
  return !over_with_ && !ending_ && over_->unsent(call_) == 0 && in_flight_.size() < frames_max_ &&
         (in_flight_.empty() || bytes_in_flight_ + frame_bytes_.size() <= bytes_max_);
}

// Puts a record into the frame; false: it is for another one.
bool batch_lane::add_record(sent_frame& frame, const frame_record& record) {
  const bool first = frame.sizes.empty();
  // Before the broker told its limits, the first record may be of any size.
  const bool fits = frame_bytes_.size() + record.bytes.size() <= frame_bytes_max_ || (first && !limits_told_);
  if (!fits && !first) return false;
  records_.take();
  if (!fits) {
    results_.too_large(record.fed.number, record.size, frame_bytes_max_);
    return true;
  }
  if (first) frame.first_message = record.fed.number;
  frame.sizes.push_back(record.size);
  frame.payload_bytes += record.size;
  if (options_.verify) frame.hashes.push_back(record.hash);
  frame_bytes_.append(record.bytes);
  return true;
}

uint64_t batch_lane::send_frame(size_t stream, uint64_t records_max, uint64_t at_ns) {
  sent_frame frame;
  frame.number = next_number_;
  frame.stream = stream;
  frame.sent_ns = at_ns;
  const uint64_t most = std::min(records_max, frame_records_max_);
  frame_bytes_.clear();
  put_text_field(stream_field, streams_[stream], frame_bytes_);
  put_number_field(frame_field, next_number_, frame_bytes_);
  while (frame.records() < most) {
    const frame_record* record = records_.look(at_ns);
    if (record == nullptr || !add_record(frame, *record)) break;
  }
  const uint64_t records = frame.records();
  if (records == 0) return 0;
  ++next_number_;
  frame.bytes = frame_bytes_.size();
  bytes_in_flight_ += frame.bytes;
  in_flight_.push_back(std::move(frame));
  over_->send(call_, as_bytes(frame_bytes_));
  return records;
}

void batch_lane::streamed(uint64_t, byte_span message) {
  if (!answer_.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return give_up("INTERNAL", "an answer that is no message");
  }
  if (in_flight_.empty() || answer_.frame() != in_flight_.front().number) {
    return give_up("INTERNAL", "an answer to another frame than the oldest");
  }
  if (answer_.has_limits()) {
    const auto& limits = answer_.limits();
    frame_bytes_max_ = limits.frame_bytes_max();
    frame_records_max_ = std::min<uint64_t>(frame_records_max_, limits.frame_messages_max());
    frames_max_ = limits.inflight_frames_max();
    bytes_max_ = limits.inflight_bytes_max();
    limits_told_ = true;
  }
  const sent_frame frame = std::move(in_flight_.front());
  in_flight_.pop_front();
  bytes_in_flight_ -= frame.bytes;
  results_.answered(frame, answer_, now_ns());
}

void batch_lane::end() {
  if (over_with_ || ending_) return;
  ending_ = true;
  over_->end_sending(call_);
}

void batch_lane::done(const call_answer& answer) {
  if (ending_ && answer.grpc_status <= 0 && in_flight_.empty()) {
    over_with_ = true;
  } else if (answer.grpc_status <= 0) {
    give_up("UNAVAILABLE", "the server ended Publish");
  } else {
    const grpc::Status status(static_cast<grpc::StatusCode>(answer.grpc_status), std::string(answer.status_message));
    give_up(status_name(status), status.error_message());
  }
}

void batch_lane::give_up(const std::string& code, const std::string& why) {
  if (over_with_) return;
  over_with_ = true;
  if (!ending_ || !in_flight_.empty()) failure_ = why;
  for (; !in_flight_.empty(); in_flight_.pop_front()) results_.lost(in_flight_.front(), code, why);
}

}  // namespace weir
