#include "broker/message_validation.h"

#include <set>

#include "broker/validation.h"
#include "broker/validation_rules.h"
#include "storage/utf8.h"

namespace weir {
namespace {

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
  if (run.empty()) return bad_argument("messages", "is empty; at least 1 is needed");
  if (run.size() > limits.atomic_messages_max) {
    return fail(errc::oversize, "messages: " + number(run.size()) + " messages, at most " +
                                    number(limits.atomic_messages_max) + " (atomic_messages_max)");
  }
  std::set<std::string_view> subjects;
  std::set<std::string_view> ids;
  for (size_t i = 0; i < run.size(); ++i) {
    const publish_request& one = run[i];
    const std::string field = "messages[" + number(i) + "]";
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
