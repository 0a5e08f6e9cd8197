#include "tools/versus/weir_wire.h"

#include "storage/check.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

// Field numbers of FetchResponse and ConsumeBatch, MessagePb, PublishBatch and PublishRecord.
constexpr uint32_t success_field = 1, code_field = 2, message_field = 3, messages_field = 4, damaged_field = 1000,
                   confirmed_field = 1001;
constexpr uint32_t seq_field = 1, subject_field = 2, payload_field = 5;
constexpr uint32_t stream_field = 1, frame_field = 2;

constexpr size_t padded_varint_bytes = 8;

[[noreturn]] void malformed() {
  stop_bench("the server sent something that is no protobuf message");
}

// Always padded_varint_bytes long, so that a number can change in place.
void put_padded_varint(uint64_t value, uint8_t* to) {
  for (size_t n = 0; n + 1 < padded_varint_bytes; ++n) to[n] = static_cast<uint8_t>(value >> (7 * n) | 0x80);
  to[padded_varint_bytes - 1] = static_cast<uint8_t>(value >> (7 * (padded_varint_bytes - 1)) & 0x7f);
}

// Sequence and payload of a MessagePb.
uint64_t read_message(byte_span bytes, consume_share& share, uint64_t at_ns) {
  uint64_t seq = 0;
  bool has_payload = false;
  field_reader fields(bytes);
  for (wire_field field; fields.next(field);) {
    if (field.number == seq_field) seq = field.value;
    if (field.number != payload_field) continue;
    share.take(field.bytes, at_ns);
    has_payload = true;
  }
  if (!fields.good()) malformed();
  if (!has_payload) stop_bench("a message came back without its payload");
  return seq;
}

}  // namespace

void read_delivered(byte_span bytes, consume_share& share, delivered_batch& out) {
  uint64_t at_ns = now_ns();
  out.success = false;
  out.confirmed = 0;
  out.seqs.clear();
  field_reader fields(bytes);
  for (wire_field field; fields.next(field);) {
    switch (field.number) {
      case success_field:
        out.success = field.value != 0;
        break;
      case code_field:
        out.result_code = as_text(field.bytes);
        break;
      case message_field:
        out.message = as_text(field.bytes);
        break;
      case messages_field:
        out.seqs.push_back(read_message(field.bytes, share, at_ns));
        break;
      case damaged_field:
        stop_bench("the server says that it lost messages");
      case confirmed_field:
        out.confirmed = field.value;
        break;
      default:
        break;
    }
  }
  if (!fields.good()) malformed();
  if (!out.success) stop_bench("the server refused: " + out.result_code + ": " + out.message);
}

publish_frame::publish_frame(std::string_view stream, std::string_view subject, uint64_t records,
                             const publish_share& share) {
  std::string record;
  put_text_field(subject_field, subject, record);
  put_text_field(payload_field, std::string(share.payload_bytes(), '\0'), record);
  payload_at_ = record.size() - share.payload_bytes();
  put_text_field(stream_field, stream, bytes_);
  put_tag(frame_field, wire_type::varint, bytes_);
  number_at_ = bytes_.size();
  bytes_.append(padded_varint_bytes, '\0');
  records_at_ = bytes_.size();
  std::string element;
  put_text_field(messages_field, record, element);
  payload_at_ += element.size() - record.size();
  record_bytes_ = element.size();
  for (uint64_t n = 0; n < records; ++n) bytes_.append(element);
}

byte_span publish_frame::renew(publish_share& share, uint64_t number, uint64_t count, uint64_t at_ns) {
  auto* bytes = reinterpret_cast<uint8_t*>(bytes_.data());
  size_t size = records_at_ + static_cast<size_t>(count) * record_bytes_;
  WEIR_CHECK(size <= bytes_.size());
  put_padded_varint(number, bytes + number_at_);
  for (size_t at = records_at_ + payload_at_; at < size; at += record_bytes_) {
    if (fresh_) {
      share.next(bytes + at, at_ns);
    } else {
      share.renew(bytes + at, at_ns);
    }
  }
  if (size == bytes_.size()) fresh_ = false;
  return {bytes, size};
}

}  // namespace weir
