// versus-nats: the JetStream part of a comparison, by libnats: asynchronous publishing, and a durable pull consumer
// that every connection of the process shares.
#include <nats/nats.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tools/load/bench_report.h"
#include "tools/versus/worker.h"

namespace weir {
namespace {

constexpr int64_t answer_ms_max = 60'000;
constexpr int64_t ns_per_ms = 1'000'000;

void must(natsStatus status, const char* what) {
  if (status != NATS_OK) stop_bench(std::string("nats: ") + what + ": " + natsStatus_GetText(status));
}

// A connection with its JetStream context.
class nats_link {
 public:
  explicit nats_link(const std::string& server) {
    must(natsConnection_ConnectTo(&connection, ("nats://" + server).c_str()), "connect");
  }
  nats_link(const nats_link&) = delete;
  ~nats_link() {
    jsCtx_Destroy(stream);
    natsConnection_Destroy(connection);
  }

  void open(jsOptions& settings) {
    settings.Wait = answer_ms_max;
    must(natsConnection_JetStream(&stream, connection, &settings), "JetStream");
  }
  void open() {
    jsOptions settings;
    must(jsOptions_Init(&settings), "options");
    open(settings);
  }

  natsConnection* connection = nullptr;
  jsCtx* stream = nullptr;
};

class nats_publisher final : public publisher_link {
 public:
  explicit nats_publisher(const versus_options& options)
      : subject_(options.subject()), link_(options.server), payload_(options.size, '\0') {
    jsOptions settings;
    must(jsOptions_Init(&settings), "options");
    settings.PublishAsync.MaxPending =
        static_cast<int64_t>(std::max<uint64_t>(1, options.in_flight / options.connections));
    settings.PublishAsync.StallWait = answer_ms_max;
    settings.PublishAsync.AckHandler = &nats_publisher::on_ack;
    settings.PublishAsync.AckHandlerClosure = this;
    link_.open(settings);
  }

  void run(publish_share& share) override {
    share_ = &share;
    auto* payload = reinterpret_cast<uint8_t*>(payload_.data());
    for (uint64_t now = now_ns(); !share.over(now); now = now_ns()) {
      share.next(payload, now);
      must(js_PublishAsync(link_.stream, subject_.c_str(), payload_.data(), static_cast<int>(payload_.size()), nullptr),
           "publish");
    }
    jsPubOptions wait;
    must(jsPubOptions_Init(&wait), "publish options");
    wait.MaxWait = answer_ms_max;
    must(js_PublishAsyncComplete(link_.stream, &wait), "publish");
    // The library counts a message as complete a moment before it calls on_ack.
    std::unique_lock lock(mutex_);
    if (!all_acked_.wait_for(lock, std::chrono::milliseconds(answer_ms_max), [&] { return acked_ == share.sent(); })) {
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

class nats_consumer final : public consumer_link {
 public:
  explicit nats_consumer(const versus_options& options) : pull_(static_cast<int>(options.pull)), link_(options.server) {
    link_.open();
    jsSubOptions settings;
    must(jsSubOptions_Init(&settings), "subscription options");
    settings.Stream = options.stream.c_str();
    settings.Consumer = options.consumer.c_str();
    must(js_PullSubscribe(&subscription_, link_.stream, options.subject().c_str(), options.consumer.c_str(), nullptr,
                          &settings, nullptr),
         "pull subscribe");
  }
  ~nats_consumer() override { natsSubscription_Destroy(subscription_); }

  void run(consume_share& share) override {
    while (!share.over()) {
      natsMsgList list;
      natsStatus status = natsSubscription_Fetch(&list, subscription_, pull_, wait_ms_max, nullptr);
      if (status == NATS_TIMEOUT) continue;
      must(status, "fetch");
      uint64_t now = now_ns();
      for (int n = 0; n < list.Count; ++n) {
        natsMsg* message = list.Msgs[n];
        share.take({reinterpret_cast<const uint8_t*>(natsMsg_GetData(message)),
                    static_cast<size_t>(natsMsg_GetDataLength(message))},
                   now);
        must(natsMsg_Ack(message, nullptr), "ack");
      }
      share.tell();
      natsMsgList_Destroy(&list);
    }
    must(natsConnection_FlushTimeout(link_.connection, answer_ms_max), "flush");
  }

 private:
  int pull_;
  nats_link link_;
  natsSubscription* subscription_ = nullptr;
};

class nats_system final : public versus_system {
 public:
  explicit nats_system(const versus_options& options) : options_(options), link_(options.server) { link_.open(); }

  void create_stream() override {
    const std::string subject = options_.subject();
    const char* subjects[] = {subject.c_str()};
    jsStreamConfig config;
    must(jsStreamConfig_Init(&config), "stream settings");
    config.Name = options_.stream.c_str();
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Storage = js_FileStorage;
    must(js_AddStream(nullptr, link_.stream, &config, nullptr, nullptr), "add stream");
  }

  void create_consumer() override {
    jsConsumerConfig config;
    must(jsConsumerConfig_Init(&config), "consumer settings");
    config.Durable = options_.consumer.c_str();
    config.AckPolicy = js_AckExplicit;
    config.AckWait = static_cast<int64_t>(ack_wait_ms) * ns_per_ms;
    config.MaxAckPending = static_cast<int64_t>(pending_max);
    must(js_AddConsumer(nullptr, link_.stream, options_.stream.c_str(), &config, nullptr, nullptr), "add consumer");
  }

  std::unique_ptr<publisher_link> publisher() override { return std::make_unique<nats_publisher>(options_); }
  std::unique_ptr<consumer_link> consumer(unsigned) override { return std::make_unique<nats_consumer>(options_); }

  // Acknowledgements are not answered: the server is asked.
  bool settle() override {
    constexpr std::chrono::milliseconds look_again{1};
    auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(answer_ms_max);
    while (std::chrono::steady_clock::now() < limit) {
      jsConsumerInfo* info = nullptr;
      must(
          js_GetConsumerInfo(&info, link_.stream, options_.stream.c_str(), options_.consumer.c_str(), nullptr, nullptr),
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
