#include "tools/versus/nats_batched.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "tools/load/bench_report.h"
#include "tools/versus/nats_link.h"

namespace weir {
namespace {

// What a message does to its batch, as the server counts them.
enum class batch_step : int { start = 0, append = 1, end_without_message = 3 };

constexpr uint64_t flow_max = 500;  // the server's own bound for messages an acknowledgement
constexpr std::chrono::milliseconds answer_max{nats_answer_ms_max};

class batched_publisher final : public publisher_link {
 public:
  explicit batched_publisher(const versus_options& options)
      : subject_(options.subject()), link_(options.server, options.rate != 0), payload_(options.size, '\0') {
    natsInbox* inbox = nullptr;
    must_be_ok(natsInbox_Create(&inbox), "inbox");
    inbox_ = inbox;
    natsInbox_Destroy(inbox);
    must_be_ok(natsConnection_Subscribe(&answers_, link_.connection(), (inbox_ + ".>").c_str(),
                                        &batched_publisher::on_answer, this),
               "subscribe");
  }
  ~batched_publisher() override { natsSubscription_Destroy(answers_); }

  void run(publish_share& share) override {
    share_ = &share;
    flow_ = share.paced() ? 1 : std::clamp<uint64_t>(share.window() / 2, 1, flow_max);
    sent_ns_.resize(share.window());
    auto* payload = reinterpret_cast<uint8_t*>(payload_.data());
    for (;;) {
      uint64_t number = wait_for_room(share);
      uint64_t now = now_ns();
      if (share.over(now)) break;
      if (share.due(now) == 0) {
        sleep_until(share.next_due_ns());
        continue;
      }
      {
        std::lock_guard lock(mutex_);
        sent_ns_[number % sent_ns_.size()] = share.due_ns(number, now);
        sent_ = number + 1;
      }
      share.next(payload, now);
      publish(number == 0 ? batch_step::start : batch_step::append, number + 1, payload_);
      if (number == 0) wait_until(started_, "the first message was not answered");
    }
    if (sent_ == 0) return;
    publish(batch_step::end_without_message, sent_ + 1, "");
    must_be_ok(natsConnection_FlushTimeout(link_.connection(), nats_answer_ms_max), "flush");
    wait_until(ended_, "the end of the batch was not answered");
  }

 private:
  // Returns the number of the next message, from 0.
  uint64_t wait_for_room(const publish_share& share) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, answer_max, [&] { return sent_ - acked_ < share.window(); })) {
      stop_bench("nats: publish: no acknowledgements any more");
    }
    return sent_;
  }

  void wait_until(const bool& happened, const char* otherwise) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, answer_max, [&] { return happened; })) {
      stop_bench(std::string("nats: publish: ") + otherwise);
    }
  }

  // INBOX.FLOW.GAP.PLACE.STEP.$FI; places count from 1, and a missing one ends the batch with an error.
  void publish(batch_step step, uint64_t place, const std::string& payload) {
    char reply[160];
    std::snprintf(reply, sizeof reply, "%s.%llu.fail.%llu.%d.$FI", inbox_.c_str(),
                  static_cast<unsigned long long>(flow_), static_cast<unsigned long long>(place),
                  static_cast<int>(step));
    must_be_ok(natsConnection_PublishRequest(link_.connection(), subject_.c_str(), reply, payload.data(),
                                             static_cast<int>(payload.size())),
               "publish");
  }

  static void on_answer(natsConnection*, natsSubscription*, natsMsg* message, void* closure) {
    std::string text(natsMsg_GetData(message), static_cast<size_t>(natsMsg_GetDataLength(message)));
    natsMsg_Destroy(message);
    static_cast<batched_publisher*>(closure)->take_answer(text);
  }

  void take_answer(const std::string& text) {
    auto answer = nlohmann::json::parse(text, nullptr, false);
    if (!answer.is_object() || answer.contains("error")) stop_bench("nats: publish: " + text);
    std::string type = answer.value("type", "");
    bool final = answer.contains("count");
    if (!final && type != "ack") stop_bench("nats: publish: " + text);
    std::lock_guard lock(mutex_);
    started_ = true;
    uint64_t up_to = final ? answer.value("count", uint64_t{0}) : answer.value("seq", uint64_t{0});
    if (up_to > sent_ || (final && up_to != sent_)) {
      stop_bench("nats: publish: " + std::to_string(sent_) + " messages sent, answered with " + text);
    }
    uint64_t now = now_ns();
    for (; acked_ < up_to; ++acked_) share_->acked(sent_ns_[acked_ % sent_ns_.size()], now);
    ended_ = final;
    changed_.notify_one();
  }

  const std::string subject_;
  nats_link link_;
  std::string payload_;
  std::string inbox_;
  natsSubscription* answers_ = nullptr;
  uint64_t flow_ = 1;
  publish_share* share_ = nullptr;  // what is acknowledged is told by the library's thread, the rest is the publisher's

  std::mutex mutex_;  // for what follows
  std::condition_variable changed_;
  std::vector<uint64_t> sent_ns_;  // by number; a ring as long as the window
  uint64_t sent_ = 0;
  uint64_t acked_ = 0;
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<publisher_link> make_batched_publisher(const versus_options& options) {
  return std::make_unique<batched_publisher>(options);
}

void create_batched_stream(const versus_options& options) {
  nlohmann::json config = {{"name", options.stream}, {"subjects", {options.subject()}},
                           {"storage", "file"},      {"retention", "limits"},
                           {"num_replicas", 1},      {"allow_batched", true}};
  nats_link link(options.server);
  natsMsg* answer = nullptr;
  must_be_ok(
      natsConnection_RequestString(&answer, link.connection(), ("$JS.API.STREAM.CREATE." + options.stream).c_str(),
                                   config.dump().c_str(), nats_answer_ms_max),
      "add stream");
  std::string text(natsMsg_GetData(answer), static_cast<size_t>(natsMsg_GetDataLength(answer)));
  natsMsg_Destroy(answer);
  auto made = nlohmann::json::parse(text, nullptr, false);
  if (!made.is_object() || made.contains("error")) stop_bench("nats: add stream: " + text);
  if (!made["config"].value("allow_batched", false)) stop_unavailable("this nats-server does not take batches");
}

}  // namespace weir
