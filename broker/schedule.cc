#include "broker/schedule.h"

#include <charconv>

#include "broker/state_bytes.h"

namespace weir {
namespace {

constexpr std::string_view key = "weir-scheduled";

}  // namespace

std::string scheduled_headers(uint64_t ttl_ms, std::string_view message_id, byte_span headers) {
  std::string value = std::to_string(ttl_ms) + ":";
  value += message_id;
  std::string all = encode_headers({{std::string(key), value}});
  all += as_text(headers);
  return all;
}

std::optional<scheduled_parts> take_apart(byte_span headers) {
  if (headers.empty() || headers[0] != 0x22) return std::nullopt;
  state_reader from(headers.subspan(1));
  state_reader first(from.block());
  const size_t used = headers.size() - from.remaining();
  if (!from.ok() || first.u8() != 0x0a || first.text() != key || first.u8() != 0x12) return std::nullopt;
  const std::string_view value = first.text();
  const size_t colon = value.find(':');
  if (!first.ok() || colon == std::string_view::npos) return std::nullopt;
  scheduled_parts parts;
  const auto read = std::from_chars(value.data(), value.data() + colon, parts.ttl_ms);
  if (read.ec != std::errc() || read.ptr != value.data() + colon) return std::nullopt;
  parts.message_id = value.substr(colon + 1);
  parts.headers = headers.subspan(used);
  return parts;
}

}  // namespace weir
