#include "tools/cli/print.h"

#include <fmt/chrono.h>
#include <fmt/core.h>
#include <google/protobuf/util/json_util.h>

#include <array>
#include <string_view>

namespace weir {
namespace {

using namespace waymaker::streams;

constexpr int64_t ms_per_s = 1000;
constexpr int64_t time_ms_max = 253'402'300'799'999;  // the end of the year 9999

std::string bound(bool present, uint64_t value) {
  return present && value != 0 ? std::to_string(value) : "none";
}

std::string retention_text(const Retention& retention) {
  if (retention.has_work_queue()) return "work_queue";
  if (retention.has_interest()) return "interest";
  const LimitsRetention& limits = retention.limits();
  return fmt::format("limits: max_age_ms {}, max_msgs {}, max_bytes {}, {}",
                     bound(limits.has_max_age_ms(), limits.max_age_ms()),
                     bound(limits.has_max_msgs(), limits.max_msgs()), bound(limits.has_max_bytes(), limits.max_bytes()),
                     limits.strict_limits() ? "exact" : "whole blocks");
}

// What a terminal can show: control characters and broken UTF-8 become dots.
std::string printable(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte < 0x20 || byte == 0x7f ? '.' : c;
  }
  return text;
}

std::string filter_text(const ConsumerConfigPb& config) {
  std::string text = config.filter_subject();
  for (const std::string& filter : config.filter_subjects()) text += (text.empty() ? "" : " ") + filter;
  return text.empty() ? "any" : text;
}

std::string wait_text(const ConsumerConfigPb& config) {
  if (config.backoff_ms().empty()) return fmt::format("{} ms", config.ack_wait_ms());
  std::string text;
  for (const uint64_t wait : config.backoff_ms()) text += fmt::format("{}{}", text.empty() ? "" : ", ", wait);
  return text + " ms, the last one repeats";
}

// Whether something is delivered, and if not, why.
std::string blocked_text(const ConsumerStatePb& consumer) {
  switch (consumer.blocked()) {
    case v1::BLOCKED_NOT:
      return "goes on";
    case v1::BLOCKED_PAUSED:
      return fmt::format("paused until {}", time_text(consumer.paused_until_ms()));
    case v1::BLOCKED_MAX_ACK_PENDING:
      return "nothing: as many unacknowledged as max_ack_pending allows";
    case v1::BLOCKED_MAX_ACK_PENDING_PER_SUBJECT:
      return "nothing: each subject has as many unacknowledged as max_ack_pending_per_subject allows";
    case v1::BLOCKED_NO_MATCH:
      return "nothing: what is left does not match the filter";
    case v1::BLOCKED_CAUGHT_UP:
      return "nothing: caught up";
    default:
      return "unknown";
  }
}

}  // namespace

std::string to_json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : fmt::format(R"({{"error":"{}"}})", status.ToString());
}

std::string time_text(int64_t ms) {
  if (ms < 0 || ms > time_ms_max) return fmt::format("{} ms", ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(ms / ms_per_s)),
                     ms % ms_per_s);
}

