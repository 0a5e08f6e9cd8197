// The messages of one stream that are accepted and not delivered yet.
//
// Owned by its stream, made at the first such message; borrows a log of its own from the store, which no reader sees: a
// record there has the time of delivery as its time, and one header in front of the message's own that carries ttl and
// message id. When it comes due it is appended to the stream and removed here, in one journal entry.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/due_index.h"
#include "storage/record.h"

namespace weir {

struct schedule {
  explicit schedule(stream_log& l) : log(l) {}

  stream_log& log;
  due_index due;  // of those up to read_to, and above read_end
  // After a restart: what is to be read back, and what was.
  seq_no read_to;
  seq_no read_end;
  uint64_t kept = 0;  // removals that a failed disk never kept
  lsn purged;         // end of the journal entry of the last purge

  bool loaded() const { return read_to >= read_end; }
  uint64_t size() const { return log.stats().count + kept; }
};

// Headers as stored in a schedule.
std::string scheduled_headers(uint64_t ttl_ms, std::string_view message_id, byte_span headers);
struct scheduled_parts {
  uint64_t ttl_ms = 0;
  std::string_view message_id;
  byte_span headers;  // the message's own
};
// The views point into `headers`. nullopt: not what scheduled_headers() made.
std::optional<scheduled_parts> take_apart(byte_span headers);

}  // namespace weir
