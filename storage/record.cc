#include "storage/record.h"

#include <bit>

#include "storage/crc32c.h"
#include "storage/utf8.h"

namespace weir {
namespace {

constexpr uint8_t tag_record = 0x22;
constexpr uint8_t tag_seq = 0x08;
constexpr uint8_t tag_subject = 0x12;
constexpr uint8_t tag_time = 0x18;
constexpr uint8_t tag_header = 0x22;
constexpr uint8_t tag_payload = 0x2a;
constexpr uint8_t tag_deliver_count = 0x30;
constexpr uint8_t tag_key = 0x0a;
constexpr uint8_t tag_value = 0x12;
constexpr uint8_t tag_epoch[2] = {0xc1, 0x3e};
constexpr uint8_t tag_crc[2] = {0xcd, 0x3e};

constexpr size_t crc_bytes = 4;
constexpr size_t crc_size = sizeof(tag_crc) + crc_bytes;
// Delivery count, epoch and checksum always take the same bytes at the end of a record.
constexpr size_t tail_size = 2 + sizeof(tag_epoch) + 8 + crc_size;

// The bits over 7, rounded up: exact for all 64 of them.
inline size_t varint_size(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) * 9 + 64) / 64;
}

inline uint8_t* put_varint(uint8_t* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<uint8_t>(value);
  return to;
}

// Two copies of a fixed size that may overlap: for sizes of Word to two of them.
template <class Word>
inline void copy_ends(uint8_t* to, const uint8_t* from, size_t size) {
  Word first;
  Word last;
  std::memcpy(&first, from, sizeof(Word));
  std::memcpy(&last, from + size - sizeof(Word), sizeof(Word));
  std::memcpy(to, &first, sizeof(Word));
  std::memcpy(to + size - sizeof(Word), &last, sizeof(Word));
}

// Subjects and many payloads are short: a call costs more than the copy.
inline uint8_t* put_bytes(uint8_t* to, const void* from, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  if (size > 16) {
    std::memcpy(to, bytes, size);
  } else if (size >= 8) {
    copy_ends<uint64_t>(to, bytes, size);
  } else if (size >= 4) {
    copy_ends<uint32_t>(to, bytes, size);
  } else {
    for (size_t i = 0; i < size; ++i) to[i] = bytes[i];
  }
  return to + size;
}

template <class Out>
void append_varint(Out& out, uint64_t value) {
  uint8_t bytes[10];
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(put_varint(bytes, value) - bytes));
}

inline size_t time_field_size(wall_ms time) {
  return time.raw() == 0 ? 0 : 1 + varint_size(static_cast<uint64_t>(time.raw()));
}

inline size_t body_size(const record_fields& fields, seq_no seq, size_t time_size) {
  size_t size = 1 + varint_size(seq.raw()) + 1 + varint_size(fields.subject.size()) + fields.subject.size();
  size += time_size + fields.headers.size();
  if (!fields.payload.empty()) size += 1 + varint_size(fields.payload.size()) + fields.payload.size();
  return size + tail_size;
}

inline size_t whole_size(size_t body) {
  return 1 + varint_size(body) + body;
}

// Takes a message apart, front to back. After the first thing that is not as it must be, `good` stays false and every
// answer is empty.
struct reader {
  const uint8_t* at;
  const uint8_t* end;
  bool good = true;

  explicit reader(byte_span bytes) : at(bytes.data()), end(bytes.data() + bytes.size()) {}
  size_t left() const { return static_cast<size_t>(end - at); }

  bool next_is(uint8_t tag) {
    if (!good || at == end || *at != tag) return false;
    ++at;
    return true;
  }
  void expect(uint8_t tag) { good = next_is(tag); }

  // Only the shortest form is canonical.
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; good && at != end && shift < 64; shift += 7) {
      uint8_t byte = *at++;
      if (shift == 63 && byte > 1) break;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (byte == 0 && shift != 0) break;
      return value;
    }
    good = false;
    return 0;
  }

  byte_span sized() {
    uint64_t size = varint();
    if (!good || size > left()) {
      good = false;
      return {};
    }
    byte_span bytes(at, static_cast<size_t>(size));
    at += size;
    return bytes;
  }
};

