#include "broker/validation.h"

#include <cstdio>
#include <set>

#include "storage/utf8.h"

namespace weir {
namespace {

std::string number(uint64_t value) {
  return std::to_string(value);
}

error bad_config(std::string_view field, const std::string& rule) {
  return fail(errc::invalid_config, std::string(field) + ": " + rule);
}

result<void> check_duration(uint64_t ms, std::string_view field) {
  if (ms <= duration_ms_max) return ok();
  return bad_config(field, number(ms) + " ms, at most " + number(duration_ms_max) + " (duration_ms_max)");
}

result<void> check_metadata(const std::map<std::string, std::string>& metadata) {
  if (metadata.size() > metadata_entries_max) {
    return bad_config("metadata", number(metadata.size()) + " entries, at most " + number(metadata_entries_max) +
                                      " (metadata_entries_max)");
  }
  size_t bytes = 0;
  for (const auto& [key, value] : metadata) {
    if (!is_utf8(key) || !is_utf8(value)) return bad_config("metadata[" + quoted(key) + "]", "is not valid UTF-8");
    bytes += key.size() + value.size();
  }
  if (bytes <= metadata_bytes_max) return ok();
  return bad_config("metadata",
                    number(bytes) + " bytes, at most " + number(metadata_bytes_max) + " (metadata_bytes_max)");
}

result<void> check_filters(const std::vector<std::string>& filters) {
  if (filters.size() > subject_filters_max) {
    return bad_config("subjects_filter", number(filters.size()) + " filters, at most " + number(subject_filters_max) +
                                             " (subject_filters_max)");
  }
  for (size_t i = 0; i < filters.size(); ++i) {
    const std::string field = "subjects_filter[" + number(i) + "]";
    auto fine = check_filter(filters[i], field, errc::invalid_config);
    if (!fine) return fine;
  }
  return ok();
}

result<void> check_level(const stream_config& config) {
  if (!config.level) return ok();
  switch (*config.level) {
    case durability::memory:
      return ok();
    case durability::written:
    case durability::fsync:
      if (!config.ephemeral) return ok();
      return bad_config("durability", "an ephemeral stream lives in memory, its only level is memory");
    case durability::replicated:
    case durability::durable:
      return bad_config("durability",
                        "the levels replicated and durable need a cluster; this is a single node, which "
                        "offers memory, written and fsync");
  }
  return bad_config("durability", number(static_cast<uint64_t>(*config.level)) + " is not a level (1-5)");
}

void clear_if_zero(std::optional<uint64_t>& bound) {
  if (bound && *bound == 0) bound.reset();
}

void clear_zeros(retention_limits& limits) {
  clear_if_zero(limits.max_age_ms);
  clear_if_zero(limits.max_msgs);
  clear_if_zero(limits.max_bytes);
}

bool any_bound(const retention_limits& limits) {
  return limits.max_age_ms.value_or(0) != 0 || limits.max_msgs.value_or(0) != 0 || limits.max_bytes.value_or(0) != 0;
}

result<void> check_retention(const stream_config& config) {
  if (config.policy > retention_policy::interest) {
    return bad_config("retention", number(static_cast<uint64_t>(config.policy)) + " is not a retention policy");
  }
  if (config.policy != retention_policy::limits && any_bound(config.limits)) {
    return bad_config("retention", "max_age_ms, max_msgs and max_bytes belong to limits retention");
  }
  return check_duration(config.limits.max_age_ms.value_or(0), "retention.limits.max_age_ms");
}

result<void> check_discard(const stream_config& config) {
  if (!config.discard_new) {
    if (!config.discard_new_per_subject) return ok();
    return bad_config("discard_new_per_subject", "needs discard_new");
  }
  if (config.policy != retention_policy::limits) {
    return bad_config("discard_new", "belongs to limits retention; this stream has another retention policy");
  }
  if (config.discard_new_per_subject && config.max_msgs_per_subject == 0) {
    return bad_config("discard_new_per_subject", "needs max_msgs_per_subject");
  }
  const bool bounded = config.limits.max_msgs.value_or(0) != 0 || config.limits.max_bytes.value_or(0) != 0;
  if (bounded || config.max_msgs_per_subject != 0) return ok();
  return bad_config("discard_new",
                    "needs a bound that a message can exceed: max_msgs, max_bytes or max_msgs_per_subject");
}
void set_bound(std::optional<uint64_t>& bound, const std::optional<uint64_t>& given) {
  if (!given) return;
  bound = *given == 0 ? std::nullopt : given;
}

// Reads the pieces of an encoded message: `tag <varint length> bytes`.
struct piece_reader {
  byte_span rest;
  bool next(uint8_t tag, byte_span& piece) {
    if (rest.empty() || rest[0] != tag) return false;
    size_t at = 1;
    uint64_t size = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      if (at == rest.size()) return false;
      const uint8_t byte = rest[at++];
      size |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) {
        if (size > rest.size() - at) return false;
        piece = rest.subspan(at, static_cast<size_t>(size));
        rest = rest.subspan(at + static_cast<size_t>(size));
        return true;
      }
    }
    return false;
  }
};

