#include "tests/bench/lane_load.h"

#include <poll.h>

#include <chrono>

#include "tools/load/bench_report.h"
#include "tools/load/wire.h"

namespace weir {
namespace {

constexpr const char* publish_path = "/weir.v1.Broker/Publish";
// Field numbers of PublishBatch and PublishRecord.
constexpr uint32_t stream_field = 1, frame_field = 2, messages_field = 4, subject_field = 2, payload_field = 5;
constexpr uint8_t success_tag = 0x08;  // PublishBatchAck.success, the first field of an answer
constexpr size_t unsent_bytes_max = 256u << 10;
constexpr int silence_ms_max = 60'000;

}  // namespace

lane_load::lane_load(const std::string& target, settings wanted) : settings_(std::move(wanted)) {
  make_records();
  for (unsigned n = 0; n < settings_.connections; ++n) {
    link& made = links_.emplace_back();
    made.connection = std::make_unique<h2_connection>(target);
    made.call = made.connection->start_bidirectional(publish_path, n);
    made.connection->flush();
  }
}

void lane_load::make_records() {
  settings_.subject(0, subject_);
  std::string record;
  const std::string payload(settings_.payload_bytes, 'p');
  for (size_t n = 0; n < settings_.records; ++n) {
    record.clear();
    put_text_field(subject_field, subject_, record);
    const size_t subject_ends = record.size();
    put_text_field(payload_field, payload, record);
    put_text_field(messages_field, record, records_);
    subjects_.push_back(records_.size() - record.size() + subject_ends - subject_.size());
  }
}

void lane_load::send_frame(link& to, unsigned number) {
  for (const size_t at : subjects_) {
    settings_.subject(messages_++, subject_);
    records_.replace(at, subject_.size(), subject_);
  }
  frame_.clear();
  std::string stream = settings_.stream(number, to.sent);
  if (stream != to.stream) {
    put_text_field(stream_field, stream, frame_);
    to.stream = std::move(stream);
  }
  put_number_field(frame_field, ++to.sent, frame_);
  frame_ += records_;
  to.connection->send(to.call, as_bytes(frame_));
}

void lane_load::streamed(uint64_t tag, byte_span message) {
  if (message.size() < 2 || message[0] != success_tag || message[1] != 1) {
    stop_bench("Publish: " + std::string(as_text(message)));
  }
  ++links_[tag].answered;
}

void lane_load::done(const call_answer& answer) {
  stop_bench("Publish ended: " + std::string(answer.status_message));
}

bool lane_load::all_answered() const {
  for (const link& each : links_) {
    if (each.answered != each.sent) return false;
  }
  return true;
}

void lane_load::receive() {
  std::vector<pollfd> watched;
  for (link& each : links_) watched.push_back({each.connection->descriptor(), POLLIN, 0});
  if (::poll(watched.data(), watched.size(), silence_ms_max) == 0) stop_bench("no answer from the server");
  for (size_t n = 0; n < watched.size(); ++n) {
    if (watched[n].revents != 0) links_[n].connection->receive(*this);
  }
}

double lane_load::publish(uint64_t messages) {
  const auto start = std::chrono::steady_clock::now();
  for (uint64_t begun = 0; begun < messages || !all_answered();) {
    for (unsigned n = 0; n < links_.size(); ++n) {
      link& each = links_[n];
      while (begun < messages && each.sent - each.answered < settings_.frames_max &&
             each.connection->unsent(each.call) < unsent_bytes_max) {
        send_frame(each, n);
        begun += settings_.records;
      }
      each.connection->flush();
    }
    receive();
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace weir
