#include "broker/state_codec.h"

#include "broker/limits.h"
#include "broker/state_bytes.h"

namespace weir {
namespace {

constexpr uint8_t version = 1;
constexpr uint8_t snapshot_version = 2;
constexpr uint8_t schedule_label_version = 2;

enum class kind : uint8_t {
  stream_created = 1,
  stream_deleted = 2,
  stream_updated = 3,
  consumer_state = 4,
  consumer_deleted = 5,
  consumer_progress = 6,
  consumer_settings = 7,
  message_extras = 8,
  ids_forgotten = 9,
  schedule_created = 10,
};

error damaged(const char* what) {
  return fail(errc::data_loss, std::string("stored broker state: ") + what);
}

// --- writing ---

void put_header(state_writer& to, kind which) {
  to.u8(version);
  to.u8(static_cast<uint8_t>(which));
}

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

void put_progress(state_writer& to, uint32_t number, seq_no next, uint64_t dropped, const consumer_delta& delta) {
  put_header(to, kind::consumer_progress);
  to.varint(number);
  to.varint(next.raw());
  to.varint(dropped);
  put_runs(to, delta.delivered);
  to.varint(delta.gone.size());
  for (const seq_no seq : delta.gone) to.varint(seq.raw());
  if (delta.dying.empty() && delta.parked.empty()) return;
  put_dying(to, delta.dying);
  put_parked(to, delta.parked);
}

struct entry_writer {
  state_writer& to;
  void operator()(const stream_created& entry) const {
    put_header(to, kind::stream_created);
    put_stream(to, entry.stream);
  }
  void operator()(const stream_deleted&) const { put_header(to, kind::stream_deleted); }
  void operator()(const stream_updated& entry) const {
    put_header(to, kind::stream_updated);
    put_stream(to, entry.stream);
  }
  void operator()(const consumer_state& entry) const {
    put_header(to, kind::consumer_state);
    put_consumer(to, entry.consumer);
  }
  void operator()(const consumer_deleted& entry) const {
    put_header(to, kind::consumer_deleted);
    to.varint(entry.number);
  }
  void operator()(const consumer_progress& entry) const {
    put_progress(to, entry.number, entry.next, entry.dropped, entry.delta);
  }
  void operator()(const consumer_settings& entry) const {
    put_header(to, kind::consumer_settings);
    put_consumer(to, entry.consumer);
  }
  void operator()(const message_extras& entry) const {
    put_header(to, kind::message_extras);
    to.flag(entry.scheduled);
    to.varint(entry.first.raw());
    to.varint(entry.items.size());
    for (const message_extras::item& one : entry.items) {
      to.varint(one.index);
      to.text(one.id);
      to.signed_varint(one.published_at.raw());
      to.signed_varint(one.expires_at.raw());
    }
  }
  void operator()(const ids_forgotten& entry) const {
    put_header(to, kind::ids_forgotten);
    to.flag(entry.scheduled);
    to.varint(entry.below.raw());
    to.varint(entry.seqs.size());
    for (const seq_no seq : entry.seqs) to.varint(seq.raw());
  }
  void operator()(const schedule_created& entry) const {
    put_header(to, kind::schedule_created);
    to.varint(entry.log.raw());
  }
};

// --- reading ---

uint32_t get_u32(state_reader& from) {
  const uint64_t value = from.varint();
  if (value > UINT32_MAX) from.fault();
  return static_cast<uint32_t>(value);
}

std::optional<uint64_t> get_bound(state_reader& from) {
  const uint64_t value = from.varint();
  if (value == 0) return std::nullopt;
  return value;
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

park_reason get_reason(state_reader& from) {
  const uint8_t value = from.u8();
  if (value != 1 && value != 2) from.fault();
  return static_cast<park_reason>(value);
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

consumer_progress get_progress(state_reader& from) {
  consumer_progress entry;
  entry.number = get_u32(from);
  entry.next = seq_no(from.varint());
  entry.dropped = from.varint();
  entry.delta.delivered = get_runs(from);
  const uint64_t count = from.count();
  entry.delta.gone.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) entry.delta.gone.emplace_back(from.varint());
  if (from.at_end()) return entry;
  entry.delta.dying = get_dying(from);
  entry.delta.parked = get_parked(from);
  return entry;
}

message_extras get_message_extras(state_reader& from) {
  message_extras entry;
  entry.scheduled = from.flag();
  entry.first = seq_no(from.varint());
  const uint64_t count = from.count(4);
  entry.items.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count && from.ok(); ++i) {
    message_extras::item one;
    one.index = get_u32(from);
    one.id = from.text();
    one.published_at = wall_ms(from.signed_varint());
    one.expires_at = wall_ms(from.signed_varint());
    if (one.id.size() > message_id_bytes_max) from.fault();
    entry.items.push_back(std::move(one));
  }
  return entry;
}

ids_forgotten get_ids_forgotten(state_reader& from) {
  ids_forgotten entry;
  entry.scheduled = from.flag();
  entry.below = seq_no(from.varint());
  const uint64_t count = from.count();
  entry.seqs.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) entry.seqs.emplace_back(from.varint());
  return entry;
}

}  // namespace

std::string encode_entry(const state_entry& entry) {
  std::string out;
  state_writer to(out);
  std::visit(entry_writer{to}, entry);
  return out;
}

