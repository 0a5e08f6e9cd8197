#include "tools/versus/weir_lane.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <deque>

#include "tools/channel.h"
#include "tools/load/bench_report.h"
#include "tools/versus/weir_calls.h"
#include "tools/versus/weir_wire.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

const std::string publish_path = "/weir.v1.Broker/Publish";
const std::string consume_path = "/weir.v1.Broker/Consume";
constexpr int connect_seconds_max = 30;

// A bidirectional call of raw bytes, driven from one thread: one read and one write at a time, completions by name.
class raw_call {
 public:
  enum class event : uintptr_t { started = 1, wrote, read, writes_done, finished };

  raw_call(const std::string& server, const std::string& path)
      : path_(path), channel_(open_channel(server)), stub_(channel_) {
    auto limit = std::chrono::system_clock::now() + std::chrono::seconds(connect_seconds_max);
    if (!channel_->WaitForConnected(limit)) stop_bench("cannot connect to " + server);
  }

  // Starts the call and reads.
  void begin() {
    call_ = stub_.PrepareCall(&context_, path_, &queue_);
    call_->StartCall(tag(event::started));
    if (!next().good) end();
    call_->Read(&input_, tag(event::read));
  }

  void write(byte_span bytes, bool more_follows) {
    grpc::Slice slice(bytes.data(), bytes.size());
    output_ = grpc::ByteBuffer(&slice, 1);
    grpc::WriteOptions options;
    // Never on a stream's first write: it would wait for the headers, and they for it.
    if (more_follows && wrote_any_) options.set_buffer_hint();
    wrote_any_ = true;
    writing_ = true;
    call_->Write(output_, options, tag(event::wrote));
  }
  bool writing() const { return writing_; }

  // The next completion, whose operation must have been good; the call's own failure ends the program.
  event next_good() {
    completion got = next();
    if (got.of == event::wrote) writing_ = false;
    if (!got.good) end();
    return got.of;
  }
  // The same, but nothing when none came in time.
  bool next_good(event& out, unsigned wait_ms) {
    void* which = nullptr;
    bool good = false;
    auto limit = std::chrono::system_clock::now() + std::chrono::milliseconds(wait_ms);
    if (queue_.AsyncNext(&which, &good, limit) != grpc::CompletionQueue::GOT_EVENT) return false;
    out = static_cast<event>(reinterpret_cast<uintptr_t>(which));
    if (out == event::wrote) writing_ = false;
    if (!good) end();
    return true;
  }

  // What was read, as one piece; read_more() must follow.
  byte_span received() {
    if (!input_.DumpToSingleSlice(&piece_).ok()) stop_bench("gRPC gave no bytes");
    return {piece_.begin(), piece_.size()};
  }
  void read_more() { call_->Read(&input_, tag(event::read)); }

  // Nothing is written any more; what was written with more_follows goes out now. A read is under way, and no write.
  void half_close() { call_->WritesDone(tag(event::writes_done)); }
  // After that, true: something was read. False: the server has ended the call, as it should.
  bool next_read() {
    for (;;) {
      completion got = next();
      if (got.of == event::writes_done) half_closed_ = true;
      if (got.of == event::read && got.good) return true;
      if (got.of == event::read) ended_ = true;
      if (!half_closed_ || !ended_) continue;
      finish();
      return false;
    }
  }
  // Ends the call from this side. A read is under way, and no write.
  void cancel() {
    context_.TryCancel();
    while (next().of != event::read) {
    }
    grpc::Status ignored;
    call_->Finish(&ignored, tag(event::finished));
    (void)next();
  }

 private:
  struct completion {
    event of;
    bool good;
  };

  static void* tag(event which) { return reinterpret_cast<void*>(static_cast<uintptr_t>(which)); }

  completion next() {
    void* which = nullptr;
    bool good = false;
    if (!queue_.Next(&which, &good)) stop_bench("gRPC's queue ended");
    return {static_cast<event>(reinterpret_cast<uintptr_t>(which)), good};
  }

  void finish() {
    grpc::Status status;
    call_->Finish(&status, tag(event::finished));
    while (next().of != event::finished) {
    }
    must_be_ok(path_, status.error_code(), status.error_message());
  }

  // An operation failed: the server ended the call before we did.
  [[noreturn]] void end() {
    finish();
    stop_bench(path_ + " was ended by the server");
  }

  const std::string path_;
  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer input_;
  grpc::ByteBuffer output_;
  grpc::Slice piece_;
  bool wrote_any_ = false;
  bool writing_ = false;
  bool half_closed_ = false;
  bool ended_ = false;
};

