// What a message to be published may hold: sizes, headers, times, ids. Every error names the field, what it held and
// the limit.
//
// Pure functions; nothing here looks at state.
#pragma once

#include <vector>

#include "broker/limits.h"
#include "broker/types.h"
#include "storage/result.h"

namespace weir {

// What a message's headers hold, counted while they were checked.
struct header_totals {
  size_t count = 0;
  size_t bytes = 0;  // keys and values
};
// Headers as in record_fields: elements `0x22 <len> [0x0a <len> key] [0x12 <len> value]`, keys not empty, both UTF-8.
// invalid_argument (form), oversize (limits).
result<header_totals> check_headers(byte_span encoded, const broker_limits& limits);

// Everything about a message that needs no state but the stream's config: sizes, headers, time. The subject is checked
// by the caller. oversize, invalid_argument.
result<void> check_message(const publish_request& request, const stream_config& config, const broker_limits& limits);

// There is more to it than a record: a message id, a ttl, a time of delivery.
inline bool is_special(const publish_request& request) {
  return !request.message_id.empty() || request.ttl_ms != 0 || request.deliver_at_ms != 0;
}

// Message id, ttl and time of delivery. invalid_argument.
result<void> check_extras(const publish_request& request, wall_ms now);
// A run to be published as a whole, but for what each message says for itself. invalid_argument, oversize.
result<void> check_run(const std::vector<publish_request>& run, const broker_limits& limits);

}  // namespace weir
