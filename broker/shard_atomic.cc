// Atomic publish: a run of messages for one stream, all of them or none.
#include <algorithm>

#include "broker/message_validation.h"
#include "broker/shard_impl.h"

namespace weir {
namespace {

std::string record_field(size_t index) {
  return "messages[" + std::to_string(index) + "]";
}

error about(size_t index, const error& what) {
  error told = what;
  told.message = record_field(index) + ": " + what.message;
  return told;
}

size_t id_bytes(const std::vector<publish_request>& run) {
  size_t bytes = 0;
  for (const publish_request& one : run) bytes += one.message_id.size();
  return bytes;
}

}  // namespace

// What each message says for itself, and against what the stream held before the run.
result<shard_impl::publish_needs> shard_impl::look_at_each(const std::vector<publish_request>& run, run_admission& to) {
  const stream& in = *to.in;
  to.fields.resize(run.size());
  bool expects = false;
  for (size_t i = 0; i < run.size(); ++i) {
    const publish_request& one = run[i];
    if (auto fine = admit(in, one); !fine) return about(i, fine.err());
    if (auto fine = check_extras(one, believed_wall()); !fine) return about(i, fine.err());
    to.fields[i] =
        record_fields{one.subject, one.ts_ms != 0 ? wall_ms(one.ts_ms) : ports_.clock.wall(), one.headers, one.payload};
    if (auto fine = fits_limits(in, to.fields[i]); !fine) return about(i, fine.err());
    expects = expects || one.expected_last_seq.has_value();
  }
  for (size_t i = 0; i < run.size() && in.ids; ++i) {
    if (run[i].message_id.empty()) continue;
    const dedup_table::known* known = in.ids->find(run[i].message_id, believed_wall());
    if (known == nullptr) continue;
    const std::string where = known->scheduled ? "a scheduled message" : std::to_string(known->seq.raw());
    to.refused = fail(errc::already_exists, record_field(i) + ".message_id: " + quoted(run[i].message_id) +
                                                " was published before, as " + where + "; nothing was stored");
    return publish_needs::durable_original;
  }
  if (in.needs_exact(expects)) return publish_needs::exact_index;
  for (size_t i = 0; i < run.size(); ++i) {
    const auto& expected = run[i].expected_last_seq;
    if (!expected || in.last_at(run[i].subject).raw() == *expected) continue;
    to.refused = about(i, wrong_revision(run[i].subject, *expected, in.last_at(run[i].subject)));
    return publish_needs::durable_conflict;
  }
  return publish_needs::nothing;
}

result<shard_impl::publish_needs> shard_impl::look_run(const std::vector<publish_request>& run, run_admission& to) {
  if (stopping_) return unavailable();
  to.refused.reset();
  to.in = find(run.front().stream);
  if (to.in == nullptr) return publish_needs::existing_stream;
  auto each = look_at_each(run, to);
  if (!each || *each != publish_needs::nothing) return each;
  const stream& in = *to.in;
  const size_t stored = in.log().run_bytes(to.fields);
  if (stored > limits_.atomic_bytes_max) {
    return fail(errc::oversize, "messages: " + std::to_string(stored) + " bytes as stored, at most " +
                                    std::to_string(limits_.atomic_bytes_max) + " (atomic_bytes_max)");
  }
  if (!in.run_fits(to.fields)) {
    to.refused = fail(errc::stream_full, "stream " + quoted(in.config().name) +
                                             ": with these messages it would exceed a bound (discard_new); nothing "
                                             "was stored");
    return publish_needs::durable_bounds;
  }
  if (!find_replaced(in, to)) return publish_needs::oldest_listed;
  if (in.ephemeral()) return publish_needs::nothing;
  to.bytes = in.run_bytes(to.fields) + together_bytes(run.size(), id_bytes(run));
  return to.bytes <= to.granted || journal_of().has_room(to.bytes) ? publish_needs::nothing : publish_needs::room;
}

task<result<void>> shard_impl::admit_run(const std::vector<publish_request>& run, run_admission& to) {
  for (;;) {
    auto needed = look_run(run, to);
    if (!needed) co_return needed.err();
    if (*needed == publish_needs::nothing) co_return ok();
    auto waited = co_await wait_for_place(*needed, run.front().stream, to);
    if (!waited) co_return waited.err();
    if (*waited) continue;
    const stream_ref held(to.in);
    if (*needed == publish_needs::oldest_listed) {
      auto listed = co_await list_oldest(held, to);
      if (!listed) co_return listed.err();
      continue;
    }
    // What the refusal saw may still be lost.
    const error refused = *to.refused;
    auto safe = co_await reached(held->level(), std::max(held->log().last_change(), held->scheduled_change()));
    if (!safe) co_return safe.err();
    co_return refused;
  }
}

// The oldest messages at the run's subjects that go by max_msgs_per_subject, the run's own included.
bool shard_impl::find_replaced(const stream& in, run_admission& to) {
  to.replaced.clear();
  const uint64_t cap = in.config().max_msgs_per_subject;
  if (cap == 0) return true;
  std::map<std::string_view, std::vector<seq_no>> fresh;
  seq_no seq = in.log().stats().last;
  for (const record_fields& fields : to.fields) fresh[fields.subject].push_back(seq = seq.next());
  for (const auto& [subject, own] : fresh) {
    const subject_info* line = in.log().find_subject(subject);
    const uint64_t before = line == nullptr ? 0 : line->count;
    if (before + own.size() <= cap) continue;
    const uint64_t excess = before + own.size() - cap;
    const uint64_t older = std::min(excess, before);
    if (older == 1) {
      to.replaced.push_back(line->first);
    } else if (older > 1) {
      const auto listed = to.listed.find(subject);
      const bool current = listed != to.listed.end() && listed->second.count == before &&
                           listed->second.last == line->last && listed->second.seqs.size() >= older;
      if (!current) {
        to.unlisted = subject;
        to.wanted = static_cast<size_t>(older);
        return false;
      }
      const std::vector<seq_no>& seqs = listed->second.seqs;
      to.replaced.insert(to.replaced.end(), seqs.begin(), seqs.begin() + static_cast<ptrdiff_t>(older));
    }
    to.replaced.insert(to.replaced.end(), own.begin(), own.begin() + static_cast<ptrdiff_t>(excess - older));
  }
  std::sort(to.replaced.begin(), to.replaced.end());
  return true;
}

task<result<void>> shard_impl::list_oldest(stream_ref in, run_admission& to) {
  const std::string subject(to.unlisted);
  const subject_info* line = in->log().find_subject(subject);
  run_admission::oldest found;
  found.count = line->count;
  found.last = line->last;
  auto seqs = co_await in->log().sequences_at(subject, seq_no(1), to.wanted);
  if (!seqs) co_return seqs.err();
  found.seqs = std::move(*seqs);
  to.listed[subject] = std::move(found);
  co_return ok();
}

task<result<seq_no>> shard_impl::publish_all(std::vector<publish_request> run) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  auto placed = co_await place_run(run);
  if (!placed) co_return placed.err();
  auto safe = co_await stored(placed->level, placed->end);
  if (!safe) co_return safe.err();
  co_return placed->first;
}

