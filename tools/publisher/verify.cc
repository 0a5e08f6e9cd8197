#include "tools/publisher/verify.h"

#include <fmt/core.h>

#include <algorithm>
#include <span>
#include <tuple>

#include "tools/channel.h"
#include "tools/payload_hash.h"
#include "tools/publisher/prepare.h"

namespace weir {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using namespace waymaker::streams;

constexpr uint32_t batch_messages = 1000;
constexpr uint64_t batch_bytes_wanted = 2u << 20;
constexpr size_t acks_under_way_max = 256;
constexpr size_t examples_max = 5;
constexpr auto call_deadline = 30s;

// One Ack call. Reused.
struct ack_call {
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<AckResponse>> reader;
  AckRequest request;
  AckResponse response;
  grpc::Status status;
};

// Acknowledges with many calls under way; flush() waits for all of them.
class acker {
 public:
  acker(WaymakerStreamsService::Stub& stub, const std::string& stream, const std::string& consumer)
      : stub_(stub), calls_(acks_under_way_max) {
    for (ack_call& call : calls_) {
      call.request.set_stream(stream);
      call.request.set_consumer(consumer);
      free_.push_back(&call);
    }
  }
  acker(const acker&) = delete;
  acker& operator=(const acker&) = delete;
  ~acker() {
    flush();
    queue_.Shutdown();
    void* tag = nullptr;
    bool good = false;
    while (queue_.Next(&tag, &good)) {
    }
  }

  void ack(uint64_t seq) {
    if (free_.empty()) take_one();
    ack_call& call = *free_.back();
    free_.pop_back();
    call.reader.reset();
    call.context.emplace();
    call.request.set_seq(seq);
    call.reader = stub_.PrepareAsyncAck(&*call.context, call.request, &queue_);
    call.reader->StartCall();
    call.reader->Finish(&call.response, &call.status, &call);
  }

  void flush() {
    while (free_.size() < calls_.size()) take_one();
  }

  // The first failure in words; empty if there was none.
  const std::string& failure() const { return failure_; }

 private:
  void take_one() {
    void* tag = nullptr;
    bool good = false;
    if (!queue_.Next(&tag, &good)) return;
    auto& call = *static_cast<ack_call*>(tag);
    free_.push_back(&call);
    if (!failure_.empty() || (call.status.ok() && call.response.success())) return;
    const std::string why = call.status.ok() ? call.response.message() : to_text(call.status);
    failure_ = fmt::format("ack of message {}: {}", call.request.seq(), why);
  }

  WaymakerStreamsService::Stub& stub_;
  grpc::CompletionQueue queue_;
  std::vector<ack_call> calls_;
  std::vector<ack_call*> free_;
  std::string failure_;
};

// Compares one delivered message after the other with the sorted list of acknowledged ones.
class comparer {
 public:
  comparer(std::span<const acknowledged> sent, verify_report& report) : sent_(sent), report_(report) {}

  bool all_seen() const { return next_ == sent_.size(); }

  void see(const MessagePb& message) {
    ++report_.read;
    if (message.seq() <= last_seq_) {
      ++report_.out_of_order;
      example(fmt::format("message {} came after message {}", message.seq(), last_seq_));
      return;
    }
    last_seq_ = message.seq();
    while (next_ < sent_.size() && sent_[next_].seq < message.seq()) skip_missing();
    if (next_ == sent_.size() || sent_[next_].seq != message.seq()) {
      ++report_.foreign;
      return;
    }
    const acknowledged& expected = sent_[next_++];
    if (expected.hash == payload_hash(message.payload())) {
      ++report_.matched;
    } else {
      ++report_.different;
      example(fmt::format("message {} has other bytes than were acknowledged", message.seq()));
    }
  }

  void end() {
    while (next_ < sent_.size()) skip_missing();
  }

 private:
  void skip_missing() {
    ++report_.missing;
    example(fmt::format("message {} was acknowledged but is not there", sent_[next_].seq));
    ++next_;
  }

  void example(std::string text) {
    if (report_.failures.size() < examples_max) report_.failures.push_back(std::move(text));
  }

  std::span<const acknowledged> sent_;
  verify_report& report_;
  size_t next_ = 0;
  uint64_t last_seq_ = 0;
};

class verifier {
 public:
  verifier(connections& broker, std::string stream, verify_report& report)
      : stub_(broker.first()), stream_(std::move(stream)), consumer_(run_consumer_name()), report_(report) {}

