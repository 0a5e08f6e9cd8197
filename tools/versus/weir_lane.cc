#include "tools/versus/weir_lane.h"

#include <algorithm>
#include <deque>

#include "tools/load/bench_report.h"
#include "tools/load/h2_turn.h"
#include "tools/versus/weir_calls.h"
#include "tools/versus/weir_wire.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

constexpr std::string_view publish_path = "/weir.v1.Broker/Publish";
constexpr std::string_view consume_path = "/weir.v1.Broker/Consume";
constexpr uint64_t ns_per_ms = 1'000'000;

// One call of the lane on a connection of its own. Its own failure ends the program.
class lane_call : private call_sink {
 public:
  lane_call(const std::string& server, std::string_view path)
      : path_(path), connection_(server), peers_{{&connection_, this}} {}
  virtual ~lane_call() = default;
  lane_call(const lane_call&) = delete;

 protected:
  void begin() {
    call_ = connection_.start_bidirectional(path_, 0);
    if (call_ == 0) stop_bench("the server gives no room for a call");
  }
  // False: flow control wants no more for now.
  bool may_send() const { return connection_.unsent(call_) == 0; }
  void send(byte_span message) { connection_.send(call_, message); }
  // Sends and receives; returns when something came, or when it is time.
  void turn(uint64_t until_ns) { h2_turn(peers_, until_ns); }
  // Nothing follows, and the server ends the call.
  void end() {
    ending_ = true;
    connection_.end_sending(call_);
    while (!ended_) turn(UINT64_MAX);
  }

  virtual void take(byte_span message) = 0;

 private:
  void streamed(uint64_t, byte_span message) override { take(message); }
  void done(const call_answer& answer) override {
    must_be_ok(path_, answer.grpc_status, answer.status_message);
    if (!ending_) stop_bench(std::string(path_) + " was ended by the server");
    ended_ = true;
  }

  const std::string_view path_;
  h2_connection connection_;
  const std::vector<h2_peer> peers_;
  uint32_t call_ = 0;
  bool ending_ = false;
  bool ended_ = false;
};

class lane_publisher final : public publisher_link, private lane_call {
 public:
  explicit lane_publisher(const versus_options& options) : lane_call(options.server, publish_path), options_(options) {}

  void run(publish_share& share) override {
    share_ = &share;
    uint64_t batch = std::min(options_.batch, share.window());
    publish_frame frame(options_.stream, options_.subject(), batch, share);
    frame_bytes_ = frame.size();
    begin();
    while (!in_flight_.empty() || !share.over(now_ns())) {
      send_due(frame, batch);
      bool waits_for_answers = !may_send() || !has_room(batch) || share.over(now_ns());
      turn(waits_for_answers ? UINT64_MAX : share.next_due_ns());
    }
    end();
  }

 private:
  struct sent_frame {
    uint64_t number;
    uint64_t at_ns;
    uint64_t first;  // of its messages
    uint64_t records;
  };

  bool has_room(uint64_t batch) const {
    // Every frame counts as a full one: when answers are late, what is due gathers in few frames, not in many small
    // ones.
    return in_flight_.size() < frames_max_ && (in_flight_.size() + 1) * batch <= share_->window() &&
           (in_flight_.size() + 1) * frame_bytes_ <= bytes_max_;
  }

  // A paced share never waits for a frame to fill: what is due is sent.
  void send_due(publish_frame& frame, uint64_t batch) {
    for (;;) {
      uint64_t now = now_ns();
      if (!may_send() || !has_room(batch) || share_->over(now)) return;
      uint64_t records = std::min(batch, share_->due(now));
      if (records == 0) return;
      uint64_t number = next_number_++;
      in_flight_.push_back({number, now, share_->sent(), records});
      send(frame.renew(*share_, number, records, now));
    }
  }