error damaged(std::string_view what) {
  return fail(errc::data_loss, "damaged record: " + std::string(what));
}

// The fixed fields at the end of the body.
bool read_tail(record_view& record, const uint8_t* tail) {
  if (tail[0] != tag_deliver_count || tail[1] != 1) return false;
  if (tail[2] != tag_epoch[0] || tail[3] != tag_epoch[1]) return false;
  if (tail[12] != tag_crc[0] || tail[13] != tag_crc[1]) return false;
  record.epoch = load_le<uint64_t>(tail + 4);
  return true;
}

void read_seq_and_subject(record_view& record, reader& in) {
  in.expect(tag_seq);
  record.seq = seq_no(in.varint());
  in.expect(tag_subject);
  record.subject = as_text(in.sized());
}

bool read_body(record_view& record, reader& in) {
  read_seq_and_subject(record, in);
  if (record.seq == seq_no()) return false;
  if (in.next_is(tag_time)) {
    record.time = wall_ms(static_cast<int64_t>(in.varint()));
    if (record.time == wall_ms()) return false;
  }
  const uint8_t* headers = in.at;
  while (in.next_is(tag_header)) in.sized();
  record.headers = byte_span(headers, static_cast<size_t>(in.at - headers));
  if (in.next_is(tag_payload)) {
    record.payload = in.sized();
    if (record.payload.empty()) return false;
  }
  return in.good && in.left() == 0;
}

// Calls each(key, value) for the elements; false if one is not canonical or not text.
template <class Each>
bool for_each_header(byte_span encoded, Each each) {
  for (reader all(encoded); all.left() != 0;) {
    all.expect(tag_header);
    reader one(all.sized());
    std::string_view key;
    std::string_view value;
    if (one.next_is(tag_key)) key = as_text(one.sized());
    if (one.next_is(tag_value)) value = as_text(one.sized());
    if (!all.good || !one.good || one.left() != 0 || !is_utf8(key) || !is_utf8(value)) return false;
    each(key, value);
  }
  return true;
}

error bad_headers() {
  return fail(errc::invalid_argument, "headers must be a run of {key, value} elements in UTF-8");
}

}  // namespace

size_t record_size(const record_fields& fields, seq_no seq) {
  return whole_size(body_size(fields, seq, time_field_size(fields.time)));
}

size_t records_size(const std::vector<record_fields>& run, seq_no first) {
  size_t bytes = 0;
  seq_no seq = first;
  wall_ms time;
  size_t time_size = 0;
  for (const record_fields& fields : run) {
    if (fields.time != time) time_size = time_field_size(time = fields.time);
    bytes += whole_size(body_size(fields, seq, time_size));
    seq = seq.next();
  }
  return bytes;
}

record_encoder::record_encoder(uint64_t epoch) {
  uint8_t* at = last_fields_;
  *at++ = tag_deliver_count;
  *at++ = 1;
  *at++ = tag_epoch[0];
  *at++ = tag_epoch[1];
  store_le(at, epoch);
  at += 8;
  *at++ = tag_crc[0];
  *at++ = tag_crc[1];
}

void record_encoder::set_time(wall_ms time) {
  time_ = time;
  time_size_ = 0;
  if (time.raw() == 0) return;
  time_field_[0] = tag_time;
  time_size_ = static_cast<size_t>(put_varint(time_field_ + 1, static_cast<uint64_t>(time.raw())) - time_field_);
}

