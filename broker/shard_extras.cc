// A publish with more to it than a record: a message id, a ttl, a time of delivery.
//
// What a record does not say itself stands in a state entry that is one journal group with the record: after a crash
// both are there or neither. The same holds for a message that moves from the schedule into its stream.
#include "broker/message_validation.h"
#include "broker/shard_impl.h"

namespace weir {

task<void> shard_impl::settle_append(stream_ref in, stream::appended done) {
  if (!done.needs_load) co_return;
  if (in->config().limits.strict) {
    co_await prune(std::move(in), false);
  } else if (!in->pruning.held()) {
    in_background(prune_in_background(std::move(in), false));
  }
}

size_t shard_impl::together_bytes(size_t messages, size_t id_bytes) {
  constexpr size_t fixed = 192;  // headers of the parts, of the removal, and of the extras
  constexpr size_t item_max = 10 + 2 + 10 + 10;
  return fixed + messages * (item_max + stream_log::remove_bytes(1)) + id_bytes;
}

message_extras::item shard_impl::item_of(const publish_request& request, wall_ms now) const {
  message_extras::item item;
  item.id = request.message_id;
  if (!item.id.empty()) item.published_at = now;
  if (request.ttl_ms != 0) item.expires_at = wall_ms(now.raw() + static_cast<int64_t>(request.ttl_ms));
  return item;
}

// The part of look() that only such a publish needs. Nothing: look on.
result<std::optional<shard_impl::publish_needs>> shard_impl::look_special(const publish_request& request,
                                                                          admission& to) {
  using decision = std::optional<publish_needs>;
  const stream& in = *to.in;
  const dedup_table::known* known = nullptr;
  if (in.ids && !request.message_id.empty()) known = in.ids->find(request.message_id, believed_wall());
  if (known != nullptr) {
    to.original = published{known->scheduled ? seq_no() : known->seq, true, known->scheduled};
    return decision(publish_needs::durable_original);
  }
  to.original.reset();
  to.more_bytes = together_bytes(1, request.message_id.size());
  if (!to.later) return decision();
  if (in.later && in.later->size() >= limits_.scheduled_max) {
    return fail(errc::resource_exhausted, "deliver_at_ms: the stream has " + std::to_string(in.later->size()) +
                                              " scheduled messages, at most " + std::to_string(limits_.scheduled_max) +
                                              " are allowed (scheduled_max)");
  }
  if (in.ephemeral()) return decision(publish_needs::nothing);
  to.bytes = in.publish_bytes(to.fields) + to.more_bytes + request.message_id.size();
  const bool room = to.bytes <= to.granted || journal_of().has_room(to.bytes);
  return decision(room ? publish_needs::nothing : publish_needs::room);
}

task<result<published>> shard_impl::publish_special(const publish_request& request) {
  admission to;
  auto placed = co_await place_special(request, to);
  if (!placed) co_return placed.err();
  auto safe = co_await stored(placed->level, placed->end);
  if (!safe) co_return safe.err();
  co_return placed->what;
}

task<result<shard_impl::placed_publish>> shard_impl::place_special(const publish_request& request, admission& to) {
  if (auto fine = check_extras(request, believed_wall()); !fine) co_return fine.err();
  to.special = true;
  to.later = request.deliver_at_ms > believed_wall().raw();
  auto admitted = co_await admit_later(request, to);
  if (!admitted) co_return admitted.err();
  if (to.original) {
    ++counters_.duplicates;
    co_return placed_publish{*to.original, to.in->level(), to.seen};
  }
  const stream_ref in(to.in);
  ++counters_.published;
  if (to.later) {
    const lsn end = put_off(*in, request, to.fields);
    co_return placed_publish{published{seq_no(), false, true}, in->level(), end};
  }
  message_extras extras;
  extras.first = in->log().stats().last.next();
  if (!request.message_id.empty() || request.ttl_ms != 0) extras.items.push_back(item_of(request, believed_wall()));
  const std::vector<record_fields> run(1, to.fields);
  const stream_log::appended at = append_together(*in, extras, run, departing());
  const stream::appended done = in->after_append(at, to.fields.subject);
  counters_.pruned += done.removed;
  wake(*in);
  co_await settle_append(in, done);
  co_return placed_publish{published{done.at.seq}, in->level(), done.at.end};
}

stream_log::appended shard_impl::append_together(stream& in, const message_extras& extras,
                                                 const std::vector<record_fields>& run, const departing& going) {
  std::string entry;
  if (!extras.items.empty() && !in.ephemeral()) entry = encode_entry(extras);
  const bool alone = entry.empty() && going.replaced.empty() && going.released.empty();
  const bool grouped = !in.ephemeral() && !alone;
  if (grouped) {
    size_t parts = 1;
    size_t bytes = in.log().run_bytes(run);
    for (const size_t more : {entry.size(), stream_log::remove_bytes(going.replaced.size()),
                              stream_log::remove_bytes(going.released.size())}) {
      parts += more == 0 ? 0 : 1;
      bytes += more;
    }
    journal_of().begin_group(journal::group_bytes(parts, bytes));
  }
  if (!entry.empty()) store_->append_state(in.id(), as_bytes(entry));
  const stream_log::appended at = in.log().append_run(run, single_node_epoch);
  if (!going.replaced.empty()) in.remove(going.replaced);
  if (!going.released.empty()) in.later->log.remove(going.released);
  if (grouped) journal_of().end_group();
  in.note(extras, limits_.dedup_ids_max);
  return at;
}

// --- the schedule ---

schedule& shard_impl::open_schedule(stream& in, stream_id log) {
  store& keeper = opening_ != nullptr ? *opening_ : *store_;
  next_stream_ = std::max(next_stream_, log.raw() + 1);
  stream_log* found = keeper.log(log);
  if (found == nullptr) {
    log_options options;
    options.ephemeral = in.ephemeral();
    options.written_is_visible = in.level() <= durability::written;
    options.block_records = in.config().block_size;
    options.label = encode_schedule_label(in.id(), stream_record{in.config(), in.created_at()});
    found = &keeper.create_log(log, options);
  }
  in.later = std::make_unique<schedule>(*found);
  return *in.later;
}

lsn shard_impl::put_off(stream& in, const publish_request& request, const record_fields& fields) {
  std::string created;
  if (!in.later) {
    schedule& fresh = open_schedule(in, stream_id(next_stream_));
    created = encode_entry(schedule_created{fresh.log.id()});
  }
  stream_log& log = in.later->log;
  const std::string headers = scheduled_headers(request.ttl_ms, request.message_id, fields.headers);
  record_fields stored = fields;
  stored.time = wall_ms(request.deliver_at_ms);
  stored.headers = as_bytes(headers);
  message_extras extras;
  extras.scheduled = true;
  extras.first = log.stats().last.next();
  std::string known;
  if (!request.message_id.empty()) {
    extras.items.push_back(item_of(request, believed_wall()));
    extras.items.back().expires_at = wall_ms();
    known = encode_entry(extras);
  }
  const bool grouped = !in.ephemeral();
  if (grouped) {
    const size_t parts = 1u + (created.empty() ? 0u : 1u) + (known.empty() ? 0u : 1u);
    journal_of().begin_group(journal::group_bytes(parts, created.size() + known.size() + log.append_bytes(stored)));
    if (!created.empty()) store_->append_state(in.id(), as_bytes(created));
    if (!known.empty()) store_->append_state(in.id(), as_bytes(known));
  }
  const stream_log::appended at = log.append(stored, single_node_epoch);
  if (grouped) journal_of().end_group();
  in.note(extras, limits_.dedup_ids_max);
  in.later->due.add(at.seq, wall_ms(request.deliver_at_ms));
  wake(in);
  return at.end;
}

}  // namespace weir
