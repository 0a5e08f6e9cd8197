// versus-nats: the JetStream part of a comparison, by libnats: asynchronous publishing, and a durable pull consumer
// that every connection of the process shares. `--path batched` publishes by batched fast ingest instead.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tools/load/bench_report.h"
#include "tools/versus/nats_batched.h"
#include "tools/versus/nats_link.h"
#include "tools/versus/worker.h"

namespace weir {
namespace {

constexpr int64_t ns_per_ms = 1'000'000;

class nats_publisher final : public publisher_link {
 public:
  explicit nats_publisher(const versus_options& options)
      : subject_(options.subject()), link_(options.server, options.rate != 0), payload_(options.size, '\0') {
    jsOptions settings;
    must_be_ok(jsOptions_Init(&settings), "options");
    settings.PublishAsync.MaxPending =
        static_cast<int64_t>(std::max<uint64_t>(1, options.in_flight / options.connections));
    settings.PublishAsync.StallWait = nats_answer_ms_max;
    settings.PublishAsync.AckHandler = &nats_publisher::on_ack;
    settings.PublishAsync.AckHandlerClosure = this;
    link_.open(settings);
  }

  void run(publish_share& share) override {
    share_ = &share;
    auto* payload = reinterpret_cast<uint8_t*>(payload_.data());
    for (uint64_t now = now_ns(); !share.over(now); now = now_ns()) {
      if (share.due(now) == 0) {
        sleep_until(share.next_due_ns());
        continue;
      }
      share.next(payload, now);
      must_be_ok(js_PublishAsync(link_.stream(), subject_.c_str(), payload_.data(), static_cast<int>(payload_.size()),
                                 nullptr),
                 "publish");
    }
    jsPubOptions wait;
    must_be_ok(jsPubOptions_Init(&wait), "publish options");
    wait.MaxWait = nats_answer_ms_max;
    must_be_ok(js_PublishAsyncComplete(link_.stream(), &wait), "publish");
    // The library counts a message as complete a moment before it calls on_ack.
    std::unique_lock lock(mutex_);
    if (!all_acked_.wait_for(lock, std::chrono::milliseconds(nats_answer_ms_max),
                             [&] { return acked_ == share.sent(); })) {
      stop_bench("nats: publish: not all were acknowledged");
    }
  }

 private:
  // On the library's thread; sent() belongs to the publishing one, the rest of the share to this one.
  static void on_ack(jsCtx*, natsMsg* message, jsPubAck* good, jsPubAckErr* bad, void* closure) {
    auto* self = static_cast<nats_publisher*>(closure);
    if (good == nullptr) stop_bench(std::string("nats: publish: ") + (bad != nullptr ? bad->ErrText : "no answer"));
    size_t size = static_cast<size_t>(natsMsg_GetDataLength(message));
    auto sent = read_stamp({reinterpret_cast<const uint8_t*>(natsMsg_GetData(message)), size});
    if (!sent) stop_bench("nats: publish: the library changed a message");
    natsMsg_Destroy(message);
    self->share_->acked(sent->sent_ns, now_ns());
    std::lock_guard lock(self->mutex_);
    ++self->acked_;
    self->all_acked_.notify_one();
  }

  const std::string subject_;
  nats_link link_;
  std::string payload_;
  publish_share* share_ = nullptr;
  std::mutex mutex_;
  std::condition_variable all_acked_;
  uint64_t acked_ = 0;
};

// Pulls by requests of its own: the next is sent when half of the one before has come, and messages are taken as they
// come. The library's natsSubscription_Fetch waits until a batch is full, and its 3.4 writes past the end of its list
// when messages of a request that timed out come late.
class nats_consumer final : public consumer_link {
 public:
  explicit nats_consumer(const versus_options& options)
      : pull_(options.pull),
        request_("{\"batch\":" + std::to_string(pull_) + ",\"expires\":" + std::to_string(expires_ns) + "}"),
        request_subject_("$JS.API.CONSUMER.MSG.NEXT." + options.stream + "." + options.consumer),
        link_(options.server) {
    natsInbox* inbox = nullptr;
    must_be_ok(natsInbox_Create(&inbox), "inbox");
    inbox_ = inbox;
    natsInbox_Destroy(inbox);
    must_be_ok(natsConnection_SubscribeSync(&messages_, link_.connection(), inbox_.c_str()), "subscribe");
  }
  ~nats_consumer() override { natsSubscription_Destroy(messages_); }

