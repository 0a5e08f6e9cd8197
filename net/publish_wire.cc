#include "net/publish_wire.h"

#include "net/streams_convert.h"
#include "net/typed.h"
#include "storage/codec.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

// Protobuf's wire types.
constexpr uint64_t varint_type = 0, fixed64_type = 1, counted_type = 2, group_type = 3, group_end_type = 4,
                   fixed32_type = 5;
constexpr int group_depth_max = 100;

constexpr uint64_t tag(uint64_t field, uint64_t type) {
  return field << 3 | type;
}

// Of a tag and of a size protobuf reads five bytes at most, and of a tag 32 bits.
inline uint64_t read_key(byte_reader& in) {
  const size_t before = in.left();
  const uint64_t key = in.varint();
  if (before - in.left() > 5) in.bad();
  return key & UINT32_MAX;
}

inline std::string_view counted(byte_reader& in) {
  const size_t before = in.left();
  const uint64_t size = in.varint();
  if (before - in.left() > 5) in.bad();
  return as_text(in.raw(static_cast<size_t>(size)));
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
      counted(in);
      return;
    case fixed32_type:
      in.raw(4);
      return;
    case group_type:  // not in proto3, but protobuf skips them
      while (in.good()) {
        const uint64_t inner = read_key(in);
        if (inner == tag(key >> 3, group_end_type)) return;
        skip(in, inner, depth + 1);
      }
      return;
    default:
      in.bad();
  }
}

// One more header element, tag included: true if the view can grow by it.
bool extend(byte_span& headers, byte_span element) {
  if (headers.empty()) {
    headers = element;
    return true;
  }
  if (headers.data() + headers.size() != element.data()) return false;
  headers = {headers.data(), headers.size() + element.size()};
  return true;
}

// Those that do not stand together are copied together.
void gather(byte_span& headers, byte_span element, std::string& gathered) {
  if (gathered.empty()) gathered = as_text(headers);
  gathered += as_text(element);
  headers = as_bytes(gathered);
}

// The field that `in` is in front of: from its tag to its end. Empty: cut.
byte_span counted_element(byte_span bytes, const uint8_t* start, byte_reader& in) {
  counted(in);
  const uint8_t* end = bytes.data() + (bytes.size() - in.left());
  return in.good() ? byte_span(start, static_cast<size_t>(end - start)) : byte_span();
}

// Takes a counted field whose tag was read. False: cut.
inline bool take_counted(const uint8_t*& at, const uint8_t* end, byte_span& into) {
  if (at == end) return false;
  uint64_t size = *at++;
  for (unsigned shift = 7; size >> shift != 0; shift += 7) {  // its last byte went on
    if (at == end || shift > 28) return false;
    size = (size ^ uint64_t{1} << shift) | static_cast<uint64_t>(*at++) << shift;
  }
  if (size > static_cast<size_t>(end - at)) return false;
  into = byte_span(at, static_cast<size_t>(size));
  at += size;
  return true;
}

// A weir.v1.PublishRecord, whatever is in it.
bool decode_fields(byte_span bytes, publish_request& into, std::deque<std::string>& gathered) {
  byte_reader in(bytes);
  std::string* apart = nullptr;
  while (in.left() != 0) {
    const uint8_t* start = bytes.data() + (bytes.size() - in.left());
    const uint64_t key = read_key(in);
    switch (key) {
      case tag(2, counted_type):
        into.subject = counted(in);
        break;
      case tag(3, varint_type):
        into.ts_ms = static_cast<int64_t>(in.varint());
        break;
      case tag(4, counted_type): {
        const byte_span element = counted_element(bytes, start, in);
        if (extend(into.headers, element)) break;
        if (apart == nullptr) apart = &gathered.emplace_back();
        gather(into.headers, element, *apart);
        break;
      }
      case tag(5, counted_type):
        into.payload = as_bytes(counted(in));
        break;
      case tag(1010, varint_type):
        into.expected_last_seq = in.varint();
        break;
      case tag(1011, counted_type):
        into.message_id = counted(in);
        break;
      case tag(1012, varint_type):
        into.ttl_ms = in.varint();
        break;
      case tag(1013, varint_type):
        into.deliver_at_ms = static_cast<int64_t>(in.varint());
        break;
      default:
        skip(in, key);
    }
  }
  return in.good();
}

// The same; most have a subject and a payload only.
inline bool decode_record(byte_span bytes, publish_request& into, std::deque<std::string>& gathered) {
  const uint8_t* at = bytes.data();
  const uint8_t* end = at + bytes.size();
  while (at != end) {
    byte_span value;
    const uint8_t* field = at;
    const uint8_t key = *at++;
    if (key == tag(2, counted_type) && take_counted(at, end, value)) {
      into.subject = as_text(value);
    } else if (key == tag(5, counted_type) && take_counted(at, end, value)) {
      into.payload = value;
    } else {
      return decode_fields({field, end}, into, gathered);
    }
  }
  return true;
}

}  // namespace

