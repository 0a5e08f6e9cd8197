#include "net/publish_wire.h"

#include "storage/codec.h"

namespace weir {
namespace {

// Protobuf's wire types.
constexpr uint64_t varint_type = 0, fixed64_type = 1, counted_type = 2, group_type = 3, group_end_type = 4,
                   fixed32_type = 5;
constexpr int group_depth_max = 100;

constexpr uint64_t tag(uint64_t field, uint64_t type) {
  return field << 3 | type;
}

void skip(byte_reader& in, uint64_t key, int depth = 0) {
  if (key >> 3 == 0 || depth > group_depth_max) return in.bad();
  switch (key & 7) {
    case varint_type:
      in.varint();
      return;
    case fixed64_type:
      in.raw(8);
      return;
    case counted_type:
      in.counted();
      return;
    case fixed32_type:
      in.raw(4);
      return;
    case group_type:  // not in proto3, but protobuf skips them
      while (in.good()) {
        uint64_t inner = in.varint();
        if (inner == tag(key >> 3, group_end_type)) return;
        skip(in, inner, depth + 1);
      }
      return;
    default:
      in.bad();
  }
}

// One more header element, tag included: grows the view if it follows the last one, else copies all together.
void add_header(byte_span element, decoded_publish& into) {
  byte_span& headers = into.request.headers;
  if (headers.empty()) {
    headers = element;
  } else if (into.gathered_headers.empty() && headers.data() + headers.size() == element.data()) {
    headers = {headers.data(), headers.size() + element.size()};
  } else {
    if (into.gathered_headers.empty()) into.gathered_headers = as_text(headers);
    into.gathered_headers += as_text(element);
    headers = as_bytes(into.gathered_headers);
  }
}

}  // namespace

bool decode_publish(byte_span bytes, decoded_publish& into) {
  byte_reader in(bytes);
  publish_request& request = into.request;
  while (in.left() != 0) {
    const uint8_t* start = bytes.data() + (bytes.size() - in.left());
    uint64_t key = in.varint();
    switch (key) {
      case tag(1, counted_type):
        request.stream = in.counted();
        break;
      case tag(2, counted_type):
        request.subject = in.counted();
        break;
      case tag(3, counted_type):
        request.payload = as_bytes(in.counted());
        break;
      case tag(4, counted_type): {
        in.counted();
        const uint8_t* end = bytes.data() + (bytes.size() - in.left());
        if (in.good()) add_header({start, static_cast<size_t>(end - start)}, into);
        break;
      }
      case tag(5, varint_type):
        request.ts_ms = static_cast<int64_t>(in.varint());
        break;
      case tag(6, varint_type):
        request.expected_last_seq = in.varint();
        break;
      case tag(1000, counted_type):
        request.message_id = in.counted();
        break;
      case tag(1001, varint_type):
        request.ttl_ms = in.varint();
        break;
      case tag(1002, varint_type):
        request.deliver_at_ms = static_cast<int64_t>(in.varint());
        break;
      default:
        skip(in, key);
    }
  }
  return in.good();
}

bool decode_publish_all(byte_span bytes, size_t messages_max, std::deque<decoded_publish>& into) {
  byte_reader in(bytes);
  while (in.left() != 0) {
    const uint64_t key = in.varint();
    if (key != tag(1, counted_type)) {
      skip(in, key);
      continue;
    }
    const byte_span message = as_bytes(in.counted());
    if (!in.good() || into.size() > messages_max) break;
    if (!decode_publish(message, into.emplace_back())) return false;
  }
  return in.good();
}

reply encode_published(const published& done) {
  reply out;
  byte_writer to(out.head);
  out.head += std::string_view("\x08\x01\x12\x02ok\x20", 7);  // success, result_code "ok", the tag of seq
  to.varint(done.seq.raw());
  if (done.duplicate) {
    to.varint(tag(1000, varint_type));
    to.u8(1);
  }
  if (done.scheduled) {
    to.varint(tag(1001, varint_type));
    to.u8(1);
  }
  return out;
}

}  // namespace weir
