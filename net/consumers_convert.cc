#include "net/consumers_convert.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

}  // namespace

result<consumer_config> from_proto(const pb::ConsumerConfigPb& given) {
  consumer_config config;
  config.name = given.name();
  config.filter_subject = given.filter_subject();
  int policy = given.delivery_policy().type();
  if (policy < 0 || policy > static_cast<int>(delivery_policy::by_start_time)) {
    return fail(errc::invalid_config, "delivery_policy.type takes a number from 0 to 3, not " + std::to_string(policy));
  }
  config.policy = static_cast<delivery_policy>(policy);
  config.start_seq = given.delivery_policy().start_seq();
  config.start_time_ms = given.delivery_policy().start_time_ms();
  config.ack_wait_ms = given.ack_wait_ms();
  config.max_deliver = given.max_deliver();
  config.deliver_group = given.deliver_group();
  config.dead_letter_subject = given.dead_letter_subject();
  config.filter_subjects.assign(given.filter_subjects().begin(), given.filter_subjects().end());
  config.unlimited_deliver = given.unlimited_deliver();
  config.backoff_ms.assign(given.backoff_ms().begin(), given.backoff_ms().end());
  config.max_ack_pending = given.max_ack_pending();
  config.max_ack_pending_per_subject = given.max_ack_pending_per_subject();
  config.inactive_ms = given.inactive_ms();
  return config;
}

consumer_update from_proto(const v1::UpdateConsumerRequest& given) {
  consumer_update update;
  update.stream = given.stream();
  update.consumer = given.consumer();
  if (given.has_filter_subject()) update.filter_subject = given.filter_subject();
  if (given.has_filter_subjects()) {
    const auto& filters = given.filter_subjects().filters();
    update.filter_subjects.emplace(filters.begin(), filters.end());
  }
  if (given.has_ack_wait_ms()) update.ack_wait_ms = given.ack_wait_ms();
  if (given.has_backoff_ms()) update.backoff_ms.emplace(given.backoff_ms().ms().begin(), given.backoff_ms().ms().end());
  if (given.has_max_deliver()) update.max_deliver = given.max_deliver();
  if (given.has_unlimited_deliver()) update.unlimited_deliver = given.unlimited_deliver();
  if (given.has_dead_letter_subject()) update.dead_letter_subject = given.dead_letter_subject();
  if (given.has_max_ack_pending()) update.max_ack_pending = given.max_ack_pending();
  if (given.has_max_ack_pending_per_subject()) {
    update.max_ack_pending_per_subject = given.max_ack_pending_per_subject();
  }
  if (given.has_inactive_ms()) update.inactive_ms = given.inactive_ms();
  return update;
}

void to_proto(const consumer_config& config, pb::ConsumerConfigPb& out) {
  out.set_name(config.name);
  out.set_filter_subject(config.filter_subject);
  pb::DeliveryPolicyPb& policy = *out.mutable_delivery_policy();
  policy.set_type(static_cast<pb::DeliveryPolicyType>(config.policy));
  policy.set_start_seq(config.start_seq);
  policy.set_start_time_ms(config.start_time_ms);
  out.set_ack_wait_ms(config.ack_wait_ms);
  out.set_max_deliver(config.max_deliver);
  out.set_deliver_group(config.deliver_group);
  out.set_dead_letter_subject(config.dead_letter_subject);
  for (const std::string& filter : config.filter_subjects) out.add_filter_subjects(filter);
  out.set_unlimited_deliver(config.unlimited_deliver);
  for (uint64_t wait : config.backoff_ms) out.add_backoff_ms(wait);
  out.set_max_ack_pending(config.max_ack_pending);
  out.set_max_ack_pending_per_subject(config.max_ack_pending_per_subject);
  out.set_inactive_ms(config.inactive_ms);
}

void to_proto(const consumer_info& info, pb::ConsumerStatePb& out) {
  to_proto(info.config, *out.mutable_config());
  out.set_ack_floor(info.ack_floor);
  out.set_last_delivered(info.last_delivered);
  out.set_created_at_ms(info.created_at_ms);
  out.set_redelivered_dropped(info.redelivered_dropped);
  out.set_pending(info.pending);
  out.set_held(info.held);
  out.set_parked(info.parked);
  out.set_lag(info.lag);
  out.set_waiting(info.waiting);
  out.set_paused_until_ms(info.paused_until_ms);
  out.set_blocked(static_cast<v1::ConsumerBlocked>(info.blocked));
}

}  // namespace weir