  void run(std::span<const acknowledged> sent) {
    if (!create(sent.front().seq)) return;
    read_all(sent);
    remove();
  }

 private:
  template <class Response>
  bool accepted(const char* what, const grpc::Status& status, const Response& response) {
    if (status.ok() && response.success()) return true;
    const std::string why = status.ok() ? response.result_code() + ": " + response.message() : to_text(status);
    report_.failures.push_back(fmt::format("{}: {}", what, why));
    return false;
  }

  bool create(uint64_t first_seq) {
    CreateConsumerRequest request;
    request.set_stream(stream_);
    request.mutable_config()->set_name(consumer_);
    request.mutable_config()->mutable_delivery_policy()->set_type(DELIVERY_BY_START_SEQ);
    request.mutable_config()->mutable_delivery_policy()->set_start_seq(first_seq);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + call_deadline);
    CreateConsumerResponse response;
    const grpc::Status status = stub_.CreateConsumer(&context, request, &response);
    return accepted("CreateConsumer", status, response);
  }

  void read_all(std::span<const acknowledged> sent) {
    acker acks(stub_, stream_, consumer_);
    comparer compare(sent, report_);
    FetchRequest request;
    request.set_stream(stream_);
    request.set_consumer(consumer_);
    request.set_batch_size(batch_messages);
    FetchResponse response;
    while (!compare.all_seen()) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + call_deadline);
      const grpc::Status status = stub_.Fetch(&context, request, &response);
      if (!accepted("Fetch", status, response) || response.messages().empty()) break;
      for (const MessagePb& message : response.messages()) {
        compare.see(message);
        acks.ack(message.seq());
      }
      request.set_batch_size(next_batch(response));
    }
    compare.end();
    acks.flush();
    if (!acks.failure().empty()) report_.failures.push_back(acks.failure());
  }

  // As many messages as keep an answer near the wanted size.
  static uint32_t next_batch(const FetchResponse& response) {
    const uint64_t each =
        std::max<uint64_t>(1, response.ByteSizeLong() / static_cast<uint64_t>(response.messages_size()));
    return static_cast<uint32_t>(std::clamp<uint64_t>(batch_bytes_wanted / each, 1, batch_messages));
  }

  void remove() {
    DeleteConsumerRequest request;
    request.set_stream(stream_);
    request.set_consumer(consumer_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + call_deadline);
    DeleteConsumerResponse response;
    const grpc::Status status = stub_.DeleteConsumer(&context, request, &response);
    (void)accepted("DeleteConsumer", status, response);
  }

  WaymakerStreamsService::Stub& stub_;
  std::string stream_;
  std::string consumer_;
  verify_report& report_;
};

// Messages of one stream, by sequence.
void look_at_order(std::span<const acknowledged> sent, verify_report& report) {
  uint64_t highest = 0;
  for (size_t i = 0; i < sent.size(); ++i) {
    if (i > 0 && sent[i].seq == sent[i - 1].seq) {
      report.failures.push_back(fmt::format("two messages were acknowledged with sequence {}", sent[i].seq));
    }
    report.moved += sent[i].number < highest ? 1 : 0;
    highest = std::max(highest, sent[i].number);
  }
}

}  // namespace

verify_report verify(connections& broker, const publisher_options& options, std::vector<acknowledged>& sent) {
  verify_report report;
  const steady_time started = steady_clock::now();
  std::sort(sent.begin(), sent.end(), [](const acknowledged& a, const acknowledged& b) {
    return std::tie(a.stream, a.seq) < std::tie(b.stream, b.seq);
  });
  const std::vector<std::string> streams = stream_names(options);
  for (auto first = sent.begin(); first != sent.end();) {
    const auto end = std::find_if(first, sent.end(), [&](const acknowledged& a) { return a.stream != first->stream; });
    const std::span<const acknowledged> of_stream(first, end);
    look_at_order(of_stream, report);
    verifier(broker, streams[first->stream], report).run(of_stream);
    first = end;
  }
  report.seconds = std::chrono::duration<double>(steady_clock::now() - started).count();
  return report;
}

}  // namespace weir
