// What a request may say: names, subjects, limits, configs. Every message names the field, what it held and the limit.
//
// Pure functions; nothing here looks at state. Texts from a client are quoted with escapes, so that a message is always
// valid UTF-8 and short.
#pragma once

#include <string>
#include <string_view>

#include "broker/limits.h"
#include "broker/types.h"
#include "storage/result.h"
#include "storage/subject.h"

namespace weir {

// In quotes, cut after 64 bytes, everything but printable ASCII escaped.
std::string quoted(std::string_view text);

// Of a stream, consumer or group: 1-255 bytes of UTF-8 without control characters, spaces, `/`, `\`, `*`, `>`; not `.`
// or `..`. invalid_config.
result<void> check_name(std::string_view name, std::string_view field);

// The effective config: defaults filled in, bounds of 0 left out. invalid_config.
result<stream_config> effective(stream_config config);
// The same for a consumer of a stream that accepts `accepted`.
result<consumer_config> effective(consumer_config config, const subject_filter& accepted,
                                  uint64_t pending_max = broker_limits().pending_max);

// The config after the update. invalid_config, immutable_field.
result<stream_config> updated(const stream_config& before, const stream_update& update);

// A consumer's config after the update: what is absent stays as it is shown, and the whole must be a config that could
// be created so. invalid_config.
result<consumer_config> updated(const consumer_config& before, const consumer_update& update,
                                const subject_filter& accepted, uint64_t pending_max);

// The level a config means.
durability level_of(const stream_config& config);

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

// Message id, ttl and time of delivery. invalid_argument.
result<void> check_extras(const publish_request& request, wall_ms now);
// A run to be published as a whole, but for what each message says for itself. invalid_argument, oversize.
result<void> check_run(const std::vector<publish_request>& run, const broker_limits& limits);

}  // namespace weir
