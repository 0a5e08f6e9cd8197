#include <algorithm>
#include <deque>

#include "tools/load/wire.h"
#include "tools/publisher/consumer_link.h"

namespace weir {
namespace {

constexpr std::string_view fetch_path = "/waymaker.streams.WaymakerStreamsService/Fetch";
constexpr std::string_view ack_path = "/weir.v1.Admin/AckMany";
constexpr uint64_t batch_messages = 512;
constexpr uint64_t wait_ms = 5'000;  // of a Fetch for a first message

// Field numbers of FetchRequest and AckManyRequest.
constexpr uint32_t stream_field = 1, consumer_field = 2, batch_field = 3, max_wait_field = 1000, seqs_field = 3;

// `success = true` is the first field of an AckManyResponse.
constexpr std::string_view answer_is_good = "\x08\x01";

// A Fetch after the other for each stream; the AckMany of a batch travels with the next Fetch.
class fetch_consumer final : public consumer_link {
 public:
  fetch_consumer(std::unique_ptr<h2_connection> connection, delivery_match& match, const std::string& consumer,
                 const std::vector<place>& places)
      : consumer_link(std::move(connection), match), places_(places) {
    for (const place& each : places_) {
      std::string names;
      put_text_field(stream_field, each.name, names);
      put_text_field(consumer_field, consumer, names);
      names_.push_back(std::move(names));
    }
  }

  void begin() override {
    for (size_t n = 0; n < places_.size(); ++n) fetch(n);
    work();
  }

  // Sends what flow control allows.
  void work() override {
    while (!unsent_.empty()) {
      const request& next = unsent_.front();
      if (!over().start(next.tag % 2 == 0 ? fetch_path : ack_path, as_bytes(next.bytes), next.tag)) return;
      unsent_.pop_front();
    }
  }

  bool settled() const override { return acks_under_way_ == 0; }

 private:
  struct request {
    uint64_t tag;  // twice the number of the place; one more: an AckMany
    std::string bytes;
  };

  void fetch(size_t of) {
    std::string bytes = names_[of];
    put_number_field(batch_field, batch_messages, bytes);
    put_number_field(max_wait_field, wait_ms, bytes);
    unsent_.push_back({2 * of, std::move(bytes)});
  }

  void done(const call_answer& answer) override {
    if (!is_ok(answer)) return;
    const size_t of = answer.tag / 2;
    if (answer.tag % 2 == 1) {
      --acks_under_way_;
      if (!as_text(answer.response).starts_with(answer_is_good)) fail_with("an AckMany was refused");
      return;
    }
    std::vector<uint64_t> seqs;
    (void)take(places_[of], answer.response, seqs);
    if (!seqs.empty()) {
      std::string bytes = names_[of];
      put_numbers_field(seqs_field, seqs, bytes);
      unsent_.push_back({2 * of + 1, std::move(bytes)});
      ++acks_under_way_;
    }
    fetch(of);
    work();
  }

  const std::vector<place> places_;
  std::vector<std::string> names_;  // stream and consumer of each place, as fields
  std::deque<request> unsent_;
  size_t acks_under_way_ = 0;
};

}  // namespace

std::unique_ptr<consumer_link> make_fetch_consumer(std::unique_ptr<h2_connection> over, delivery_match& match,
                                                   const std::string& consumer,
                                                   const std::vector<consumer_link::place>& places) {
  return std::make_unique<fetch_consumer>(std::move(over), match, consumer, places);
}

}  // namespace weir
