#include "broker/state_blocks.h"

#include "broker/limits.h"

namespace weir {

// --- writing ---

void put_stream(state_writer& to, const stream_record& stream) {
  const stream_config& config = stream.config;
  std::string block;
  state_writer in(block);
  in.signed_varint(stream.created_at.raw());
  in.text(config.name);
  in.varint(config.subjects_filter.size());
  for (const std::string& filter : config.subjects_filter) in.text(filter);
  in.u8(static_cast<uint8_t>(config.policy));
  in.varint(config.limits.max_age_ms.value_or(0));
  in.varint(config.limits.max_msgs.value_or(0));
  in.varint(config.limits.max_bytes.value_or(0));
  in.flag(config.limits.strict);
  in.varint(config.block_size);
  in.varint(config.max_msg_bytes);
  in.flag(config.ephemeral);
  in.varint(config.max_msgs_per_subject);
  in.u8(static_cast<uint8_t>(config.level.value_or(durability::fsync)));
  in.varint(config.metadata.size());
  for (const auto& [key, value] : config.metadata) {
    in.text(key);
    in.text(value);
  }
  in.flag(config.discard_new);
  in.flag(config.discard_new_per_subject);
  in.varint(config.dedup_window_ms);
  to.text(block);
}

void put_runs(state_writer& to, const std::vector<consumer_delta::run>& runs) {
  to.varint(runs.size());
  uint64_t end = 0;
  for (const consumer_delta::run& one : runs) {
    to.signed_varint(static_cast<int64_t>(one.first.raw() - end));
    to.varint(one.length);
    to.varint(one.deliveries);
    end = one.first.raw() + one.length;
  }
}

void put_dying(state_writer& to, const std::vector<dying_message>& dying) {
  to.varint(dying.size());
  for (const dying_message& one : dying) {
    to.varint(one.seq.raw());
    to.u8(static_cast<uint8_t>(one.reason));
  }
}

void put_parked(state_writer& to, const std::vector<parked_message>& parked) {
  to.varint(parked.size());
  for (const parked_message& one : parked) {
    to.varint(one.seq.raw());
    to.signed_varint(one.parked_at.raw());
    to.u8(static_cast<uint8_t>(one.reason));
  }
}

void put_consumer(state_writer& to, const consumer_record& record) {
  const consumer_config& config = record.config;
  std::string block;
  state_writer in(block);
  in.varint(record.number);
  in.signed_varint(record.created_at.raw());
  in.text(config.name);
  in.text(config.filter_subject);
  in.u8(static_cast<uint8_t>(config.policy));
  in.varint(config.start_seq);
  in.signed_varint(config.start_time_ms);
  in.varint(config.ack_wait_ms);
  in.varint(config.max_deliver);
  in.text(config.deliver_group);
  in.text(config.dead_letter_subject);
  in.varint(record.next.raw());
  in.varint(record.last_delivered.raw());
  in.varint(record.dropped);
  put_runs(in, record.pending);
  in.varint(config.filter_subjects.size());
  for (const std::string& filter : config.filter_subjects) in.text(filter);
  in.flag(config.unlimited_deliver);
  in.varint(config.backoff_ms.size());
  for (const uint64_t wait : config.backoff_ms) in.varint(wait);
  in.varint(config.max_ack_pending);
  in.varint(config.max_ack_pending_per_subject);
  in.varint(config.inactive_ms);
  in.signed_varint(record.paused_until.raw());
  in.varint(record.floor_min.raw());
  put_dying(in, record.dying);
  put_parked(in, record.parked);
  to.text(block);
}

// --- reading ---

namespace {

std::optional<uint64_t> get_bound(state_reader& from) {
  const uint64_t value = from.varint();
  if (value == 0) return std::nullopt;
  return value;
}

park_reason get_reason(state_reader& from) {
  const uint8_t value = from.u8();
  if (value != 1 && value != 2) from.fault();
  return static_cast<park_reason>(value);
}

void get_additions(state_reader& from, consumer_record& record) {
  consumer_config& config = record.config;
  const uint64_t filters = from.count();
  for (uint64_t i = 0; i < filters; ++i) config.filter_subjects.emplace_back(from.text());
  config.unlimited_deliver = from.flag();
  const uint64_t waits = from.count();
  for (uint64_t i = 0; i < waits; ++i) config.backoff_ms.push_back(from.varint());
  config.max_ack_pending = from.varint();
  config.max_ack_pending_per_subject = get_u32(from);
  config.inactive_ms = from.varint();
  record.paused_until = wall_ms(from.signed_varint());
  record.floor_min = seq_no(from.varint());
  record.dying = get_dying(from);
  record.parked = get_parked(from);
  for (const uint64_t wait : config.backoff_ms) {
    if (wait > duration_ms_max) from.fault();
  }
  if (config.inactive_ms > duration_ms_max) from.fault();
}

}  // namespace

uint32_t get_u32(state_reader& from) {
  const uint64_t value = from.varint();
  if (value > UINT32_MAX) from.fault();
  return static_cast<uint32_t>(value);
}

stream_record get_stream(state_reader& outer) {
  state_reader from(outer.block());
  stream_record stream;
  stream_config& config = stream.config;
  stream.created_at = wall_ms(from.signed_varint());
  config.name = from.text();
  const uint64_t filters = from.count();
  for (uint64_t i = 0; i < filters; ++i) config.subjects_filter.emplace_back(from.text());
  config.policy = static_cast<retention_policy>(from.u8());
  config.limits.max_age_ms = get_bound(from);
  config.limits.max_msgs = get_bound(from);
  config.limits.max_bytes = get_bound(from);
  config.limits.strict = from.flag();
  config.block_size = from.varint();
  config.max_msg_bytes = from.varint();
  config.ephemeral = from.flag();
  config.max_msgs_per_subject = from.varint();
  config.level = static_cast<durability>(from.u8());
  const uint64_t entries = from.count(2);
  for (uint64_t i = 0; i < entries; ++i) {
    std::string key(from.text());
    config.metadata[std::move(key)] = from.text();
  }
  config.dedup_window_ms = default_dedup_window_ms;
  if (!from.at_end()) {
    config.discard_new = from.flag();
    config.discard_new_per_subject = from.flag();
    config.dedup_window_ms = from.varint();
  }
  const bool sound = from.ok() && !config.name.empty() && config.policy <= retention_policy::interest &&
                     config.block_size >= 1 && config.block_size <= block_size_max &&
                     config.level >= durability::memory && config.level <= durability::durable &&
                     config.limits.max_age_ms.value_or(0) <= duration_ms_max &&
                     config.dedup_window_ms <= duration_ms_max;
  if (!sound) outer.fault();
  return stream;
}

std::vector<consumer_delta::run> get_runs(state_reader& from) {
  std::vector<consumer_delta::run> runs;
  const uint64_t count = from.count(3);
  runs.reserve(static_cast<size_t>(count));
  uint64_t end = 0;
  for (uint64_t i = 0; i < count && from.ok(); ++i) {
    const uint64_t first = end + static_cast<uint64_t>(from.signed_varint());
    const uint64_t length = from.varint();
    const uint32_t deliveries = get_u32(from);
    if (first == 0 || length == 0 || first + length < first) from.fault();
    runs.push_back({seq_no(first), length, deliveries});
    end = first + length;
  }
  return runs;
}

std::vector<dying_message> get_dying(state_reader& from) {
  std::vector<dying_message> dying;
  const uint64_t count = from.count(2);
  for (uint64_t i = 0; i < count && from.ok(); ++i) {
    const seq_no seq(from.varint());
    dying.push_back({seq, get_reason(from)});
  }
  return dying;
}

std::vector<parked_message> get_parked(state_reader& from) {
  std::vector<parked_message> parked;
  const uint64_t count = from.count(3);
  for (uint64_t i = 0; i < count && from.ok(); ++i) {
    const seq_no seq(from.varint());
    const wall_ms parked_at(from.signed_varint());
    parked.push_back({seq, parked_at, get_reason(from)});
  }
  return parked;
}

// What later versions of the block added.
consumer_record get_consumer(state_reader& outer) {
  state_reader from(outer.block());
  consumer_record record;
  consumer_config& config = record.config;
  record.number = get_u32(from);
  record.created_at = wall_ms(from.signed_varint());
  config.name = from.text();
  config.filter_subject = from.text();
  config.policy = static_cast<delivery_policy>(from.u8());
  config.start_seq = from.varint();
  config.start_time_ms = from.signed_varint();
  config.ack_wait_ms = from.varint();
  config.max_deliver = get_u32(from);
  config.deliver_group = from.text();
  config.dead_letter_subject = from.text();
  record.next = seq_no(from.varint());
  record.last_delivered = seq_no(from.varint());
  record.dropped = from.varint();
  record.pending = get_runs(from);
  if (!from.at_end()) get_additions(from, record);
  const bool sound = from.ok() && !config.name.empty() && config.policy <= delivery_policy::by_start_time &&
                     config.ack_wait_ms <= duration_ms_max && (config.max_deliver >= 1 || config.unlimited_deliver);
  if (!sound) outer.fault();
  return record;
}

}  // namespace weir