  void run(consume_share& share) override {
    uint64_t wanted = 0;  // asked for and not come
    while (!share.over()) {
      for (; wanted <= pull_ / 2; wanted += pull_) ask();
      natsMsg* message = nullptr;
      natsStatus status = natsSubscription_NextMsg(&message, messages_, wait_ms_max);
      if (status == NATS_TIMEOUT) continue;
      must_be_ok(status, "next message");
      wanted = take(message, share) ? wanted - 1 : 0;
      natsMsg_Destroy(message);
    }
    must_be_ok(natsConnection_FlushTimeout(link_.connection(), nats_answer_ms_max), "flush");
  }

 private:
  static constexpr int64_t expires_ns = nats_answer_ms_max * ns_per_ms;

  void ask() {
    must_be_ok(natsConnection_PublishRequest(link_.connection(), request_subject_.c_str(), inbox_.c_str(),
                                             request_.data(), static_cast<int>(request_.size())),
               "pull");
  }

  // Takes and acknowledges. False: no message, but the news that a request has ended.
  bool take(natsMsg* message, consume_share& share) {
    auto size = static_cast<size_t>(natsMsg_GetDataLength(message));
    if (size == 0) return false;
    share.take({reinterpret_cast<const uint8_t*>(natsMsg_GetData(message)), size}, now_ns());
    share.tell();
    must_be_ok(natsConnection_PublishString(link_.connection(), natsMsg_GetReply(message), "+ACK"), "ack");
    return true;
  }

  const uint64_t pull_;
  const std::string request_;
  const std::string request_subject_;
  nats_link link_;
  std::string inbox_;
  natsSubscription* messages_ = nullptr;
};

class nats_system final : public versus_system {
 public:
  explicit nats_system(const versus_options& options)
      : options_(options), batched_(options.path == "batched"), link_(options.server) {
    link_.open();
  }

  void create_stream() override {
    if (batched_) return create_batched_stream(options_);
    const std::string subject = options_.subject();
    const char* subjects[] = {subject.c_str()};
    jsStreamConfig config;
    must_be_ok(jsStreamConfig_Init(&config), "stream settings");
    config.Name = options_.stream.c_str();
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    must_be_ok(js_AddStream(nullptr, link_.stream(), &config, nullptr, nullptr), "add stream");
  }

  void create_consumer() override {
    jsConsumerConfig config;
    must_be_ok(jsConsumerConfig_Init(&config), "consumer settings");
    config.Durable = options_.consumer.c_str();
    config.AckPolicy = js_AckExplicit;
    config.AckWait = static_cast<int64_t>(ack_wait_ms) * ns_per_ms;
    config.MaxAckPending = static_cast<int64_t>(pending_max);
    must_be_ok(js_AddConsumer(nullptr, link_.stream(), options_.stream.c_str(), &config, nullptr, nullptr),
               "add consumer");
  }

  std::unique_ptr<publisher_link> publisher() override {
    if (batched_) return make_batched_publisher(options_);
    return std::make_unique<nats_publisher>(options_);
  }
  std::unique_ptr<consumer_link> consumer(unsigned) override { return std::make_unique<nats_consumer>(options_); }

  // Acknowledgements are not answered: the server is asked.
  bool settle() override {
    constexpr std::chrono::milliseconds look_again{1};
    auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(nats_answer_ms_max);
    while (std::chrono::steady_clock::now() < limit) {
      jsConsumerInfo* info = nullptr;
      must_be_ok(js_GetConsumerInfo(&info, link_.stream(), options_.stream.c_str(), options_.consumer.c_str(), nullptr,
                                    nullptr),
                 "consumer info");
      bool settled = info->NumAckPending == 0 && info->NumPending == 0;
      jsConsumerInfo_Destroy(info);
      if (settled) return true;
      std::this_thread::sleep_for(look_again);
    }
    stop_bench("nats: acknowledgements got lost");
  }

 private:
  const versus_options& options_;
  const bool batched_;
  nats_link link_;
};

std::unique_ptr<versus_system> make(const versus_options& options) {
  return std::make_unique<nats_system>(options);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::versus_main(argc, argv, weir::make);
}
