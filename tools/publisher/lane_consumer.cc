#include <algorithm>

#include "tools/load/wire.h"
#include "tools/publisher/consumer_link.h"

namespace weir {
namespace {

constexpr std::string_view path = "/weir.v1.Broker/Consume";
constexpr uint64_t credit_messages = 16'384;
constexpr uint64_t credit_bytes = 16u << 20;
constexpr size_t gathered_max = 512;  // messages that came, before they are acknowledged in any case

// Field numbers of ConsumeRequest.
constexpr uint32_t stream_field = 1, consumer_field = 2, credit_messages_field = 3, credit_bytes_field = 4,
                   ack_seqs_field = 5, ack_up_to_field = 6, frame_field = 10;

// A Consume call a stream.
class lane_consumer final : public consumer_link {
 public:
  lane_consumer(std::unique_ptr<h2_connection> connection, delivery_match& match, std::string consumer,
                const std::vector<place>& places)
      : consumer_link(std::move(connection), match), consumer_(std::move(consumer)) {
    for (const place& each : places) calls_.push_back({each, 0, {}, 0, 0, 0, false});
  }

  void begin() override {
    for (size_t n = 0; n < calls_.size(); ++n) {
      calls_[n].id = over().start_bidirectional(path, n);
      if (calls_[n].id == 0) return fail_with("the server allows no further call on a connection");
      std::string request;
      put_text_field(stream_field, calls_[n].of.name, request);
      put_text_field(consumer_field, consumer_, request);
      put_number_field(credit_messages_field, credit_messages, request);
      put_number_field(credit_bytes_field, credit_bytes, request);
      over().send(calls_[n].id, as_bytes(request));
    }
  }

  // Acknowledgements gather as long as more comes.
  void work() override {
    for (call& each : calls_) {
      const bool due = each.unacked.size() >= gathered_max || !each.came;
      if (due && !each.unacked.empty()) acknowledge(each);
      each.came = false;
    }
  }

  bool settled() const override {
    for (const call& each : calls_) {
      if (!each.unacked.empty() || each.confirmed < each.asked) return false;
    }
    return true;
  }

 private:
  struct call {
    place of;
    uint32_t id;
    std::vector<uint64_t> unacked;
    uint64_t used_bytes;  // of the credit
    uint64_t asked;       // requests that want to be confirmed
    uint64_t confirmed;
    bool came;  // something, since the last work()
  };

  void streamed(uint64_t tag, byte_span answer) override {
    call& from = calls_[tag];
    const taken got = take(from.of, answer, from.unacked);
    from.came = true;
    if (got.messages != 0) from.used_bytes += answer.size();
    if (got.confirmed != 0) from.confirmed = got.confirmed;
  }

  void done(const call_answer& answer) override {
    if (is_ok(answer)) fail_with("the server ended Consume");
  }

  // All that came since the last time, and as much credit.
  void acknowledge(call& on) {
    std::string request;
    put_number_field(credit_messages_field, on.unacked.size(), request);
    put_number_field(credit_bytes_field, on.used_bytes, request);
    if (on.of.alone) {
      // Not the last one: that may be a redelivery.
      put_number_field(ack_up_to_field, *std::max_element(on.unacked.begin(), on.unacked.end()), request);
    } else {
      put_numbers_field(ack_seqs_field, on.unacked, request);
    }
    put_number_field(frame_field, ++on.asked, request);
    on.unacked.clear();
    on.used_bytes = 0;
    over().send(on.id, as_bytes(request));
  }

  const std::string consumer_;
  std::vector<call> calls_;
};

}  // namespace

std::unique_ptr<consumer_link> make_lane_consumer(std::unique_ptr<h2_connection> over, delivery_match& match,
                                                  const std::string& consumer,
                                                  const std::vector<consumer_link::place>& places) {
  return std::make_unique<lane_consumer>(std::move(over), match, consumer, places);
}

}  // namespace weir
