// Frames of the fast lane: many records of one stream, placed together, waited for together.
//
// Records without anything special, in a stream whose rules look at nothing but the message, are checked one by one and
// appended as one run: one journal entry a frame. Everything else goes the way of publish(), record by record, but for
// the wait.
#include <algorithm>

#include "broker/message_validation.h"
#include "broker/shard_impl.h"
#include "broker/validation_rules.h"

namespace weir {
namespace {

bool is_plain(const publish_request& request) {
  return !is_special(request) && !request.expected_last_seq;
}

// A publish there decides by what the stream holds.
bool looks_at_stream(const stream_config& config) {
  return config.max_msgs_per_subject != 0 || config.discard_new || (config.limits.strict && config.limits.max_bytes);
}

// True if what was accepted can be told as a first sequence and a count.
bool is_a_run(const batch_outcome& outcome) {
  uint64_t next = outcome.first.raw();
  auto failed = outcome.failed.begin();
  for (uint32_t i = 0; i < outcome.each.size(); ++i) {
    if (failed != outcome.failed.end() && failed->index == i) {
      ++failed;
      continue;
    }
    const published& one = outcome.each[i];
    if (one.duplicate || one.scheduled || one.seq.raw() != next++) return false;
  }
  return true;
}

}  // namespace

result<shard_impl::publish_needs> shard_impl::look_batch(const std::vector<publish_request>& records,
                                                         batch_admission& to) {
  if (stopping_) return unavailable();
  to.fields.clear();
  to.failed.clear();
  to.in = find(records.front().stream);
  if (to.in == nullptr) return publish_needs::existing_stream;
  const stream& in = *to.in;
  if (looks_at_stream(in.config())) return publish_needs::one_by_one;
  if (auto fine = admit_any(in); !fine) return fine.err();
  const wall_ms now = ports_.clock.wall();
  to.fields.reserve(records.size());
  // Most records have the subject of the one before, no headers, and a payload within the limits.
  std::string_view accepted;
  size_t plain_bytes_max = limits_.payload_bytes_max;
  if (in.config().max_msg_bytes != 0) plain_bytes_max = std::min<size_t>(plain_bytes_max, in.config().max_msg_bytes);
  to.bytes = retention::room_bytes;
  for (size_t i = 0; i < records.size(); ++i) {
    const publish_request& one = records[i];
    const bool plain = one.headers.empty() && one.ts_ms >= 0 && one.payload.size() <= plain_bytes_max;
    const bool same_subject = one.subject == accepted;
    if (!plain || !same_subject || accepted.empty()) {
      if (auto fine = admit_message(in, one); !fine) {
        to.failed.push_back({static_cast<uint32_t>(i), std::move(fine).err()});
        continue;
      }
      if (!same_subject) accepted = one.subject;
    }
    to.bytes += one.subject.size() + one.headers.size() + one.payload.size() + record_overhead_max;
    to.fields.push_back(record_fields{accepted, one.ts_ms != 0 ? wall_ms(one.ts_ms) : now, one.headers, one.payload});
  }
  if (in.ephemeral() || to.fields.empty()) return publish_needs::nothing;
  return to.bytes <= to.granted || journal_of().has_room(to.bytes) ? publish_needs::nothing : publish_needs::room;
}

task<result<std::optional<batch_outcome>>> shard_impl::place_together(const std::vector<publish_request>& records) {
  batch_admission to;
  for (;;) {
    auto needed = look_batch(records, to);
    if (!needed) co_return needed.err();
    if (*needed == publish_needs::nothing) break;
    if (*needed == publish_needs::one_by_one) co_return std::nullopt;
    auto waited = co_await wait_for_place(*needed, records.front().stream, to);
    if (!waited) co_return waited.err();
  }
  batch_outcome outcome;
  outcome.level = to.in->level();
  outcome.failed = std::move(to.failed);
  if (to.fields.empty()) co_return outcome;
  const stream_ref in(to.in);
  const stream_log::appended at = in->log().append_run(to.fields, single_node_epoch);
  const stream::appended done = in->after_run(at, to.fields);
  counters_.published += to.fields.size();
  counters_.pruned += done.removed;
  outcome.first = at.seq;
  outcome.stored = static_cast<uint32_t>(to.fields.size());
  outcome.end = at.end;
  if (done.needs_load) co_await settle_append(in, done);
  journal_of().hasten(outcome.level >= durability::fsync);
  co_return outcome;
}

task<result<shard_impl::placed_publish>> shard_impl::place_plain(const publish_request& request, admission& to) {
  auto admitted = co_await admit_later(request, to);
  if (!admitted) co_return admitted.err();
  const stream_ref in(to.in);
  const stream::appended done = in->append(to.fields, single_node_epoch);
  ++counters_.published;
  counters_.pruned += done.removed;
  co_await settle_append(in, done);
  co_return placed_publish{published{done.at.seq}, in->level(), done.at.end};
}

task<result<batch_outcome>> shard_impl::place_one_by_one(const std::vector<publish_request>& records) {
  batch_outcome outcome;
  outcome.each.resize(records.size());
  for (uint32_t i = 0; i < records.size(); ++i) {
    admission to;
    to.told_later = true;
    task<result<placed_publish>> work =
        is_special(records[i]) ? place_special(records[i], to) : place_plain(records[i], to);
    auto placed = co_await std::move(work);
    outcome.end = std::max(outcome.end, to.seen);
    if (!placed) {
      if (to.seen != lsn()) outcome.level = std::max(outcome.level, to.in->level());
      outcome.failed.push_back({i, std::move(placed).err()});
      continue;
    }
    outcome.level = std::max(outcome.level, placed->level);
    outcome.end = std::max(outcome.end, placed->end);
    outcome.each[i] = placed->what;
    if (placed->what.duplicate || placed->what.scheduled) continue;
    if (outcome.stored++ == 0) outcome.first = placed->what.seq;
  }
  if (is_a_run(outcome)) outcome.each.clear();
  co_return outcome;
}

task<result<batch_outcome>> shard_impl::place_batch(const std::vector<publish_request>& records, bool atomic) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  if (records.size() > limits_.batch_messages_max) {
    co_return fail(errc::oversize, "messages: " + number(records.size()) + " records in one frame, at most " +
                                       number(limits_.batch_messages_max) + " (batch_messages_max)");
  }
  if (atomic) {
    auto placed = co_await place_run(records);
    co_return placed;
  }
  if (records.empty()) co_return batch_outcome();
  const bool plain = std::all_of(records.begin(), records.end(), is_plain);
  if (plain) {
    auto placed = co_await place_together(records);
    if (!placed) co_return placed.err();
    if (*placed) co_return std::move(**placed);
  }
  auto placed = co_await place_one_by_one(records);
  co_return placed;
}

task<result<lsn>> shard_impl::batch_safe(durability level, lsn end) {
  const request_count::guard inside(requests_);
  auto safe = co_await stored(level, end);
  if (!safe) co_return safe.err();
  if (level == durability::memory) co_return end;
  co_return level == durability::written ? journal_of().written_end() : journal_of().durable_end();
}

}  // namespace weir