size_t record_encoder::encode(uint8_t* to, const record_fields& fields, seq_no seq) {
  if (fields.time != time_) set_time(fields.time);
  uint8_t* at = to;
  *at++ = tag_record;
  at = put_varint(at, body_size(fields, seq, time_size_));
  *at++ = tag_seq;
  at = put_varint(at, seq.raw());
  *at++ = tag_subject;
  at = put_varint(at, fields.subject.size());
  at = put_bytes(at, fields.subject.data(), fields.subject.size());
  std::memcpy(at, time_field_, time_field_max);  // what is too much is written over: the tail alone is longer
  at += time_size_;
  at = put_bytes(at, fields.headers.data(), fields.headers.size());
  if (!fields.payload.empty()) {
    *at++ = tag_payload;
    at = put_varint(at, fields.payload.size());
    at = put_bytes(at, fields.payload.data(), fields.payload.size());
  }
  std::memcpy(at, last_fields_, last_fields_bytes);
  at += last_fields_bytes;
  return static_cast<size_t>(at + crc_bytes - to);
}

void record_encoder::seal(uint8_t* record, size_t size) {
  store_le(record + size - crc_bytes, crc32c({record, size - crc_size}));
}

size_t encode_record(uint8_t* to, const record_fields& fields, seq_no seq, uint64_t epoch) {
  const size_t size = record_encoder(epoch).encode(to, fields, seq);
  record_encoder::seal(to, size);
  return size;
}

result<record_view> parse_record(byte_span bytes) {
  reader outer(bytes);
  outer.expect(tag_record);
  byte_span body = outer.sized();
  if (!outer.good) return damaged("cut or without its length");
  if (body.size() < tail_size) return damaged("too short");
  record_view record;
  record.whole = bytes.first(static_cast<size_t>(outer.at - bytes.data()));
  if (!read_tail(record, body.data() + body.size() - tail_size)) return damaged("bad fields at the end");
  reader inner(body.first(body.size() - tail_size));
  if (!read_body(record, inner)) return damaged("bad fields");
  return record;
}

std::string_view record_subject(byte_span record) {
  record_view found;
  reader in(record);
  in.expect(tag_record);
  in.varint();
  read_seq_and_subject(found, in);
  return in.good ? found.subject : std::string_view();
}

result<record_view> decode_record(byte_span bytes) {
  auto record = parse_record(bytes);
  if (!record) return record;
  byte_span covered = record->whole.first(record->whole.size() - crc_size);
  if (crc32c(covered) != load_le<uint32_t>(record->whole.data() + record->whole.size() - 4)) {
    return damaged("wrong checksum");
  }
  return record;
}

std::string encode_headers(const std::vector<header>& headers) {
  std::string out;
  for (const header& each : headers) {
    std::string body;
    if (!each.key.empty()) {
      body.push_back(static_cast<char>(tag_key));
      append_varint(body, each.key.size());
      body += each.key;
    }
    if (!each.value.empty()) {
      body.push_back(static_cast<char>(tag_value));
      append_varint(body, each.value.size());
      body += each.value;
    }
    out.push_back(static_cast<char>(tag_header));
    append_varint(out, body.size());
    out += body;
  }
  return out;
}

result<std::vector<header>> decode_headers(byte_span encoded) {
  std::vector<header> headers;
  bool good = for_each_header(encoded, [&](std::string_view key, std::string_view value) {
    headers.push_back(header{std::string(key), std::string(value)});
  });
  if (!good) return bad_headers();
  return headers;
}

result<void> check_headers(byte_span encoded) {
  if (!for_each_header(encoded, [](std::string_view, std::string_view) {})) return bad_headers();
  return ok();
}

void append_reencoded(std::string& out, uint8_t tag, const record_view& record, uint32_t deliver_count) {
  // Everything from seq to payload stands as it is; only what is around it changes.
  reader outer(record.whole);
  outer.expect(tag_record);
  byte_span body = outer.sized();
  WEIR_CHECK(outer.good && body.size() >= tail_size);
  std::string_view kept = as_text(body.first(body.size() - tail_size));
  out.push_back(static_cast<char>(tag));
  append_varint(out, kept.size() + (deliver_count == 0 ? 0 : 1 + varint_size(deliver_count)));
  out += kept;
  if (deliver_count == 0) return;
  out.push_back(static_cast<char>(tag_deliver_count));
  append_varint(out, deliver_count);
}

}  // namespace weir