std::string bytes_text(uint64_t bytes) {
  constexpr std::array<std::string_view, 5> units = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string to_text(const GetStreamInfoResponse& info) {
  const StreamConfigPb& config = info.config();
  const StreamStatsPb& stats = info.stats();
  std::string filters;
  for (const std::string& filter : config.subjects_filter()) filters += (filters.empty() ? "" : " ") + filter;
  std::string text = fmt::format("name         {}\n", config.name());
  text += fmt::format("messages     {}\n", stats.msg_count());
  text += fmt::format("bytes        {} ({})\n", stats.bytes(), bytes_text(stats.bytes()));
  text += fmt::format("last seq     {}\n", stats.last_seq());
  text += fmt::format("blocks       {} from block {}, {} messages each\n", stats.block_count(), stats.first_block(),
                      config.block_size());
  text += fmt::format("subjects     {}\n", filters.empty() ? "any" : filters);
  text += fmt::format("retention    {}\n", retention_text(config.retention()));
  text += fmt::format("per subject  {}\n", bound(true, config.max_msgs_per_subject()));
  text += fmt::format("max message  {}\n",
                      config.max_msg_bytes() == 0 ? "the broker's" : bytes_text(config.max_msg_bytes()));
  text += fmt::format("acknowledged {}{}\n", weir::v1::Durability_Name(info.durability()),
                      config.ephemeral() ? ", in memory only" : "");
  if (config.discard_new()) text += "when full    publishes are refused\n";
  if (info.scheduled() != 0) text += fmt::format("scheduled    {} messages\n", info.scheduled());
  if (info.damaged_records() != 0) text += fmt::format("damaged      {} records\n", info.damaged_records());
  return text;
}

std::string to_text(const ConsumerStatePb& consumer) {
  const ConsumerConfigPb& config = consumer.config();
  return fmt::format("{}  filter {}  ack floor {}  pending {}  parked {}  lag {}  waiting {}  {}\n", config.name(),
                     filter_text(config), consumer.ack_floor(), consumer.pending(), consumer.parked(), consumer.lag(),
                     consumer.waiting(), blocked_text(consumer));
}

std::string details(const ConsumerStatePb& consumer) {
  const ConsumerConfigPb& config = consumer.config();
  std::string text = fmt::format("name            {}\n", config.name());
  text += fmt::format("filter          {}\n", filter_text(config));
  text += fmt::format("delivery        {}\n", blocked_text(consumer));
  text += fmt::format("waiting         {} fetches and subscriptions\n", consumer.waiting());
  text += fmt::format("lag             {} messages above the ack floor {}\n", consumer.lag(), consumer.ack_floor());
  text += fmt::format("last delivered  {}\n", consumer.last_delivered());
  text += fmt::format("pending         {}, of those held back by subject {}\n", consumer.pending(), consumer.held());
  text += fmt::format("parked          {}\n", consumer.parked());
  text += fmt::format("given up        {} after their last attempt\n", consumer.redelivered_dropped());
  text += fmt::format("ack wait        {}\n", wait_text(config));
  text += fmt::format("attempts        {}\n",
                      config.unlimited_deliver() ? "unlimited" : std::to_string(config.max_deliver()));
  text += fmt::format("max ack pending {}, a subject {}\n", bound(true, config.max_ack_pending()),
                      bound(true, config.max_ack_pending_per_subject()));
  if (!config.dead_letter_subject().empty()) text += fmt::format("dead letters    {}\n", config.dead_letter_subject());
  if (config.inactive_ms() != 0) text += fmt::format("deleted after   {} ms without use\n", config.inactive_ms());
  text += fmt::format("since           {}\n", time_text(consumer.created_at_ms()));
  return text;
}

std::string to_text(const MessagePb& message) {
  std::string text = fmt::format("{} {} {}", message.seq(), time_text(message.ts_ms()), printable(message.subject()));
  if (message.deliver_count() > 1) text += fmt::format(" (delivery {})", message.deliver_count());
  for (const MessageHeader& header : message.headers()) {
    text += fmt::format(" [{}: {}]", printable(header.key()), printable(header.value()));
  }
  return text + fmt::format("\n  {}\n", printable(message.payload()));
}

std::string to_text(const WatchEvent& event) {
  std::string text = fmt::format("{} {}", time_text(event.ts_ms()), WatchEventType_Name(event.type()));
  if (event.has_stream()) text += " " + event.stream().name();
  if (event.has_consumer()) text += fmt::format(" {} of {}", event.consumer().consumer(), event.consumer().stream());
  if (event.has_authority()) text += " " + event.authority().stream();
  if (event.lagged_count() != 0) text += fmt::format(" ({} events missed)", event.lagged_count());
  return text + "\n";
}

}  // namespace weir
