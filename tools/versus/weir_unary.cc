#include "tools/versus/weir_unary.h"

#include "tools/load/bench_report.h"
#include "tools/load/h2_turn.h"
#include "tools/versus/weir_calls.h"
#include "tools/versus/weir_wire.h"

namespace weir {
namespace {

constexpr std::string_view publish_path = "/waymaker.streams.WaymakerStreamsService/Publish";
constexpr std::string_view fetch_path = "/waymaker.streams.WaymakerStreamsService/Fetch";
constexpr std::string_view ack_path = "/weir.v1.Admin/AckMany";

// `success = true` is the first field of every answer here.
constexpr std::string_view answer_is_good = "\x08\x01";

class unary_publisher final : public publisher_link, private call_sink {
 public:
  explicit unary_publisher(const versus_options& options) : connection_(options.server) {
    put_text_field(1, options.stream, request_);
    put_text_field(2, options.subject(), request_);
    put_text_field(3, std::string(options.size, '\0'), request_);
    payload_at_ = request_.size() - options.size;
  }

  void run(publish_share& share) override {
    share_ = &share;
    send_more();
    const std::vector<h2_peer> peers{{&connection_, this}};
    while (share.in_flight() != 0 || unsent_ns_ != 0 || !share.over(now_ns())) {
      bool waits_for_answers = unsent_ns_ != 0 || share.in_flight() >= share.window() || share.over(now_ns());
      h2_turn(peers, waits_for_answers || !share.paced() ? UINT64_MAX : share.next_due_ns());
      send_more();
    }
  }

 private:
  // A call's tag is the time when it was, or should have been, made.
  void send_more() {
    for (;;) {
      if (unsent_ns_ == 0) {
        uint64_t now = now_ns();
        if (share_->in_flight() >= share_->window() || share_->over(now) || share_->due(now) == 0) return;
        unsent_ns_ = share_->next(reinterpret_cast<uint8_t*>(request_.data()) + payload_at_, now);
      }
      if (!connection_.start(publish_path, as_bytes(request_), unsent_ns_)) return;  // held back by flow control
      unsent_ns_ = 0;
    }
  }

  void done(const call_answer& answer) override {
    must_be_ok(publish_path, answer.grpc_status, answer.status_message);
    if (!as_text(answer.response).starts_with(answer_is_good)) stop_bench("a Publish was refused");
    share_->acked(answer.tag, now_ns());
  }

  h2_connection connection_;
  publish_share* share_ = nullptr;
  std::string request_;
  size_t payload_at_ = 0;
  uint64_t unsent_ns_ = 0;  // the time of a request that is made and not sent; 0: none
};

// The AckMany of a batch travels with the next Fetch.
class unary_consumer final : public consumer_link, private call_sink {
 public:
  explicit unary_consumer(const versus_options& options) : connection_(options.server) {
    put_text_field(1, options.stream, names_);
    put_text_field(2, options.consumer, names_);
    fetch_ = names_;
    put_number_field(3, options.pull, fetch_);
    put_number_field(1000, wait_ms_max, fetch_);
  }

  void run(consume_share& share) override {
    share_ = &share;
    send(fetch_path, fetch_, of_fetch);
    while (connection_.open_calls() != 0) {
      connection_.flush();
      connection_.receive(*this);
    }
  }

 private:
  enum tags : uint64_t { of_fetch, of_ack };

  void send(std::string_view path, const std::string& request, tags tag) {
    if (!connection_.start(path, as_bytes(request), tag)) stop_bench("the server gives no room for a request");
  }

  void done(const call_answer& answer) override {
    must_be_ok("a call", answer.grpc_status, answer.status_message);
    if (answer.tag == of_ack) {
      if (!as_text(answer.response).starts_with(answer_is_good)) stop_bench("an AckMany was refused");
      share_->acked(now_ns());
      return;
    }
    read_delivered(answer.response, *share_, batch_);
    share_->tell();
    if (!share_->over()) send(fetch_path, fetch_, of_fetch);
    if (batch_.seqs.empty()) return;
    std::string request = names_;
    put_numbers_field(3, batch_.seqs, request);
    send(ack_path, request, of_ack);
  }

  h2_connection connection_;
  consume_share* share_ = nullptr;
  std::string names_;
  std::string fetch_;
  delivered_batch batch_;
};

}  // namespace

std::unique_ptr<publisher_link> make_unary_publisher(const versus_options& options) {
  return std::make_unique<unary_publisher>(options);
}

std::unique_ptr<consumer_link> make_unary_consumer(const versus_options& options) {
  return std::make_unique<unary_consumer>(options);
}

}  // namespace weir
