// Frames of weir as a comparison's client makes and reads them: in place, many records at a time. The other systems' C
// clients make no objects a message either.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/bytes.h"
#include "tools/load/wire.h"
#include "tools/versus/worker.h"

namespace weir {

// A FetchResponse or a ConsumeBatch.
struct delivered_batch {
  bool success = false;
  std::string result_code;
  std::string message;
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
