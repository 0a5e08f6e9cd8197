// What the store asks of the broker: its state for a snapshot, and its rebuilding from snapshots and journal entries.
//
// Entries may name streams or consumers that are not there (the journal can reach further back than what is known after
// damage): those are skipped. Nothing here trusts a number it has not bounded.
#include <algorithm>

#include "broker/extras_codec.h"
#include "broker/shard_impl.h"

namespace weir {

result<void> shard_impl::recover(const std::string& dir, const store_config& storage) {
  store_client& client = *this;
  auto opened = store::open(ports_.where, ports_.commits, ports_.pool, ports_.clock, dir, storage, client);
  if (!opened) {
    opening_ = nullptr;
    return opened.err();
  }
  opening_ = nullptr;
  store_ = std::move(*opened);
  attach_schedules();
  finish_recovery();
  return ok();
}

// A removal that the journal told after a delivery takes the message out of the pending set.
void shard_impl::forget_removed(const stream_log& log, consumer& at) {
  at.forget_before(log.stats().first);
  std::vector<seq_no> removed;
  at.pending().for_each([&log, &removed](const pending_set::entry& one) {
    if (!log.is_live(one.seq)) removed.push_back(one.seq);
  });
  for (const auto& [seq, one] : at.parked().by_seq()) {
    if (!log.is_live(seq)) removed.push_back(seq);
  }
  for (const seq_no seq : removed) at.forget(seq);
}

void shard_impl::finish_recovery() {
  for (const auto& [id, in] : by_id_) {
    for (const auto& [name, at] : in->consumers) {
      forget_removed(in->log(), *at);
      adopt(*in, *at);
      at->sure_floor = seq_no(in->info_of(*at).ack_floor);
      place held;
      held.in = in;
      held.at = at;
      start_burying(held);
    }
  }
  journal& log = journal_of();
  log.on_progress = [this, before = std::move(log.on_progress)] {
    if (before) before();
    on_progress();
  };
  constexpr uint64_t tick_ms = 1'000;
  tick_.start(tick_ms);
  sweep_.start(limits_.retention_sweep_ms);
  wall_offset_ms_ = believed_wall().raw() - ports_.clock.mono().raw() / 1'000'000;
  std::vector<stream_ref> waiting;
  for (const auto& [id, in] : by_id_) {
    if (in->later || !in->expiring.empty()) waiting.push_back(in);
  }
  for (const stream_ref& in : waiting) {
    if (in->later) in->later->read_end = in->later->log.stats().last;
    in_background(run_due(in));
  }
}

std::string shard_impl::encode_state() {
  shard_snapshot all;
  all.next_stream = next_stream_;
  for (const stream_ref& gone : leaving_) {
    if (gone->ephemeral()) continue;
    all.leaving.push_back(gone->id());
    if (gone->later) all.leaving.push_back(gone->later->log.id());
  }
  for (const auto& [id, in] : by_id_) {
    if (in->ephemeral()) continue;
    stream_snapshot one;
    one.id = id;
    one.stream = stream_record{in->config(), in->created_at()};
    one.next_consumer = in->next_consumer;
    for (const auto& [name, at] : in->consumers) one.consumers.push_back(record_of(*at));
    const stream_id later = in->later ? in->later->log.id() : stream_id();
    one.extras = encode_extras(later, in->ids.get(), in->expiring, in->log());
    all.streams.push_back(std::move(one));
  }
  return encode_shard(all);
}

result<void> shard_impl::load_state(byte_span bytes) {
  auto state = decode_shard(bytes);
  if (!state) return state.err();
  // A store may try an older snapshot after a newer one: begin from nothing.
  streams_.clear();
  by_id_.clear();
  next_stream_ = std::max<uint64_t>(state->next_stream, 1);
  for (const stream_id id : state->leaving) {
    if (opening_->log(id) != nullptr) opening_->drop_log(id);
  }
  for (const stream_snapshot& one : state->streams) {
    restore_stream(one.id, one.stream);
    stream& in = *by_id_[one.id];
    for (const consumer_record& record : one.consumers) restore_consumer(in, record);
    in.next_consumer = std::max(in.next_consumer, one.next_consumer);
    auto restored = restore_extras(in, one.extras);
    if (!restored) return restored;
  }
  return ok();
}

result<void> shard_impl::restore_extras(stream& in, const std::string& bytes) {
  auto extras = decode_extras(as_bytes(bytes));
  if (!extras) return extras.err();
  if (extras->schedule != stream_id()) open_schedule(in, extras->schedule);
  if (!extras->ids.empty() && !in.ids) {
    in.ids = std::make_unique<dedup_table>(in.config().dedup_window_ms, limits_.dedup_ids_max);
  }
  for (const dedup_table::known& one : extras->ids) in.ids->load(one);
  for (const due_index::item& one : extras->expiring) in.expiring.add(one.seq, one.at);
  return ok();
}

// Schedules that were found without the state that says whose they are. A stream of which nothing else is left has one
// again.
void shard_impl::attach_schedules() {
  for (const auto& [log, owner] : schedules_found_) {
    if (find(owner.id) == nullptr) restore_stream(owner.id, owner.stream);
    stream* in = find(owner.id);
    if (in != nullptr && !in->later) open_schedule(*in, log);
  }
  schedules_found_.clear();
}

result<void> shard_impl::apply(stream_id id, byte_span bytes) {
  auto entry = decode_entry(bytes);
  if (!entry) return entry.err();
  std::visit([this, id](const auto& one) { apply_to(id, one); }, *entry);
  return ok();
}

result<void> shard_impl::adopt(stream_id id, byte_span label) {
  if (auto owner = decode_schedule_label(label)) {
    log_options options;
    options.label = as_text(label);
    opening_->create_log(id, options);
    next_stream_ = std::max({next_stream_, id.raw() + 1, owner->id.raw() + 1});
    schedules_found_.insert_or_assign(id, std::move(*owner));
    return ok();
  }
  auto stream = decode_label(label);
  if (stream) {
    restore_stream(id, *stream);
    return ok();
  }
  // Only its messages are left: they get a stream with defaults, under a name that says so.
  stream_record bare;
  bare.config.name = "recovered-" + std::to_string(id.raw());
  bare.config.block_size = default_block_size;
  bare.config.level = durability::fsync;
  bare.created_at = ports_.clock.wall();
  restore_stream(id, bare);
  return ok();
}

stream* shard_impl::find(stream_id id) {
  const auto at = by_id_.find(id);
  return at == by_id_.end() ? nullptr : at->second.get();
}

void shard_impl::restore_stream(stream_id id, const stream_record& record) {
  next_stream_ = std::max(next_stream_, id.raw() + 1);
  if (stream* known = find(id)) {
    if (known->config().name == record.config.name) known->set_config(record.config);
    return;
  }
  // Another stream of this name can only be one whose deletion was lost to damage.
  if (stream* other = find(record.config.name)) by_id_.erase(other->id());
  add_stream(id, record);
}

void shard_impl::restore_consumer(stream& in, const consumer_record& record) {
  const consumer_ref fresh = make_local<consumer>(record.number, record.config, record.created_at, record.next);
  fresh->parked_max = parked_max_of(in);
  fresh->paused_until = record.paused_until;
  fresh->load(record.next, record.last_delivered, record.dropped);
  fresh->load_floor_min(record.floor_min);
  restore_runs(in, *fresh, record.pending);
  for (const dying_message& one : record.dying) fresh->load_dying(one);
  for (const parked_message& one : record.parked) fresh->load_parked(one);
  in.consumers[record.config.name] = fresh;
  in.next_consumer = std::max(in.next_consumer, record.number + 1);
}

void shard_impl::restore_runs(stream& in, consumer& at, const std::vector<consumer_delta::run>& runs) {
  const mono_ns now = ports_.clock.mono();
  const seq_no last = in.log().stats().last;
  for (const consumer_delta::run& one : runs) {
    const seq_no end = std::min(seq_no(one.first.raw() + one.length), last.next());
    for (seq_no seq = in.log().next_live(one.first); seq < end; seq = in.log().next_live(seq.next())) {
      at.load_pending(seq, one.deliveries, now);
    }
  }
}

void shard_impl::apply_to(stream_id id, const stream_created& entry) {
  restore_stream(id, entry.stream);
}

void shard_impl::apply_to(stream_id id, const stream_deleted&) {
  next_stream_ = std::max(next_stream_, id.raw() + 1);
  if (stream* gone = find(id)) {
    const auto at = streams_.find(gone->config().name);
    if (at != streams_.end() && at->second.get() == gone) streams_.erase(at);
    if (gone->later) opening_->drop_log(gone->later->log.id());
    by_id_.erase(id);
  }
  if (opening_->log(id) != nullptr) opening_->drop_log(id);
}

void shard_impl::apply_to(stream_id id, const stream_updated& entry) {
  stream* in = find(id);
  if (in != nullptr && in->config().name == entry.stream.config.name) in->set_config(entry.stream.config);
}

void shard_impl::apply_to(stream_id id, const consumer_state& entry) {
  if (stream* in = find(id)) restore_consumer(*in, entry.consumer);
}

void shard_impl::apply_to(stream_id id, const consumer_deleted& entry) {
  stream* in = find(id);
  if (in == nullptr) return;
  std::erase_if(in->consumers, [&entry](const auto& one) { return one.second->number() == entry.number; });
}

void shard_impl::apply_to(stream_id id, const consumer_progress& entry) {
  stream* in = find(id);
  if (in == nullptr) return;
  for (const auto& [name, at] : in->consumers) {
    if (at->number() != entry.number) continue;
    at->load(entry.next, seq_no(), entry.dropped);
    restore_runs(*in, *at, entry.delta.delivered);
    for (const dying_message& one : entry.delta.dying) at->load_dying(one);
    // What was removed by then had made room for these.
    const bool at_bound = at->parked_max != 0 && at->parked().size() + entry.delta.parked.size() > at->parked_max;
    if (at_bound) forget_removed(in->log(), *at);
    for (const parked_message& one : entry.delta.parked) at->load_parked(one);
    for (const seq_no seq : entry.delta.gone) at->load_gone(seq);
    return;
  }
}

void shard_impl::apply_to(stream_id id, const consumer_settings& entry) {
  stream* in = find(id);
  if (in == nullptr) return;
  for (const auto& [name, at] : in->consumers) {
    if (at->number() != entry.consumer.number || name != entry.consumer.config.name) continue;
    at->set_config(entry.consumer.config);
    at->load_again(ports_.clock.mono());
    at->paused_until = entry.consumer.paused_until;
    return;
  }
}

void shard_impl::apply_to(stream_id id, const message_extras& entry) {
  if (stream* in = find(id)) in->note(entry, limits_.dedup_ids_max);
}

void shard_impl::apply_to(stream_id id, const ids_forgotten& entry) {
  stream* in = find(id);
  if (in == nullptr || !in->ids || (entry.scheduled && !in->later)) return;
  const stream_log& log = entry.scheduled ? in->later->log : in->log();
  const auto live = [&log](seq_no seq) { return log.is_live(seq); };
  in->ids->forget_below(entry.below, entry.scheduled, live);
  in->ids->forget(entry.seqs, entry.scheduled);
}

void shard_impl::apply_to(stream_id id, const schedule_created& entry) {
  stream* in = find(id);
  if (in != nullptr && !in->later) open_schedule(*in, entry.log);
}

}  // namespace weir