error bad_header(size_t index, std::string_view rule) {
  return fail(errc::invalid_argument, "headers[" + number(index) + "]" + std::string(rule));
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr size_t shown_max = 64;
  std::string out = "\"";
  for (const char c : text.substr(0, shown_max)) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      out.push_back(c);
    } else {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    }
  }
  out += text.size() > shown_max ? "...\"" : "\"";
  return out;
}

result<void> check_name(std::string_view name, std::string_view field) {
  if (name.empty()) return bad_config(field, "is empty; 1 to " + number(name_bytes_max) + " bytes are needed");
  if (name.size() > name_bytes_max) {
    return bad_config(field, number(name.size()) + " bytes, at most " + number(name_bytes_max) + " (name_bytes_max)");
  }
  if (!is_utf8(name)) return bad_config(field, quoted(name) + " is not valid UTF-8");
  if (has_control(name)) return bad_config(field, quoted(name) + " contains a control character");
  if (const size_t at = name.find_first_of(" /\\*>"); at != std::string_view::npos) {
    return bad_config(field, quoted(name) + " contains '" + std::string(1, name[at]) +
                                 "'; spaces and the characters / \\ * > are not allowed");
  }
  if (name == "." || name == "..") return bad_config(field, quoted(name) + " is not allowed as a name");
  return ok();
}

durability level_of(const stream_config& config) {
  if (config.level) return *config.level;
  return config.ephemeral ? durability::memory : durability::fsync;
}

result<stream_config> effective(stream_config config) {
  if (auto fine = check_name(config.name, "name"); !fine) return fine.err();
  if (config.has_sources) {
    return bad_config("sources", "cross-stream sources come with a later version of weir; leave the field empty");
  }
  if (auto fine = check_filters(config.subjects_filter); !fine) return fine.err();
  if (auto fine = check_retention(config); !fine) return fine.err();
  if (config.block_size > block_size_max) {
    return bad_config("block_size",
                      number(config.block_size) + " messages, at most " + number(block_size_max) + " (block_size_max)");
  }
  if (auto fine = check_level(config); !fine) return fine.err();
  if (auto fine = check_discard(config); !fine) return fine.err();
  if (auto fine = check_duration(config.dedup_window_ms, "dedup_window_ms"); !fine) return fine.err();
  if (auto fine = check_metadata(config.metadata); !fine) return fine.err();
  if (config.block_size == 0) config.block_size = default_block_size;
  if (config.dedup_window_ms == 0) config.dedup_window_ms = default_dedup_window_ms;
  clear_zeros(config.limits);
  config.level = level_of(config);
  return config;
}

