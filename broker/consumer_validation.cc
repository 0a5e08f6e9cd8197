// The config of a consumer.
#include "broker/validation.h"
#include "broker/validation_rules.h"

namespace weir {
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

}  // namespace weir
