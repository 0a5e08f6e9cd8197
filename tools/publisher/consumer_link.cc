#include "tools/publisher/consumer_link.h"

#include <fmt/core.h>

#include "tools/load/wire.h"

namespace weir {
namespace {

// Field numbers of FetchResponse and ConsumeBatch, and of MessagePb.
constexpr uint32_t success_field = 1, code_field = 2, message_field = 3, messages_field = 4, damaged_field = 1000,
                   confirmed_field = 1001;
constexpr uint32_t seq_field = 1;

uint64_t seq_of(byte_span message) {
  field_reader fields(message);
  for (wire_field field; fields.next(field);) {
    if (field.number == seq_field) return field.value;
  }
  return 0;
}

}  // namespace

void consumer_link::fail_with(const std::string& why) {
  if (failure_.empty()) failure_ = why;
}

bool consumer_link::is_ok(const call_answer& answer) {
  if (answer.grpc_status == 0) return true;
  fail_with(fmt::format("status {}: {}", answer.grpc_status, answer.status_message));
  return false;
}

consumer_link::taken consumer_link::take(const place& of, byte_span answer, std::vector<uint64_t>& seqs) {
  const uint64_t at_ns = now_ns();
  const size_t before = seqs.size();
  bool success = false;
  bool damaged = false;
  std::string code;
  std::string message;
  taken made;
  field_reader fields(answer);
  for (wire_field field; fields.next(field);) {
    if (field.number == messages_field) seqs.push_back(seq_of(field.bytes));
    if (field.number == success_field) success = field.value != 0;
    if (field.number == code_field) code = as_text(field.bytes);
    if (field.number == message_field) message = as_text(field.bytes);
    if (field.number == damaged_field) damaged = true;
    if (field.number == confirmed_field) made.confirmed = field.value;
  }
  if (!fields.good()) fail_with("an answer that is no protobuf message");
  if (fields.good() && !success) fail_with(fmt::format("stream '{}': {}: {}", of.name, code, message));
  if (damaged) fail_with(fmt::format("stream '{}': the broker says that messages are damaged", of.name));
  for (size_t first = before; first < seqs.size();) {
    size_t end = first + 1;
    while (end < seqs.size() && seqs[end] == seqs[end - 1] + 1) ++end;
    match_.delivered(of.stream, seqs[first], end - first, at_ns);
    first = end;
  }
  made.messages = seqs.size() - before;
  return made;
}

}  // namespace weir
