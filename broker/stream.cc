#include "broker/stream.h"

#include <algorithm>

#include "broker/delivery_board.h"
#include "broker/state_codec.h"
#include "broker/validation.h"

namespace weir {

stream::stream(stream_id id, stream_config config, wall_ms created_at, stream_log& log)
    : id_(id),
      config_(std::move(config)),
      accepted_(config_.subjects_filter),
      created_at_(created_at),
      log_(log),
      retention_(log_, config_) {}

seq_no stream::last_at(std::string_view subject) const {
  const subject_info* found = log_.find_subject(subject);
  return found == nullptr ? seq_no() : found->last;
}

bool stream::needs_exact(bool looks_at_subject) const {
  if (log_.exact()) return false;
  return looks_at_subject || config_.max_msgs_per_subject != 0 || (config_.discard_new && config_.limits.max_bytes);
}

size_t stream::publish_bytes(const record_fields& fields) const {
  return log_.append_bytes(fields) + retention::room_bytes;
}

// Inlined into both: a publish without anything special comes through the first.
[[gnu::always_inline]] inline void stream::finish_append(appended& done, std::string_view subject) {
  if (!awaiting.empty()) board->appended(*this, subject, done.at.seq);
  if (config_.max_msgs_per_subject != 0) done.removed = enforce_subject_cap(subject);
  if (retention_.over_bounds()) enforce_limits(done);
}

stream::appended stream::append(const record_fields& fields, uint64_t epoch) {
  appended done;
  done.at = log_.append(fields, epoch);
  finish_append(done, fields.subject);
  return done;
}

stream::appended stream::after_append(const stream_log::appended& at, std::string_view subject) {
  appended done;
  done.at = at;
  finish_append(done, subject);
  return done;
}

stream::appended stream::after_run(const stream_log::appended& at, const std::vector<record_fields>& run) {
  appended done;
  done.at = at;
  for (size_t i = 0; i < run.size() && !awaiting.empty(); ++i) {
    board->appended(*this, run[i].subject, seq_no(at.seq.raw() + i));
  }
  if (retention_.over_bounds()) enforce_limits(done);
  return done;
}

void stream::enforce_limits(appended& done) {
  const retention::outcome pruned = enforce(std::nullopt);
  done.removed += pruned.removed;
  done.needs_load = pruned.needs_load;
}

size_t stream::run_bytes(const std::vector<record_fields>& run) const {
  const size_t replaced = config_.max_msgs_per_subject == 0 ? 0 : run.size();
  return log_.run_bytes(run) + stream_log::remove_bytes(replaced) + retention::room_bytes;
}

// --- discard_new ---

stream::fit stream::fits(const record_fields& fields, const sized& replaced) const {
  if (!config_.discard_new) return fit::yes;
  const uint64_t cap = config_.max_msgs_per_subject;
  const subject_info* at = cap == 0 ? nullptr : log_.find_subject(fields.subject);
  const bool replaces = at != nullptr && at->count >= cap;
  if (replaces && config_.discard_new_per_subject) return fit::no;
  const log_stats& stats = log_.stats();
  const retention_limits& limits = config_.limits;
  if (limits.max_msgs && stats.count + (replaces ? 0 : 1) > *limits.max_msgs) return fit::no;
  if (!limits.max_bytes) return fit::yes;
  const uint64_t after = stats.bytes + record_size(fields, stats.last.next());
  if (after <= *limits.max_bytes) return fit::yes;
  if (!replaces) return fit::no;
  const bool known = at->first_bytes != 0 || replaced.seq == at->first;
  if (!known) return fit::unknown;
  const uint64_t gone = at->first_bytes != 0 ? at->first_bytes : replaced.bytes;
  return after - std::min(after, gone) <= *limits.max_bytes ? fit::yes : fit::no;
}

error stream::full(const record_fields& fields) const {
  const subject_info* at = log_.find_subject(fields.subject);
  const uint64_t cap = config_.max_msgs_per_subject;
  if (config_.discard_new_per_subject && at != nullptr && at->count >= cap) {
    return fail(errc::stream_full, "subject " + quoted(fields.subject) + " has " + std::to_string(at->count) +
                                       " messages, at most " + std::to_string(cap) +
                                       " (max_msgs_per_subject with discard_new_per_subject)");
  }
  const log_stats& stats = log_.stats();
  if (config_.limits.max_msgs && stats.count >= *config_.limits.max_msgs) {
    return fail(errc::stream_full, "stream " + quoted(config_.name) + " has " + std::to_string(stats.count) +
                                       " messages, at most " + std::to_string(*config_.limits.max_msgs) +
                                       " (max_msgs with discard_new)");
  }
  return fail(errc::stream_full, "stream " + quoted(config_.name) + " has " + std::to_string(stats.bytes) +
                                     " bytes, with this message more than " +
                                     std::to_string(config_.limits.max_bytes.value_or(0)) +
                                     " (max_bytes with discard_new)");
}

bool stream::run_fits(const std::vector<record_fields>& run) const {
  if (!config_.discard_new) return true;
  const uint64_t cap = config_.max_msgs_per_subject;
  const log_stats& stats = log_.stats();
  uint64_t after = stats.count + run.size();
  if (cap != 0) {
    std::map<std::string_view, uint64_t> counts;
    for (const record_fields& fields : run) ++counts[fields.subject];
    for (const auto& [subject, more] : counts) {
      const subject_info* found = log_.find_subject(subject);
      const uint64_t all = more + (found == nullptr ? 0 : found->count);
      if (all > cap && config_.discard_new_per_subject) return false;
      if (all > cap) after -= all - cap;
    }
  }
  if (config_.limits.max_msgs && after > *config_.limits.max_msgs) return false;
  return !config_.limits.max_bytes || stats.bytes + log_.run_bytes(run) <= *config_.limits.max_bytes;
}

// --- removal ---

uint64_t stream::remove(const std::vector<seq_no>& seqs) {
  const uint64_t bytes_before = log_.stats().bytes;
  const uint64_t removed = log_.remove(seqs);
  if (removed == 0) return 0;
  if (seqs.size() == 1) {
    retention_.note_removed(seqs.front(), bytes_before - log_.stats().bytes);
  } else {
    retention_.note_removed();
  }
  for (const auto& [name, one] : consumers) {
    for (const seq_no seq : seqs) one->forget(seq);
  }
  return removed;
}

uint64_t stream::remove_before(seq_no first_kept) {
  const uint64_t removed = log_.remove_before(first_kept);
  if (removed == 0) return 0;
  retention_.note_removed();
  for (const auto& [name, one] : consumers) one->forget_before(first_kept);
  return removed;
}

uint64_t stream::enforce_subject_cap(std::string_view subject) {
  const subject_info* found = log_.find_subject(subject);
  if (found == nullptr || found->count <= config_.max_msgs_per_subject) return 0;
  // One publish can exceed the cap by one message only: it is fixed at creation.
  one_seq_.assign(1, found->first);
  return remove(one_seq_);
}

void stream::note(const message_extras& extras, size_t ids_max) {
  for (const message_extras::item& one : extras.items) {
    const seq_no seq(extras.first.raw() + one.index);
    if (!one.id.empty()) {
      if (!ids) ids = std::make_unique<dedup_table>(config_.dedup_window_ms, ids_max);
      ids->put(one.id, seq, one.published_at, extras.scheduled);
    }
    if (one.expires_at.raw() != 0 && !extras.scheduled) expiring.add(seq, one.expires_at);
  }
  expiring.tidy(log_);
}

seq_no stream::unwanted_before() const {
  const seq_no last = log_.stats().last;
  if (consumers.empty()) return last.next();
  seq_no floor = last;
  for (const auto& [name, one] : consumers) floor = std::min(floor, one->ack_floor(log_.next_live(one->next())));
  return seq_no(floor.raw() / config_.block_size * config_.block_size + 1);
}

retention::outcome stream::enforce(std::optional<wall_ms> now) {
  const retention::outcome done = retention_.enforce(now);
  if (done.removed != 0) {
    const seq_no first = log_.stats().first;
    for (const auto& [name, one] : consumers) one->forget_before(first);
  }
  return done;
}

stream_info stream::info() const {
  stream_info all;
  all.config = config_;
  const log_stats& stats = log_.stats();
  all.stats.last_seq = stats.last.raw();
  all.stats.msg_count = stats.count;
  all.stats.bytes = stats.bytes;
  if (stats.count != 0) {
    all.stats.first_block = (stats.first.raw() - 1) / config_.block_size;
    all.stats.block_count = (stats.last.raw() - 1) / config_.block_size - all.stats.first_block + 1;
  }
  all.damaged_records = log_.damaged_count();
  if (later) all.scheduled = later->size();
  return all;
}

consumer_info stream::info_of(consumer& one) const {
  consumer_info all;
  all.config = one.config();
  all.ack_floor = one.ack_floor(log_.next_live(one.next())).raw();
  all.last_delivered = one.last_delivered().raw();
  all.created_at_ms = one.created_at().raw();
  all.redelivered_dropped = one.dropped();
  all.pending = one.pending().size();
  all.held = one.pending().held();
  all.parked = one.parked().size();
  const log_stats& stats = log_.stats();
  const uint64_t done = std::max(all.ack_floor, stats.first.prev().raw());
  all.lag = stats.last.raw() - std::min(stats.last.raw(), done);
  all.waiting = one.subscriptions;
  all.paused_until_ms = one.paused_until.raw();
  all.blocked = one.blocked(log_.last_visible(), stats.count == 0);
  return all;
}

}  // namespace weir
