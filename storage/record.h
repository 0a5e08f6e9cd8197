// The stored form of a message: byte for byte one element of FetchResponse.messages (tag 4 and length included), so
// that a run of records is the body of a response. Written and read by hand; storage/FORMAT.md has every byte.
//
//   0x22 <varint length>                        FetchResponse.messages / weir.v1.ConsumeBatch.messages
//     0x08 <varint seq>                         MessagePb.seq = 1
//     0x12 <varint> subject                     MessagePb.subject = 2
//     0x18 <varint ts_ms>                       MessagePb.ts_ms = 3 (omitted when 0)
//     0x22 <varint> header ...                  MessagePb.headers = 4, each {1: key, 2: value}, in order
//     0x2a <varint> payload                     MessagePb.payload = 5 (omitted when empty)
//     0x30 0x01                                 MessagePb.deliver_count = 6, always 1
//     0xc1 0x3e <8 bytes epoch, little-endian>  weir_epoch = 1000, fixed64
//     0xcd 0x3e <4 bytes crc32c>                weir_crc32c = 1001, fixed32, over everything before it incl. 0x22 and
//     length
#pragma once

#include <string>
#include <vector>

#include "storage/bytes.h"
#include "storage/ids.h"
#include "storage/result.h"
#include "storage/time.h"

namespace weir {

// What goes into a record. Headers are already encoded: the concatenation of `0x22 <len> {key, value}` elements,
// exactly as they stand in a PublishRequest (its field 4 has the same number), so the hot path copies them verbatim.
struct record_fields {
  std::string_view subject;
  wall_ms time;
  byte_span headers;
  byte_span payload;
};

// A record taken apart; everything points into the bytes it was parsed from.
struct record_view {
  seq_no seq;
  std::string_view subject;
  wall_ms time;
  byte_span headers;  // encoded, as in record_fields
  byte_span payload;
  uint64_t epoch = 0;
  byte_span whole;  // all bytes of the record, tag and crc included
};

// More than a record takes beside its subject, headers and payload.
inline constexpr size_t record_overhead_max = 64;

// Exact size of the record that encode_record will write.
size_t record_size(const record_fields& fields, seq_no seq);
// Of a run of records, the first with `first`.
size_t records_size(const std::vector<record_fields>& run, seq_no first);
// Writes record_size() bytes, and tells how many those are.
size_t encode_record(uint8_t* to, const record_fields& fields, seq_no seq, uint64_t epoch);

// The same for many records, most of which have the time of the one before. A record is whole once it is sealed: its
// checksum is there. Best when the next one was encoded meanwhile: a processor waits when it reads in large pieces what
// it has just written in small ones.
class record_encoder {
 public:
  explicit record_encoder(uint64_t epoch);
  size_t encode(uint8_t* to, const record_fields& fields, seq_no seq);
  static void seal(uint8_t* record, size_t size);

 private:
  static constexpr size_t last_fields_bytes = 14;  // delivery count, epoch, and the checksum's tag
  static constexpr size_t time_field_max = 16;     // copied as a whole, so that the copy needs no loop

  void set_time(wall_ms time);

  uint8_t last_fields_[last_fields_bytes];
  uint8_t time_field_[time_field_max] = {};
  size_t time_size_ = 0;
  wall_ms time_;  // 0: no field
};

// The record at the start of `bytes`. data_loss if it is cut, not canonical or its checksum is wrong.
result<record_view> decode_record(byte_span bytes);
// The same without checking the checksum, for bytes that were checked when they were loaded.
result<record_view> parse_record(byte_span bytes);

// The subject of a whole record; empty if the bytes are none. For bytes that were checked when they came.
std::string_view record_subject(byte_span record);

// One header of a message.
struct header {
  std::string key;
  std::string value;
  bool operator==(const header&) const = default;
};
std::string encode_headers(const std::vector<header>& headers);
// invalid_argument if the bytes are not a well-formed run of header elements.
result<std::vector<header>> decode_headers(byte_span encoded);
// The same check without taking them apart: every element in canonical form, keys and values in UTF-8.
result<void> check_headers(byte_span encoded);

// A record re-encoded for a reader: another delivery count, or none (0: the field is left out); epoch and checksum are
// left out. Appended to `out` as an element with the given field tag byte (0x22 for field 4).
void append_reencoded(std::string& out, uint8_t tag, const record_view& record, uint32_t deliver_count);

}  // namespace weir