bool decode_publish(byte_span bytes, decoded_publish& into) {
  byte_reader in(bytes);
  publish_request& request = into.request;
  while (in.left() != 0) {
    const uint8_t* start = bytes.data() + (bytes.size() - in.left());
    uint64_t key = read_key(in);
    switch (key) {
      case tag(1, counted_type):
        request.stream = counted(in);
        break;
      case tag(2, counted_type):
        request.subject = counted(in);
        break;
      case tag(3, counted_type):
        request.payload = as_bytes(counted(in));
        break;
      case tag(4, counted_type): {
        const byte_span element = counted_element(bytes, start, in);
        if (!extend(request.headers, element)) gather(request.headers, element, into.gathered_headers);
        break;
      }
      case tag(5, varint_type):
        request.ts_ms = static_cast<int64_t>(in.varint());
        break;
      case tag(6, varint_type):
        request.expected_last_seq = in.varint();
        break;
      case tag(1000, counted_type):
        request.message_id = counted(in);
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
    const uint64_t key = read_key(in);
    if (key != tag(1, counted_type)) {
      skip(in, key);
      continue;
    }
    const byte_span message = as_bytes(counted(in));
    if (!in.good() || into.size() > messages_max) break;
    if (!decode_publish(message, into.emplace_back())) return false;
  }
  return in.good();
}

bool decode_publish_batch(byte_span bytes, size_t records_max, decoded_batch& into) {
  into.stream = {};
  into.frame = 0;
  into.atomic = false;
  into.records.clear();
  into.gathered_headers.clear();
  const uint8_t* at = bytes.data();
  const uint8_t* end = at + bytes.size();
  while (at != end) {
    byte_span record;
    const uint8_t* field = at;
    if (*at++ == tag(4, counted_type) && take_counted(at, end, record)) {
      if (into.records.size() > records_max) return true;
      if (!decode_record(record, into.records.emplace_back(), into.gathered_headers)) return false;
      continue;
    }
    byte_reader in({field, end});
    const uint64_t key = read_key(in);
    switch (key) {
      case tag(1, counted_type):
        into.stream = counted(in);
        break;
      case tag(2, varint_type):
        into.frame = in.varint();
        break;
      case tag(3, varint_type):
        into.atomic = in.varint() != 0;
        break;
      case tag(4, counted_type):  // in a longer form than it takes
        record = as_bytes(counted(in));
        if (!in.good()) return false;
        if (into.records.size() > records_max) return true;
        if (!decode_record(record, into.records.emplace_back(), into.gathered_headers)) return false;
        break;
      default:
        skip(in, key);
    }
    if (!in.good()) return false;
    at = end - in.left();
  }
  return true;
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

namespace {

void set_failed(const batch_outcome& outcome, v1::PublishBatchAck& ack) {
  const error& first = outcome.failed.front().why;
  ack.set_result_code(std::string(to_string(first.code)));
  ack.set_message("messages[" + std::to_string(outcome.failed.front().index) + "]: " + first.message);
  for (const batch_outcome::failure& one : outcome.failed) {
    v1::PublishRecordError& told = *ack.add_failed();
    told.set_index(one.index);
    told.set_result_code(std::string(to_string(one.why.code)));
    told.set_message(one.why.message);
    if (one.why.code == errc::wrong_revision) told.set_current_seq(one.why.detail);
  }
}

void set_outcome(const batch_outcome& outcome, v1::PublishBatchAck& ack) {
  ack.set_success(outcome.failed.empty());
  ack.set_result_code("ok");
  if (!outcome.failed.empty()) set_failed(outcome, ack);
  ack.set_first_seq(outcome.first.raw());
  ack.set_count(outcome.stored);
  for (uint32_t i = 0; i < outcome.each.size(); ++i) {
    ack.add_seqs(outcome.each[i].seq.raw());
    if (outcome.each[i].duplicate) ack.add_duplicates(i);
    if (outcome.each[i].scheduled) ack.add_scheduled(i);
  }
}

}  // namespace

reply encode_batch_ack(uint64_t frame, const result<batch_outcome>& outcome, const publish_limits* limits) {
  if (outcome && outcome->failed.empty() && outcome->each.empty() && limits == nullptr) {
    reply out;
    byte_writer to(out.head);
    out.head += std::string_view("\x08\x01\x12\x02ok\x20", 7);  // success, result_code "ok", the tag of frame
    to.varint(frame);
    to.u8(tag(5, varint_type));
    to.varint(outcome->first.raw());
    to.u8(tag(6, varint_type));
    to.varint(outcome->stored);
    return out;
  }
  v1::PublishBatchAck ack;
  if (outcome) {
    set_outcome(*outcome, ack);
  } else {
    ack.set_result_code(std::string(to_string(outcome.err().code)));
    ack.set_message(outcome.err().message);
  }
  ack.set_frame(frame);
  if (limits != nullptr) {
    v1::PublishLimits& told = *ack.mutable_limits();
    told.set_frame_bytes_max(limits->frame_bytes_max);
    told.set_frame_messages_max(limits->frame_messages_max);
    told.set_inflight_bytes_max(limits->inflight_bytes_max);
    told.set_inflight_frames_max(limits->inflight_frames_max);
  }
  return serialize(ack);
}

}  // namespace weir