consumer_record record_of(const consumer& from) {
  consumer_record record;
  record.number = from.number();
  record.config = from.config();
  record.created_at = from.created_at();
  record.next = from.next();
  record.last_delivered = from.last_delivered();
  record.dropped = from.dropped();
  from.pending().for_each([&runs = record.pending](const pending_set::entry& one) {
    const bool follows = !runs.empty() && runs.back().deliveries == one.deliveries &&
                         runs.back().first.raw() + runs.back().length == one.seq.raw();
    if (follows) {
      ++runs.back().length;
    } else {
      runs.push_back({one.seq, 1, one.deliveries});
    }
  });
  record.paused_until = from.paused_until;
  record.floor_min = from.floor_min();
  for (const dying_message& one : from.dying()) {
    const pending_set::entry* found = from.pending().find(one.seq);
    if (found != nullptr && found->where == pending_stage::dying) record.dying.push_back(one);
  }
  for (const auto& [seq, one] : from.parked().by_seq()) record.parked.push_back(one);
  return record;
}

void encode_progress(std::string& out, const consumer& from) {
  out.clear();
  state_writer to(out);
  if (from.journal_whole()) {
    put_header(to, kind::consumer_state);
    put_consumer(to, record_of(from));
  } else {
    put_progress(to, from.number(), from.next(), from.dropped(), from.unjournaled());
  }
}

std::string encode_shard(const shard_snapshot& state) {
  std::string out;
  state_writer to(out);
  to.u8(snapshot_version);
  to.varint(state.next_stream);
  to.varint(state.leaving.size());
  for (const stream_id id : state.leaving) to.varint(id.raw());
  to.varint(state.streams.size());
  for (const stream_snapshot& one : state.streams) {
    to.varint(one.id.raw());
    put_stream(to, one.stream);
    to.varint(one.next_consumer);
    to.varint(one.consumers.size());
    for (const consumer_record& record : one.consumers) put_consumer(to, record);
    to.text(one.extras);
  }
  return out;
}

std::string encode_label(const stream_record& stream) {
  std::string out;
  state_writer to(out);
  to.u8(version);
  put_stream(to, stream);
  return out;
}

std::string encode_schedule_label(stream_id of, const stream_record& stream) {
  std::string out;
  state_writer to(out);
  to.u8(schedule_label_version);
  to.varint(of.raw());
  put_stream(to, stream);
  return out;
}

result<state_entry> decode_entry(byte_span bytes) {
  state_reader from(bytes);
  const uint8_t found_version = from.u8();
  const auto which = static_cast<kind>(from.u8());
  if (!from.ok()) return damaged("an entry is cut");
  if (found_version != version) return damaged("an entry has another version");
  state_entry entry;
  switch (which) {
    case kind::stream_created:
      entry = stream_created{get_stream(from)};
      break;
    case kind::stream_deleted:
      entry = stream_deleted{};
      break;
    case kind::stream_updated:
      entry = stream_updated{get_stream(from)};
      break;
    case kind::consumer_state:
      entry = consumer_state{get_consumer(from)};
      break;
    case kind::consumer_deleted:
      entry = consumer_deleted{get_u32(from)};
      break;
    case kind::consumer_progress:
      entry = get_progress(from);
      break;
    case kind::consumer_settings:
      entry = consumer_settings{get_consumer(from)};
      break;
    case kind::message_extras:
      entry = get_message_extras(from);
      break;
    case kind::ids_forgotten:
      entry = get_ids_forgotten(from);
      break;
    case kind::schedule_created:
      entry = schedule_created{stream_id(from.varint())};
      break;
    default:
      return damaged("an entry is of an unknown kind");
  }
  if (!from.ok() || !from.at_end()) return damaged("an entry is malformed");
  return entry;
}

result<shard_snapshot> decode_shard(byte_span bytes) {
  state_reader from(bytes);
  shard_snapshot state;
  const uint8_t found_version = from.u8();
  if (!from.ok()) return damaged("a snapshot is empty");
  if (found_version == 0 || found_version > snapshot_version) return damaged("a snapshot has another version");
  state.next_stream = from.varint();
  const uint64_t leaving = from.count();
  for (uint64_t i = 0; i < leaving; ++i) state.leaving.emplace_back(from.varint());
  const uint64_t streams = from.count(4);
  for (uint64_t i = 0; i < streams && from.ok(); ++i) {
    stream_snapshot one;
    one.id = stream_id(from.varint());
    one.stream = get_stream(from);
    one.next_consumer = get_u32(from);
    const uint64_t consumers = from.count();
    for (uint64_t k = 0; k < consumers && from.ok(); ++k) one.consumers.push_back(get_consumer(from));
    if (found_version >= snapshot_version) one.extras = from.text();
    state.streams.push_back(std::move(one));
  }
  if (!from.ok() || !from.at_end()) return damaged("a snapshot is malformed");
  return state;
}

result<stream_record> decode_label(byte_span bytes) {
  state_reader from(bytes);
  const uint8_t found_version = from.u8();
  if (!from.ok() || found_version != version) return damaged("a stream label has another version");
  stream_record stream = get_stream(from);
  if (!from.ok() || !from.at_end()) return damaged("a stream label is malformed");
  return stream;
}

std::optional<schedule_owner> decode_schedule_label(byte_span bytes) {
  state_reader from(bytes);
  if (from.u8() != schedule_label_version) return std::nullopt;
  schedule_owner owner;
  owner.id = stream_id(from.varint());
  owner.stream = get_stream(from);
  if (!from.ok() || !from.at_end() || owner.id == stream_id()) return std::nullopt;
  return owner;
}

}  // namespace weir
