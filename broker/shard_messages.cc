// Messages by stream and subject: publish, latest, list, scan.
#include "broker/message_validation.h"
#include "broker/shard_impl.h"
#include "broker/validation_rules.h"

namespace weir {
result<void> shard_impl::admit(const stream& in, const publish_request& request) const {
  if (auto fine = admit_message(in, request); !fine) return fine;
  return admit_any(in);
}

result<void> shard_impl::admit_message(const stream& in, const publish_request& request) const {
  if (auto fine = check_literal_subject(request.subject, "subject", errc::subject_rejected); !fine) return fine;
  if (!in.accepted().matches_all() && !in.accepted().matches(request.subject)) {
    return fail(errc::subject_rejected,
                "subject: " + quoted(request.subject) + " matches no filter of the stream's subjects_filter");
  }
  return check_message(request, in.config(), limits_);
}

result<void> shard_impl::admit_any(const stream& in) const {
  if (in.ephemeral()) return ok();
  if (store_->failed()) return read_only();
  if (store_->full()) return fail(errc::disk_full, "the disk of this shard is full; nothing was stored");
  return ok();
}

result<void> shard_impl::fits_limits(const stream& in, const record_fields& fields) const {
  const retention_limits& limits = in.config().limits;
  if (!limits.strict || !limits.max_bytes) return ok();
  const size_t bytes = record_size(fields, in.log().stats().last.next());
  if (bytes <= *limits.max_bytes) return ok();
  return fail(errc::oversize, "message: " + number(bytes) + " bytes as stored, the stream keeps at most " +
                                  number(*limits.max_bytes) + " (max_bytes with strict_limits)");
}

error shard_impl::wrong_revision(std::string_view subject, uint64_t expected, seq_no current) const {
  return fail(errc::wrong_revision,
              "expected_last_seq: " + number(expected) + ", the last message at subject " + quoted(subject) + " is " +
                  number(current.raw()),
              current.raw());
}

// What a publish needs before it may append; everything is looked at, nothing is changed.
result<shard_impl::publish_needs> shard_impl::look(const publish_request& request, admission& to) {
  if (stopping_) return unavailable();
  to.in = find(request.stream);
  if (to.in == nullptr) return publish_needs::existing_stream;
  const stream& in = *to.in;
  if (auto fine = admit(in, request); !fine) return fine.err();
  to.fields.subject = request.subject;
  to.fields.headers = request.headers;
  to.fields.payload = request.payload;
  to.fields.time = request.ts_ms != 0 ? wall_ms(request.ts_ms) : ports_.clock.wall();
  if (auto fine = fits_limits(in, to.fields); !fine) return fine.err();
  if (to.special) {
    auto decided = look_special(request, to);
    if (!decided) return decided.err();
    if (*decided) return **decided;
  }
  if (in.needs_exact(request.expected_last_seq.has_value())) return publish_needs::exact_index;
  if (request.expected_last_seq && in.last_at(request.subject).raw() != *request.expected_last_seq) {
    return publish_needs::durable_conflict;
  }
  if (in.config().discard_new) {
    const stream::fit fit = in.fits(to.fields, to.replaced);
    if (fit == stream::fit::unknown) return publish_needs::replaced_size;
    if (fit == stream::fit::no) return publish_needs::durable_bounds;
  }
  if (in.ephemeral()) return publish_needs::nothing;
  to.bytes = in.publish_bytes(to.fields) + to.more_bytes;
  return to.bytes <= to.granted || journal_of().has_room(to.bytes) ? publish_needs::nothing : publish_needs::room;
}

task<result<bool>> shard_impl::wait_for_place(publish_needs needed, std::string_view stream_name, place_wanted& to) {
  if (needed == publish_needs::room) {
    auto room = co_await journal_of().room(to.bytes, false);
    if (!room) co_return room.err();
    to.granted = to.bytes;
    co_return true;
  }
  to.granted = 0;
  if (needed == publish_needs::existing_stream) {
    std::string name(stream_name);
    auto found = co_await existing(std::move(name));
    if (!found) co_return found.err();
    co_return true;
  }
  if (needed != publish_needs::exact_index) co_return false;
  const stream_ref held(to.in);
  auto exact = co_await held->log().become_exact();
  if (!exact) co_return exact.err();
  co_return true;
}

// Waits for whatever look() asks for until it asks for nothing; nothing is awaited after that.
task<result<void>> shard_impl::admit_later(const publish_request& request, admission& to) {
  for (;;) {
    auto needed = look(request, to);
    if (!needed) co_return needed.err();
    if (*needed == publish_needs::nothing) co_return ok();
    auto waited = co_await wait_for_place(*needed, request.stream, to);
    if (!waited) co_return waited.err();
    if (*waited) continue;
    const stream_ref held(to.in);
    if (*needed == publish_needs::durable_original) {
      auto known = co_await know(to, std::max(held->log().last_change(), held->scheduled_change()));
      co_return known;
    }
    if (*needed == publish_needs::replaced_size) {
      auto read = co_await read_replaced(held, request.subject, to.replaced);
      if (!read) co_return read.err();
      continue;
    }
    // What a refusal saw may still be lost; nobody may learn of it before that is ruled out.
    if (*needed == publish_needs::durable_bounds) {
      const error refused = held->full(to.fields);
      auto known = co_await know(to, held->log().last_change());
      if (!known) co_return known.err();
      co_return refused;
    }
    const seq_no current = held->last_at(request.subject);
    auto known = co_await know(to, held->log().last_change());
    if (!known) co_return known.err();
    co_return wrong_revision(request.subject, *request.expected_last_seq, current);
  }
}

task<result<void>> shard_impl::know(admission& to, lsn seen) {
  if (to.told_later) {
    to.seen = seen;
    co_return ok();
  }
  auto safe = co_await reached(to.in->level(), seen);
  co_return safe;
}

task<result<void>> shard_impl::read_replaced(stream_ref in, std::string_view subject, stream::sized& replaced) {
  const seq_no oldest = in->log().find_subject(subject)->first;
  auto found = co_await in->log().oldest(oldest, 1);
  if (!found) co_return found.err();
  replaced.seq = oldest;
  replaced.bytes = found->empty() || found->front().seq != oldest ? 0 : found->front().bytes;
  co_return ok();
}

task<result<void>> shard_impl::admit_append(stream_ref in, const record_fields& fields, size_t more_bytes) {
  stream::sized replaced;
  size_t granted = 0;
  for (;;) {
    if (in->deleted) co_return no_longer_there(*in);
    if (!in->ephemeral() && store_->failed()) co_return read_only();
    if (in->needs_exact(false)) {
      granted = 0;
      auto exact = co_await in->log().become_exact();
      if (!exact) co_return exact.err();
      continue;
    }
    const stream::fit fit = in->fits(fields, replaced);
    if (fit == stream::fit::no) co_return in->full(fields);
    if (fit == stream::fit::unknown) {
      granted = 0;
      auto read = co_await read_replaced(in, fields.subject, replaced);
      if (!read) co_return read.err();
      continue;
    }
    const size_t bytes = in->publish_bytes(fields) + more_bytes;
    if (in->ephemeral() || bytes <= granted || journal_of().has_room(bytes)) co_return ok();
    auto room = co_await journal_of().room(bytes, false);
    if (!room) co_return room.err();
    granted = bytes;
  }
}

// The hot path. Its frame is kept small: what seldom waits is in admit_later() and prune().
task<result<published>> shard_impl::publish(publish_request request) {
  const request_count::guard inside(requests_);
  if (is_special(request)) {
    auto done = co_await publish_special(request);
    co_return done;
  }
  admission placed;
  if (const auto needed = look(request, placed); !needed || *needed != publish_needs::nothing) {
    auto admitted = co_await admit_later(request, placed);
    if (!admitted) co_return admitted.err();
  }
  const durability level = placed.in->level();
  const stream::appended done = placed.in->append(placed.fields, single_node_epoch);
  ++counters_.published;
  counters_.pruned += done.removed;
  if (done.needs_load) {
    stream_ref held(placed.in);
    co_await settle_append(std::move(held), done);
  }
  if (level == durability::memory) co_return published{done.at.seq};
  journal::commit_awaiter wait =
      level == durability::written ? journal_of().written(done.at.end) : journal_of().durable(done.at.end);
  auto safe = co_await wait;
  if (!safe) co_return safe.err();
  co_return published{done.at.seq};
}

task<result<std::optional<found_record>>> shard_impl::read_latest(std::string name, std::string subject) {
  constexpr int tries_max = 100;  // each time the message was overwritten while it was read
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  auto fine = check_literal_subject(subject, "subject", errc::invalid_argument);
  if (!fine) co_return fine.err();
  for (int tries = 0; tries < tries_max; ++tries) {
    auto in = co_await existing(name);
    if (!in) co_return in.err();
    stream_log& log = (*in)->log();
    if (!log.exact()) {
      auto exact = co_await log.become_exact();
      if (!exact) co_return exact.err();
    }
    if ((*in)->deleted) continue;
    std::optional<found_record> latest;
    const seq_no seq = (*in)->last_at(subject);
    if (seq != seq_no()) {
      scan_request wanted;
      wanted.from = seq;
      wanted.to = seq;
      wanted.records_max = 1;
      auto found = co_await log.scan(wanted);
      if (!found) co_return found.err();
      if (!found->damaged.empty()) {
        co_return fail(errc::data_loss, "message " + number(seq.raw()) + " at subject " + quoted(subject) +
                                            " is damaged on disk and cannot be read");
      }
      if (found->records.empty()) continue;
      latest = std::move(found->records.front());
    }
    const bool safe = co_await settled(*in);
    if (safe) co_return latest;
  }
  co_return fail(errc::unavailable, "subject " + quoted(subject) + " changed faster than it could be read");
}

task<result<std::vector<std::string>>> shard_impl::list_subjects(std::string name, std::string prefix) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    auto in = co_await existing(name);
    if (!in) co_return in.err();
    if (!(*in)->log().exact()) {
      auto exact = co_await (*in)->log().become_exact();
      if (!exact) co_return exact.err();
      if ((*in)->deleted) continue;
    }
    std::vector<std::string> subjects;
    bool too_many = false;
    const size_t most = limits_.subjects_listed_max;
    (*in)->log().for_each_subject(prefix, [&subjects, &too_many, most](const subject_info& one) {
      too_many = subjects.size() >= most;
      if (!too_many) subjects.emplace_back(one.name);
      return !too_many;
    });
    if (too_many) {
      co_return fail(
          errc::resource_exhausted,
          "prefix: more than " + number(most) + " subjects begin with it (subjects_listed_max); ask with a longer one");
    }
    const bool safe = co_await settled(*in);
    if (safe) co_return subjects;
  }
}