  void take(byte_span bytes) override {
    if (!answer_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
      stop_bench("an answer that is no message");
    if (!answer_.success()) stop_bench("Publish: " + answer_.result_code() + ": " + answer_.message());
    if (in_flight_.empty() || answer_.frame() != in_flight_.front().number ||
        answer_.count() != in_flight_.front().records) {
      stop_bench("Publish: an answer to another frame");
    }
    count_answered(in_flight_.front(), now_ns());
    in_flight_.pop_front();
    if (!answer_.has_limits()) return;
    frames_max_ = answer_.limits().inflight_frames_max();
    bytes_max_ = answer_.limits().inflight_bytes_max();
  }

  void count_answered(const sent_frame& frame, uint64_t at_ns) {
    if (!share_->paced()) return share_->acked(frame.at_ns, at_ns, frame.records);
    for (uint64_t n = 0; n < frame.records; ++n) share_->acked(share_->due_ns(frame.first + n, 0), at_ns);
  }

  const versus_options& options_;
  publish_share* share_ = nullptr;
  weir::v1::PublishBatchAck answer_;
  std::deque<sent_frame> in_flight_;
  uint64_t next_number_ = 1;
  uint64_t frame_bytes_ = 0;
  // Until the first answer tells: one frame.
  uint64_t frames_max_ = 1;
  uint64_t bytes_max_ = UINT64_MAX;
};

class lane_consumer final : public consumer_link, private lane_call {
 public:
  explicit lane_consumer(const versus_options& options) : lane_call(options.server, consume_path), options_(options) {}

  void run(consume_share& share) override {
    std::string request;
    put_text_field(1, options_.stream, request);
    put_text_field(2, options_.consumer, request);
    put_credit(credit_messages, credit_bytes, request);
    share_ = &share;
    begin();
    send(as_bytes(request));
    while (!share.over() || confirmed_ < asked_ || !unacked_.empty()) {
      // Acknowledgements gather: as many as a pull takes elsewhere, or what there is when nothing more comes.
      came_ = false;
      turn(now_ns() + (unacked_.empty() ? wait_ms_max : linger_ms) * ns_per_ms);
      bool due = unacked_.size() >= options_.pull || !came_ || share.over();
      if (due && !unacked_.empty()) acknowledge();
    }
  }

 private:
  static constexpr uint64_t credit_messages = 16'384;
  static constexpr uint64_t credit_bytes = 16u << 20;
  static constexpr unsigned linger_ms = 1;

  static void put_credit(uint64_t messages, uint64_t bytes, std::string& out) {
    put_number_field(3, messages, out);
    put_number_field(4, bytes, out);
  }

  void take(byte_span bytes) override {
    came_ = true;
    read_delivered(bytes, *share_, batch_);
    share_->tell();
    if (!batch_.seqs.empty()) {
      unacked_.insert(unacked_.end(), batch_.seqs.begin(), batch_.seqs.end());
      used_bytes_ += bytes.size();
    }
    if (batch_.confirmed != 0) {
      confirmed_ = batch_.confirmed;
      share_->acked(now_ns());
    }
  }

  // All that came since the last time, and as much credit.
  void acknowledge() {
    std::string request;
    put_credit(unacked_.size(), used_bytes_, request);
    if (options_.connections == 1) {
      put_number_field(6, unacked_.back(), request);  // all up to it: nobody else takes from this consumer
    } else {
      put_numbers_field(5, unacked_, request);
    }
    put_number_field(10, ++asked_, request);
    unacked_.clear();
    used_bytes_ = 0;
    send(as_bytes(request));
  }

  const versus_options& options_;
  consume_share* share_ = nullptr;
  bool came_ = false;  // something, in this turn
  delivered_batch batch_;
  std::vector<uint64_t> unacked_;
  uint64_t used_bytes_ = 0;
  uint64_t asked_ = 0;      // frames of acknowledgements
  uint64_t confirmed_ = 0;  // of those: durable
};

}  // namespace

std::unique_ptr<publisher_link> make_lane_publisher(const versus_options& options) {
  return std::make_unique<lane_publisher>(options);
}

std::unique_ptr<consumer_link> make_lane_consumer(const versus_options& options) {
  return std::make_unique<lane_consumer>(options);
}

}  // namespace weir