result<stream_config> updated(const stream_config& before, const stream_update& update) {
  const bool bounds = update.max_age_ms || update.max_msgs || update.max_bytes || update.strict_limits;
  if (bounds && before.policy != retention_policy::limits) {
    return fail(errc::immutable_field,
                "max_age_ms, max_msgs, max_bytes and strict_limits belong to limits retention; this stream has another "
                "retention policy, which is fixed at creation");
  }
  if (auto fine = check_duration(update.max_age_ms.value_or(0), "max_age_ms"); !fine) return fine.err();
  stream_config after = before;
  set_bound(after.limits.max_age_ms, update.max_age_ms);
  set_bound(after.limits.max_msgs, update.max_msgs);
  set_bound(after.limits.max_bytes, update.max_bytes);
  if (update.max_msg_bytes) after.max_msg_bytes = *update.max_msg_bytes;
  if (update.strict_limits) after.limits.strict = *update.strict_limits;
  if (auto fine = check_discard(after); !fine) return fine.err();
  return after;
}

namespace {

result<void> check_consumer_filters(const consumer_config& config) {
  if (!config.filter_subject.empty()) {
    if (!config.filter_subjects.empty()) {
      return bad_config("filter_subjects", "filter_subject is given too; one of them says what the consumer gets");
    }
    return check_filter(config.filter_subject, "filter_subject", errc::invalid_config);
  }
  if (config.filter_subjects.size() > subject_filters_max) {
    return bad_config("filter_subjects", number(config.filter_subjects.size()) + " filters, at most " +
                                             number(subject_filters_max) + " (subject_filters_max)");
  }
  for (size_t i = 0; i < config.filter_subjects.size(); ++i) {
    const std::string field = "filter_subjects[" + number(i) + "]";
    auto fine = check_filter(config.filter_subjects[i], field, errc::invalid_config);
    if (!fine) return fine;
  }
  return ok();
}

result<void> check_policy(const consumer_config& config) {
  if (config.policy > delivery_policy::by_start_time) {
    return bad_config("delivery_policy.type",
                      number(static_cast<uint64_t>(config.policy)) + " is not a delivery policy (0-3)");
  }
  if (config.policy == delivery_policy::by_start_time && config.start_time_ms < 0) {
    return bad_config("delivery_policy.start_time_ms",
                      std::to_string(config.start_time_ms) + " is before 1970; at least 0 is needed");
  }
  return ok();
}

// An effective config has the first of its backoff_ms as ack_wait_ms.
result<void> check_waits(const consumer_config& config) {
  if (auto fine = check_duration(config.ack_wait_ms, "ack_wait_ms"); !fine) return fine;
  const std::vector<uint64_t>& waits = config.backoff_ms;
  if (waits.empty()) return ok();
  if (waits.size() > backoff_entries_max) {
    return bad_config("backoff_ms", number(waits.size()) + " entries, at most " + number(backoff_entries_max) +
                                        " (backoff_entries_max)");
  }
  for (size_t i = 0; i < waits.size(); ++i) {
    const std::string field = "backoff_ms[" + number(i) + "]";
    if (waits[i] == 0) return bad_config(field, "0 ms; at least 1 is needed");
    if (auto fine = check_duration(waits[i], field); !fine) return fine;
  }
  if (config.ack_wait_ms == 0 || config.ack_wait_ms == waits.front()) return ok();
  return bad_config("ack_wait_ms", number(config.ack_wait_ms) + " ms beside backoff_ms, which says it all; leave it 0");
}

result<void> check_attempts(const consumer_config& config) {
  if (!config.unlimited_deliver || config.max_deliver == 0) return ok();
  return bad_config("max_deliver", number(config.max_deliver) + " beside unlimited_deliver; leave it 0");
}

result<void> check_dead_letters(const consumer_config& config, const subject_filter& accepted) {
  if (config.dead_letter_subject.empty()) return ok();
  auto fine = check_literal_subject(config.dead_letter_subject, "dead_letter_subject", errc::invalid_config);
  if (!fine) return fine;
  if (accepted.matches_all() || accepted.matches(config.dead_letter_subject)) return ok();
  return bad_config("dead_letter_subject",
                    quoted(config.dead_letter_subject) + " matches no filter of the stream's subjects_filter");
}

}  // namespace