task<result<scan_result>> shard_impl::scan_subject(scan_query query) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  auto fine = check_literal_subject(query.subject, "subject", errc::invalid_argument);
  if (!fine) co_return fine.err();
  const uint64_t limit = query.limit == 0 ? default_scan_limit : std::min(query.limit, limits_.scan_messages_max);
  for (;;) {
    auto in = co_await existing(query.stream);
    if (!in) co_return in.err();
    scan_result all;
    size_t bytes = 0;
    const seq_no last = (*in)->log().stats().last;
    all.next = std::max(seq_no(query.from_seq), seq_no(1));
    while (all.next <= last && all.records.size() < limit && bytes < limits_.fetch_bytes_max) {
      scan_request wanted;
      wanted.from = all.next;
      wanted.to = last;
      wanted.exact_subject = query.subject;
      wanted.records_max = static_cast<size_t>(limit) - all.records.size();
      wanted.bytes_max = limits_.fetch_bytes_max - bytes;
      auto part = co_await (*in)->log().scan(wanted);
      if (!part) co_return part.err();
      for (found_record& one : part->records) {
        if (!all.records.empty() && bytes + one.bytes.size() > limits_.fetch_bytes_max) {
          part->next = one.seq;
          bytes = limits_.fetch_bytes_max;
          break;
        }
        bytes += one.bytes.size();
        all.records.push_back(std::move(one));
      }
      for (const seq_no damaged : part->damaged) {
        if (damaged < part->next) all.damaged.push_back(damaged);
      }
      all.next = part->next;
    }
    if ((*in)->deleted) continue;
    const bool safe = co_await settled(*in);
    if (safe) co_return all;
  }
}

}  // namespace weir
