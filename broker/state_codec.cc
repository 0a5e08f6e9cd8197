#include "broker/state_codec.h"

#include "broker/limits.h"
#include "broker/state_blocks.h"

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