result<consumer_config> effective(consumer_config config, const subject_filter& accepted, uint64_t pending_max) {
  if (auto fine = check_name(config.name, "name"); !fine) return fine.err();
  if (auto fine = check_consumer_filters(config); !fine) return fine.err();
  if (auto fine = check_policy(config); !fine) return fine.err();
  if (auto fine = check_waits(config); !fine) return fine.err();
  if (auto fine = check_attempts(config); !fine) return fine.err();
  if (!config.deliver_group.empty()) {
    if (auto fine = check_name(config.deliver_group, "deliver_group"); !fine) return fine.err();
  }
  if (auto fine = check_dead_letters(config, accepted); !fine) return fine.err();
  if (auto fine = check_duration(config.inactive_ms, "inactive_ms"); !fine) return fine.err();
  if (config.max_ack_pending > pending_max) {
    return bad_config("max_ack_pending",
                      number(config.max_ack_pending) + " messages, at most " + number(pending_max) + " (pending_max)");
  }
  if (!config.backoff_ms.empty()) config.ack_wait_ms = config.backoff_ms.front();
  if (config.ack_wait_ms == 0) config.ack_wait_ms = default_ack_wait_ms;
  if (config.max_deliver == 0 && !config.unlimited_deliver) config.max_deliver = default_max_deliver;
  return config;
}

result<consumer_config> updated(const consumer_config& before, const consumer_update& update,
                                const subject_filter& accepted, uint64_t pending_max) {
  consumer_config after = before;
  if (update.filter_subject) after.filter_subject = *update.filter_subject;
  if (update.filter_subjects) after.filter_subjects = *update.filter_subjects;
  if (update.ack_wait_ms) after.ack_wait_ms = *update.ack_wait_ms;
  if (update.backoff_ms) after.backoff_ms = *update.backoff_ms;
  if (update.max_deliver) after.max_deliver = *update.max_deliver;
  if (update.unlimited_deliver) after.unlimited_deliver = *update.unlimited_deliver;
  if (update.dead_letter_subject) after.dead_letter_subject = *update.dead_letter_subject;
  if (update.max_ack_pending) after.max_ack_pending = *update.max_ack_pending;
  if (update.max_ack_pending_per_subject) after.max_ack_pending_per_subject = *update.max_ack_pending_per_subject;
  if (update.inactive_ms) after.inactive_ms = *update.inactive_ms;
  return effective(std::move(after), accepted, pending_max);
}

result<header_totals> check_headers(byte_span encoded, const broker_limits& limits) {
  header_totals totals;
  piece_reader elements{encoded};
  while (!elements.rest.empty()) {
    byte_span element;
    if (!elements.next(0x22, element)) return bad_header(totals.count, ": not a well-formed header");
    piece_reader parts{element};
    byte_span key;
    byte_span value;
    parts.next(0x0a, key);
    parts.next(0x12, value);
    if (!parts.rest.empty()) return bad_header(totals.count, ": not a well-formed header");
    if (key.empty()) return bad_header(totals.count, ".key: is empty; at least 1 byte is needed");
    if (!is_utf8(as_text(key))) return bad_header(totals.count, ".key: is not valid UTF-8");
    if (!is_utf8(as_text(value))) return bad_header(totals.count, ".value: is not valid UTF-8");
    ++totals.count;
    totals.bytes += key.size() + value.size();
  }
  if (totals.count > limits.headers_max) {
    return fail(errc::oversize, "headers: " + number(totals.count) + " headers, at most " + number(limits.headers_max) +
                                    " (headers_max)");
  }
  if (totals.bytes > limits.header_bytes_max) {
    return fail(errc::oversize, "headers: " + number(totals.bytes) + " bytes of keys and values, at most " +
                                    number(limits.header_bytes_max) + " (header_bytes_max)");
  }
  return totals;
}

