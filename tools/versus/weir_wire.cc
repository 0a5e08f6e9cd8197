#include "tools/versus/weir_wire.h"

#include "storage/check.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr uint32_t varint = 0, fixed64 = 1, with_length = 2, fixed32 = 5;

// Field numbers of FetchResponse and ConsumeBatch, MessagePb, PublishBatch and PublishRecord.
constexpr uint32_t success_field = 1, code_field = 2, message_field = 3, messages_field = 4, damaged_field = 1000,
                   confirmed_field = 1001;
constexpr uint32_t seq_field = 1, subject_field = 2, payload_field = 5;
constexpr uint32_t stream_field = 1, frame_field = 2;

constexpr size_t padded_varint_bytes = 8;

[[noreturn]] void malformed() {
  stop_bench("the server sent something that is no protobuf message");
}

uint64_t take_varint(byte_span& left) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (left.empty()) malformed();
    uint8_t next = left[0];
    left = left.subspan(1);
    value |= static_cast<uint64_t>(next & 0x7f) << shift;
    if ((next & 0x80) == 0) return value;
  }
  malformed();
}

// Always padded_varint_bytes long, so that a number can change in place.
void put_padded_varint(uint64_t value, uint8_t* to) {
  for (size_t n = 0; n + 1 < padded_varint_bytes; ++n) to[n] = static_cast<uint8_t>(value >> (7 * n) | 0x80);
  to[padded_varint_bytes - 1] = static_cast<uint8_t>(value >> (7 * (padded_varint_bytes - 1)) & 0x7f);
}

// Sequence and payload of a MessagePb.
uint64_t read_message(byte_span left, consume_share& share, uint64_t at_ns) {
  uint64_t seq = 0;
  bool has_payload = false;
  for (wire_field field; next_field(left, field);) {
    if (field.number == seq_field) seq = field.value;
    if (field.number != payload_field) continue;
    share.take(field.bytes, at_ns);
    has_payload = true;
  }
  if (!has_payload) stop_bench("a message came back without its payload");
  return seq;
}

}  // namespace

void put_varint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void put_number_field(uint32_t field, uint64_t value, std::string& out) {
  put_varint(uint64_t{field} << 3 | varint, out);
  put_varint(value, out);
}

void put_text_field(uint32_t field, std::string_view text, std::string& out) {
  put_varint(uint64_t{field} << 3 | with_length, out);
  put_varint(text.size(), out);
  out.append(text);
}

void put_numbers_field(uint32_t field, const std::vector<uint64_t>& numbers, std::string& out) {
  std::string packed;
  for (uint64_t number : numbers) put_varint(number, packed);
  put_text_field(field, packed, out);
}

bool next_field(byte_span& left, wire_field& out) {
  if (left.empty()) return false;
  uint64_t tag = take_varint(left);
  out.number = static_cast<uint32_t>(tag >> 3);
  out.bytes = {};
  switch (tag & 7) {
    case varint:
      out.value = take_varint(left);
      return true;
    case with_length: {
      uint64_t size = take_varint(left);
      if (size > left.size()) malformed();
      out.bytes = left.first(static_cast<size_t>(size));
      left = left.subspan(static_cast<size_t>(size));
      return true;
    }
    case fixed64:
    case fixed32: {
      size_t size = (tag & 7) == fixed64 ? 8 : 4;
      if (size > left.size()) malformed();
      left = left.subspan(size);
      return true;
    }
    default:
      malformed();
  }
}

void read_delivered(byte_span bytes, consume_share& share, delivered_batch& out) {
  uint64_t at_ns = now_ns();
  out.success = false;
  out.confirmed = 0;
  out.messages = 0;
  out.seqs.clear();
  for (wire_field field; next_field(bytes, field);) {
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
        ++out.messages;
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
  if (!out.success) stop_bench("the server refused: " + out.result_code + ": " + out.message);
}

publish_frame::publish_frame(std::string_view stream, std::string_view subject, uint64_t records,
                             const publish_share& share) {
  std::string record;
  put_text_field(subject_field, subject, record);
  put_text_field(payload_field, std::string(share.payload_bytes(), '\0'), record);
  payload_at_ = record.size() - share.payload_bytes();
  put_text_field(stream_field, stream, bytes_);
  put_varint(uint64_t{frame_field} << 3 | varint, bytes_);
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
