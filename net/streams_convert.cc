#include "net/streams_convert.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

void retention_from(const pb::Retention& given, stream_config& config) {
  switch (given.policy_case()) {
    case pb::Retention::kWorkQueue:
      config.policy = retention_policy::work_queue;
      break;
    case pb::Retention::kInterest:
      config.policy = retention_policy::interest;
      break;
    case pb::Retention::kLimits: {
      const pb::LimitsRetention& limits = given.limits();
      if (limits.has_max_age_ms()) config.limits.max_age_ms = limits.max_age_ms();
      if (limits.has_max_msgs()) config.limits.max_msgs = limits.max_msgs();
      if (limits.has_max_bytes()) config.limits.max_bytes = limits.max_bytes();
      config.limits.strict = limits.strict_limits();
      break;
    }
    case pb::Retention::POLICY_NOT_SET:
      break;  // limits without bounds
  }
}

void retention_to(const stream_config& config, pb::Retention& out) {
  switch (config.policy) {
    case retention_policy::work_queue:
      out.mutable_work_queue();
      return;
    case retention_policy::interest:
      out.mutable_interest();
      return;
    case retention_policy::limits:
      break;
  }
  pb::LimitsRetention& limits = *out.mutable_limits();
  if (config.limits.max_age_ms) limits.set_max_age_ms(*config.limits.max_age_ms);
  if (config.limits.max_msgs) limits.set_max_msgs(*config.limits.max_msgs);
  if (config.limits.max_bytes) limits.set_max_bytes(*config.limits.max_bytes);
  limits.set_strict_limits(config.limits.strict);
}

}  // namespace

bool is_status(errc code) {
  return code == errc::unavailable || code == errc::unimplemented;
}

result<stream_config> from_proto(const pb::StreamConfigPb& given) {
  stream_config config;
  config.name = given.name();
  config.subjects_filter.assign(given.subjects_filter().begin(), given.subjects_filter().end());
  retention_from(given.retention(), config);
  config.block_size = given.block_size();
  config.max_msg_bytes = given.max_msg_bytes();
  config.ephemeral = given.ephemeral();
  config.has_sources = given.sources_size() != 0;
  config.max_msgs_per_subject = given.max_msgs_per_subject();
  config.discard_new = given.discard_new();
  config.discard_new_per_subject = given.discard_new_per_subject();
  config.dedup_window_ms = given.dedup_window_ms();
  int level = given.durability();
  if (level < 0 || level > static_cast<int>(durability::durable)) {
    return fail(errc::invalid_config, "durability takes a number from 0 to 5, not " + std::to_string(level));
  }
  if (level != 0) config.level = static_cast<durability>(level);
  for (const auto& [key, value] : given.metadata()) config.metadata.emplace(key, value);
  return config;
}

stream_update from_proto(const pb::UpdateStreamRequest& given) {
  stream_update update;
  update.name = given.name();
  if (given.has_max_age_ms()) update.max_age_ms = given.max_age_ms();
  if (given.has_max_msgs()) update.max_msgs = given.max_msgs();
  if (given.has_max_bytes()) update.max_bytes = given.max_bytes();
  if (given.has_max_msg_bytes()) update.max_msg_bytes = given.max_msg_bytes();
  if (given.has_strict_limits()) update.strict_limits = given.strict_limits();
  return update;
}

void to_proto(const stream_config& config, pb::StreamConfigPb& out) {
  out.set_name(config.name);
  for (const std::string& filter : config.subjects_filter) out.add_subjects_filter(filter);
  retention_to(config, *out.mutable_retention());
  out.set_block_size(config.block_size);
  out.set_max_msg_bytes(config.max_msg_bytes);
  out.set_ephemeral(config.ephemeral);
  out.set_max_msgs_per_subject(config.max_msgs_per_subject);
  out.set_discard_new(config.discard_new);
  out.set_discard_new_per_subject(config.discard_new_per_subject);
  out.set_dedup_window_ms(config.dedup_window_ms);
  if (config.level) out.set_durability(static_cast<weir::v1::Durability>(*config.level));
  for (const auto& [key, value] : config.metadata) (*out.mutable_metadata())[key] = value;
}

void to_proto(const stream_stats& stats, pb::StreamStatsPb& out) {
  out.set_last_seq(stats.last_seq);
  out.set_msg_count(stats.msg_count);
  out.set_bytes(stats.bytes);
  out.set_block_count(stats.block_count);
  out.set_first_block(stats.first_block);
}

void to_proto(const watch_event& event, uint64_t missed_before, pb::WatchEvent& out) {
  out.set_type(static_cast<pb::WatchEventType>(event.kind));
  out.set_ts_ms(event.time.raw());
  out.set_lagged_count(missed_before);
  if (event.kind == watch_kind::consumer_created || event.kind == watch_kind::consumer_deleted) {
    out.mutable_consumer()->set_stream(event.stream);
    out.mutable_consumer()->set_consumer(event.consumer);
  } else {
    out.mutable_stream()->set_name(event.stream);
  }
}

}  // namespace weir
