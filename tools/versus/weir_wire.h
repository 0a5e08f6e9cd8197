// Frames of weir as a comparison's client makes and reads them: protobuf by hand, many records at a time.
//
// A client of a library would pay for objects a record; the other systems' C clients have nothing of the kind, so here
// the bytes are written and read in place.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/bytes.h"
#include "tools/versus/worker.h"

namespace weir {

void put_varint(uint64_t value, std::string& out);
void put_number_field(uint32_t field, uint64_t value, std::string& out);
void put_text_field(uint32_t field, std::string_view text, std::string& out);
// `repeated uint64`, packed.
void put_numbers_field(uint32_t field, const std::vector<uint64_t>& numbers, std::string& out);

// Takes fields of a message one after the other.
struct wire_field {
  uint32_t number = 0;
  uint64_t value = 0;  // of a varint
  byte_span bytes;     // of what has a length
};
// False at the end; what is no protobuf ends the program.
bool next_field(byte_span& left, wire_field& out);

// A FetchResponse or a ConsumeBatch.
struct delivered_batch {
  bool success = false;
  std::string result_code;
  std::string message;
  uint64_t messages = 0;
  uint64_t confirmed = 0;      // ConsumeBatch only
  std::vector<uint64_t> seqs;  // of the messages; kept as a buffer between calls
};
// Gives each message's payload to the share.
void read_delivered(byte_span bytes, consume_share& share, delivered_batch& out);

// One frame of weir.v1.Broker.Publish for `records` records of a share: written once, then renewed.
class publish_frame {
 public:
  publish_frame(std::string_view stream, std::string_view subject, uint64_t records, const publish_share& share);

  // Bytes of a frame with a number below 2^56.
  size_t size() const { return bytes_.size(); }
  // Renews `count` payloads in place and makes it frame `number`; returns the bytes of that frame, good until the next
  // call. `count` is at most the number of records.
  byte_span renew(publish_share& share, uint64_t number, uint64_t count, uint64_t at_ns);

 private:
  std::string bytes_;
  size_t number_at_ = 0;
  size_t records_at_ = 0;
  size_t record_bytes_ = 0;
  size_t payload_at_ = 0;  // in a record
  bool fresh_ = true;
};

}  // namespace weir