task<result<batch_outcome>> shard_impl::place_run(const std::vector<publish_request>& run) {
  if (auto fine = check_run(run, limits_); !fine) co_return fine.err();
  run_admission placed;
  auto admitted = co_await admit_run(run, placed);
  if (!admitted) co_return admitted.err();
  const stream_ref in(placed.in);
  message_extras extras;
  extras.first = in->log().stats().last.next();
  const wall_ms now = believed_wall();
  for (size_t i = 0; i < run.size(); ++i) {
    if (run[i].message_id.empty() && run[i].ttl_ms == 0) continue;
    extras.items.push_back(item_of(run[i], now));
    extras.items.back().index = static_cast<uint32_t>(i);
  }
  departing going;
  going.replaced = std::move(placed.replaced);
  const stream_log::appended at = append_together(*in, extras, placed.fields, going);
  const stream::appended done = in->after_run(at, placed.fields);
  counters_.published += run.size();
  counters_.pruned += done.removed + going.replaced.size();
  if (!extras.items.empty()) wake(*in);
  co_await settle_append(in, done);
  batch_outcome outcome;
  outcome.first = done.at.seq;
  outcome.stored = static_cast<uint32_t>(run.size());
  outcome.level = in->level();
  outcome.end = done.at.end;
  co_return outcome;
}

}  // namespace weir