result<void> check_message(const publish_request& request, const stream_config& config, const broker_limits& limits) {
  if (request.payload.size() > limits.payload_bytes_max) {
    return fail(errc::oversize, "payload: " + number(request.payload.size()) + " bytes, at most " +
                                    number(limits.payload_bytes_max) + " (payload_bytes_max)");
  }
  if (request.ts_ms < 0) {
    return fail(errc::invalid_argument, "ts_ms: " + std::to_string(request.ts_ms) +
                                            " is before 1970; at least 0 is needed (0 = the broker's clock)");
  }
  size_t bytes = request.payload.size();
  if (!request.headers.empty()) {
    auto totals = check_headers(request.headers, limits);
    if (!totals) return totals.err();
    bytes += totals->bytes;
  }
  if (config.max_msg_bytes != 0 && bytes > config.max_msg_bytes) {
    return fail(errc::oversize, "payload and headers: " + number(bytes) + " bytes, at most " +
                                    number(config.max_msg_bytes) + " (max_msg_bytes of the stream)");
  }
  return ok();
}

namespace {

error bad_argument(std::string_view field, const std::string& rule) {
  return fail(errc::invalid_argument, std::string(field) + ": " + rule);
}

result<void> check_message_id(std::string_view id) {
  if (id.size() > message_id_bytes_max) {
    return bad_argument("message_id", number(id.size()) + " bytes, at most " + number(message_id_bytes_max) +
                                          " (message_id_bytes_max)");
  }
  if (!is_utf8(id)) return bad_argument("message_id", quoted(id) + " is not valid UTF-8");
  if (has_control(id)) return bad_argument("message_id", quoted(id) + " contains a control character");
  return ok();
}

}  // namespace

result<void> check_extras(const publish_request& request, wall_ms now) {
  if (auto fine = check_message_id(request.message_id); !fine) return fine;
  if (request.ttl_ms > duration_ms_max) {
    return bad_argument("ttl_ms",
                        number(request.ttl_ms) + " ms, at most " + number(duration_ms_max) + " (duration_ms_max)");
  }
  if (request.deliver_at_ms < 0) {
    return bad_argument("deliver_at_ms",
                        std::to_string(request.deliver_at_ms) + " is before 1970; at least 0 is needed");
  }
  if (request.deliver_at_ms <= now.raw()) return ok();
  if (static_cast<uint64_t>(request.deliver_at_ms - now.raw()) > duration_ms_max) {
    return bad_argument("deliver_at_ms", std::to_string(request.deliver_at_ms) + " is more than " +
                                             number(duration_ms_max) + " ms ahead (duration_ms_max)");
  }
  if (request.expected_last_seq) {
    return bad_argument("expected_last_seq",
                        "cannot be looked at now for a message that is delivered later "
                        "(deliver_at_ms)");
  }
  return ok();
}

result<void> check_run(const std::vector<publish_request>& run, const broker_limits& limits) {
  if (run.empty()) return bad_argument("records", "is empty; at least 1 is needed");
  if (run.size() > limits.atomic_messages_max) {
    return fail(errc::oversize, "records: " + number(run.size()) + " messages, at most " +
                                    number(limits.atomic_messages_max) + " (atomic_messages_max)");
  }
  std::set<std::string_view> subjects;
  std::set<std::string_view> ids;
  for (size_t i = 0; i < run.size(); ++i) {
    const publish_request& one = run[i];
    const std::string field = "records[" + number(i) + "]";
    if (one.stream != run.front().stream) return bad_argument(field + ".stream", "all must go to one stream");
    if (one.deliver_at_ms != 0) {
      return bad_argument(field + ".deliver_at_ms", "messages of an atomic publish cannot be delivered later");
    }
    if (!one.message_id.empty() && !ids.insert(one.message_id).second) {
      return bad_argument(field + ".message_id", quoted(one.message_id) + " comes twice");
    }
    if (one.expected_last_seq && subjects.contains(one.subject)) {
      return bad_argument(field + ".expected_last_seq",
                          "subject " + quoted(one.subject) + " has a message before it in the same publish");
    }
    subjects.insert(one.subject);
  }
  return ok();
}

}  // namespace weir