class lane_publisher final : public publisher_link {
 public:
  explicit lane_publisher(const versus_options& options) : options_(options), call_(options.server, publish_path) {}

  void run(publish_share& share) override {
    uint64_t batch = std::min(options_.batch, share.window());
    publish_frame frame(options_.stream, options_.subject(), batch, share);
    frame_bytes_ = frame.size();
    call_.begin();
    send(share, frame, batch);
    while (call_.writing() || !share.over(now_ns())) {
      if (call_.next_good() == raw_call::event::read) {
        take_answer(share);
        call_.read_more();
      }
      send(share, frame, batch);
    }
    call_.half_close();
    while (call_.next_read()) {
      take_answer(share);
      call_.read_more();
    }
    if (!in_flight_.empty()) stop_bench("Publish ended without an answer to every frame");
  }

 private:
  struct sent_frame {
    uint64_t number;
    uint64_t at_ns;
    uint64_t records;
  };

  bool has_room(uint64_t frames, const publish_share& share, uint64_t batch) const {
    return frames < frames_max_ && frames * batch + batch <= share.window() &&
           (frames + 1) * frame_bytes_ <= bytes_max_;
  }

  void send(publish_share& share, publish_frame& frame, uint64_t batch) {
    uint64_t now = now_ns();
    if (call_.writing() || share.over(now) || !has_room(in_flight_.size(), share, batch)) return;
    uint64_t number = next_number_++;
    byte_span bytes = frame.renew(share, number, batch, now);
    in_flight_.push_back({number, now, batch});
    call_.write(bytes, has_room(in_flight_.size(), share, batch));
  }

  void take_answer(publish_share& share) {
    byte_span bytes = call_.received();
    if (!answer_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
      stop_bench("an answer that is no message");
    if (!answer_.success()) stop_bench("Publish: " + answer_.result_code() + ": " + answer_.message());
    if (in_flight_.empty() || answer_.frame() != in_flight_.front().number ||
        answer_.count() != in_flight_.front().records) {
      stop_bench("Publish: an answer to another frame");
    }
    share.acked(in_flight_.front().at_ns, now_ns(), in_flight_.front().records);
    in_flight_.pop_front();
    if (!answer_.has_limits()) return;
    frames_max_ = answer_.limits().inflight_frames_max();
    bytes_max_ = answer_.limits().inflight_bytes_max();
  }

  const versus_options& options_;
  raw_call call_;
  weir::v1::PublishBatchAck answer_;
  std::deque<sent_frame> in_flight_;
  uint64_t next_number_ = 1;
  uint64_t frame_bytes_ = 0;
  // Until the first answer tells: one frame.
  uint64_t frames_max_ = 1;
  uint64_t bytes_max_ = UINT64_MAX;
};

class lane_consumer final : public consumer_link {
 public:
  explicit lane_consumer(const versus_options& options) : options_(options), call_(options.server, consume_path) {}

  void run(consume_share& share) override {
    std::string request;
    put_text_field(1, options_.stream, request);
    put_text_field(2, options_.consumer, request);
    put_credit(credit_messages, credit_bytes, request);
    call_.begin();
    call_.write(as_bytes(request), false);
    while (!share.over() || confirmed_ < asked_ || call_.writing() || !unacked_.empty()) {
      raw_call::event what{};
      // Acknowledgements gather: as many as a pull takes elsewhere, or what there is when nothing more comes.
      bool came = call_.next_good(what, unacked_.empty() ? wait_ms_max : linger_ms);
      if (came && what == raw_call::event::read) take(share);
      bool due = unacked_.size() >= options_.pull || !came || share.over();
      if (due && !call_.writing() && !unacked_.empty()) acknowledge();
    }
    call_.cancel();
  }

 private:
  static constexpr uint64_t credit_messages = 16'384;
  static constexpr uint64_t credit_bytes = 16u << 20;
  static constexpr unsigned linger_ms = 1;

  static void put_credit(uint64_t messages, uint64_t bytes, std::string& out) {
    put_number_field(3, messages, out);
    put_number_field(4, bytes, out);
  }

  void take(consume_share& share) {
    byte_span bytes = call_.received();
    read_delivered(bytes, share, batch_);
    share.tell();
    if (batch_.messages != 0) {
      unacked_.insert(unacked_.end(), batch_.seqs.begin(), batch_.seqs.end());
      used_bytes_ += bytes.size();
    }
    if (batch_.confirmed != 0) {
      confirmed_ = batch_.confirmed;
      share.acked(now_ns());
    }
    call_.read_more();
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
    call_.write(as_bytes(request), false);
  }

  const versus_options& options_;
  raw_call call_;
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
