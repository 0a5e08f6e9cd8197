// The one error table: every failure a caller can meet, with its result_code string on the wire, its gRPC status where
// the answer has no result_code, and what a client should do. A string is never reused for another meaning.
//
// Source of the strings: the result_code comments of reference 003 (Waymaker streams); ours are marked below.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

enum class errc : uint8_t {
  internal,          // a fault of ours; the message says what
  invalid_config,    // a configuration field is out of its limits
  invalid_argument,  // a request field is out of its limits (ours: for requests the reference gives no code for)
  already_exists,    // create of a name that exists
  no_such_stream,
  no_such_consumer,
  subject_rejected,    // not a literal valid subject, or no filter of the stream matches it
  oversize,            // payload, headers or the whole message over a limit
  wrong_revision,      // expected_last_seq does not match; detail = the current one
  immutable_field,     // update of a field fixed at creation
  data_loss,           // stored bytes are damaged; the record is not served (ours)
  disk_full,           // no room to make it durable; nothing stored; resumes by itself (ours)
  storage_failed,      // a write or sync failed; the shard is read-only until restart; outcome unknown (ours)
  resource_exhausted,  // a named limit of the broker is reached (ours)
  unavailable,         // the broker is stopping (ours)
  unimplemented,       // a feature that this version does not have; the message names it (ours)
  foreign_directory,   // the data directory belongs to someone else or another version (ours)
  locked,              // the data directory is in use by another process (ours)
  not_found,           // asked for by name, and none of the above (ours)
  stream_full,         // a bound of a stream with discard_new; nothing stored (ours)
};

// What a client should do about it.
enum class retry_advice : uint8_t {
  never,         // the same request fails again
  after_change,  // fix the request or the state, then try again
  later,         // not stored; the same request may succeed later
  unknown,       // may or may not be stored: retry with the same message id, or look
};

struct errc_info {
  errc code;
  std::string_view result_code;  // on the wire, in `result_code`
  int grpc_status;               // grpc::StatusCode, where the answer has no result_code field
  retry_advice retry;
};

const errc_info& info(errc code);
inline std::string_view to_string(errc code) {
  return info(code).result_code;
}

}  // namespace weir
