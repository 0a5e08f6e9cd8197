// What a request may say: names, limits, configs; of messages: message_validation.h. Every message names the field,
// what it held and the limit.
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

}  // namespace weir
