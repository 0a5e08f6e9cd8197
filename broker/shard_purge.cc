// Single messages by sequence, and removal on request: get, delete, purge.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {
namespace {

constexpr size_t removed_at_once = 1'000;  // sequences in one journal entry
constexpr size_t listed_at_once = 10'000;

// Journal room for an ids_forgotten entry of so many, with what a group adds.
constexpr size_t forgotten_bytes(size_t ids) {
  constexpr size_t fixed = 96;
  constexpr size_t varint_max = 10;
  return fixed + varint_max * ids;
}

}  // namespace

task<result<std::optional<found_record>>> shard_impl::get_message(std::string name, seq_no seq) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    auto in = co_await existing(name);
    if (!in) co_return in.err();
    stream_log& log = (*in)->log();
    std::optional<found_record> got;
    if (log.is_live(seq)) {
      scan_request wanted;
      wanted.from = seq;
      wanted.to = seq;
      wanted.records_max = 1;
      auto found = co_await log.scan(wanted);
      if (!found) co_return found.err();
      if ((*in)->deleted) continue;
      if (log.is_live(seq) && !found->damaged.empty()) {
        co_return fail(errc::data_loss,
                       "message " + std::to_string(seq.raw()) + " is damaged on disk and cannot be read");
      }
      if (log.is_live(seq) && !found->records.empty()) got = std::move(found->records.front());
    }
    const bool safe = co_await settled(*in);
    if (safe) co_return got;
  }
}

task<result<bool>> shard_impl::delete_message(std::string name, seq_no seq) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  stream_ref in;
  for (;;) {
    auto found = co_await existing(name);
    if (!found) co_return found.err();
    in = *found;
    if (!in->log().is_live(seq)) {
      const bool safe = co_await settled(in);
      if (safe) co_return false;
      continue;
    }
    auto room = co_await room_for(in->config(), stream_log::remove_bytes(1), true);
    if (!room) co_return room.err();
    if (!in->deleted && in->log().is_live(seq)) break;
  }
  const std::vector<seq_no> one(1, seq);
  in->remove(one);
  auto safe = co_await reached(in->level(), in->log().last_change());
  if (!safe) co_return safe.err();
  co_return true;
}

task<result<uint64_t>> shard_impl::purge(purge_request request) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  if (!request.subject.empty()) {
    auto fine = check_filter(request.subject, "subject", errc::invalid_argument);
    if (!fine) co_return fine.err();
  }
  auto in = co_await existing(request.stream);
  if (!in) co_return in.err();
  const bool scheduled_too = request.up_to_seq == 0 && request.keep == 0;
  result<uint64_t> removed = 0;
  if (request.subject.empty()) {
    removed = co_await purge_front(*in, request);
  } else {
    removed = co_await purge_subjects(*in, request, false);
    if (removed && scheduled_too && (*in)->later) {
      auto dropped = co_await purge_subjects(*in, request, true);
      if (!dropped) co_return dropped.err();
    }
  }
  if (!removed) co_return removed.err();
  auto safe = co_await stored((*in)->level(), std::max((*in)->log().last_change(), (*in)->scheduled_change()));
  if (!safe) co_return safe.err();
  co_return removed;
}

// The first sequence that a purge of every subject leaves.
seq_no shard_impl::first_kept(const stream_log& log, const purge_request& request) {
  const seq_no end = log.stats().last.next();
  seq_no kept = end;
  if (request.up_to_seq != 0 && request.up_to_seq < end.raw()) kept = seq_no(request.up_to_seq + 1);
  if (request.keep == 0) return kept;
  if (log.stats().count <= request.keep) return log.stats().first;
  // The highest sequence at and after which `keep` live messages lie.
  seq_no low = log.stats().first;
  seq_no high = end;
  while (high.raw() - low.raw() > 1) {
    const seq_no middle(low.raw() + (high.raw() - low.raw()) / 2);
    (log.live_since(middle) >= request.keep ? low : high) = middle;
  }
  return std::min(kept, low);
}

task<result<uint64_t>> shard_impl::purge_front(stream_ref in, const purge_request& request) {
  const size_t bytes = 2 * (stream_log::remove_bytes(1) + forgotten_bytes(0));
  auto room = co_await room_for(in->config(), bytes, true);
  if (!room) co_return room.err();
  if (in->deleted) co_return no_longer_there(*in);
  const bool everything = request.up_to_seq == 0 && request.keep == 0;
  if (everything && in->later) {
    purge_before(*in, in->later->log.stats().last.next(), true);
    in->later->due.clear();
    in->later->read_to = in->later->read_end;
  }
  co_return purge_before(*in, first_kept(in->log(), request), false);
}

// What matches, up to the last message there was at the beginning, newest last.
task<result<std::vector<seq_no>>> shard_impl::matching(stream_ref in, const std::string& pattern, bool scheduled) {
  stream_log& log = scheduled ? in->later->log : in->log();
  const subject_filter filter(std::vector<std::string>(1, pattern));
  std::vector<std::string> subjects;
  log.for_each_subject({}, [&subjects, &filter](const subject_info& one) {
    if (filter.matches(one.name)) subjects.emplace_back(one.name);
    return true;
  });
  const seq_no end = log.stats().last;
  std::vector<seq_no> all;
  for (const std::string& subject : subjects) {
    for (seq_no from(1); from <= end;) {
      auto part = co_await log.sequences_at(subject, from, listed_at_once);
      if (!part) co_return part.err();
      if (in->deleted) co_return no_longer_there(*in);
      for (const seq_no seq : *part) {
        if (seq <= end) all.push_back(seq);
      }
      from = part->size() < listed_at_once ? end.next() : part->back().next();
    }
  }
  std::sort(all.begin(), all.end());
  co_return all;
}

// Drawback: holds 8 bytes for each message that matches.
task<result<uint64_t>> shard_impl::purge_subjects(stream_ref in, const purge_request& request, bool scheduled) {
  auto found = co_await matching(in, request.subject, scheduled);
  if (!found) co_return found.err();
  std::vector<seq_no>& going = *found;
  going.resize(going.size() - std::min<uint64_t>(going.size(), request.keep));
  if (request.up_to_seq != 0) {
    going.erase(std::upper_bound(going.begin(), going.end(), seq_no(request.up_to_seq)), going.end());
  }
  uint64_t removed = 0;
  std::vector<seq_no> some;
  for (size_t at = 0; at < going.size();) {
    const size_t count = std::min(removed_at_once, going.size() - at);
    const size_t bytes = stream_log::remove_bytes(count) + forgotten_bytes(count);
    auto room = co_await room_for(in->config(), bytes, true);
    if (!room) co_return room.err();
    if (in->deleted) co_return no_longer_there(*in);
    const auto first = going.begin() + static_cast<ptrdiff_t>(at);
    some.assign(first, first + static_cast<ptrdiff_t>(count));
    removed += purge_these(*in, some, scheduled);
    at += count;
  }
  co_return removed;
}

// A purge forgets the message ids of what it removes: removal and forgetting are one journal entry.

uint64_t shard_impl::purge_before(stream& in, seq_no first_kept, bool scheduled) {
  stream_log& log = scheduled ? in.later->log : in.log();
  if (first_kept <= log.stats().first) return 0;
  const auto live = [&log](seq_no seq) { return log.is_live(seq); };
  const bool forgets = in.ids && in.ids->any_below(first_kept, scheduled, live);
  const bool grouped = forgets && !in.ephemeral();
  if (grouped) {
    const std::string entry = encode_entry(ids_forgotten{scheduled, first_kept, {}});
    journal_of().begin_group(journal::group_bytes(2, entry.size() + stream_log::remove_bytes(1)));
    store_->append_state(in.id(), as_bytes(entry));
  }
  if (forgets) in.ids->forget_below(first_kept, scheduled, live);
  const uint64_t removed = scheduled ? log.remove_before(first_kept) : in.remove_before(first_kept);
  if (grouped) journal_of().end_group();
  if (scheduled) in.later->purged = log.last_removal();
  return removed;
}

uint64_t shard_impl::purge_these(stream& in, const std::vector<seq_no>& seqs, bool scheduled) {
  stream_log& log = scheduled ? in.later->log : in.log();
  std::vector<seq_no> going;
  for (const seq_no seq : seqs) {
    if (log.is_live(seq)) going.push_back(seq);
  }
  if (going.empty()) return 0;
  std::vector<seq_no> forgotten;
  if (in.ids) forgotten = in.ids->among(going, scheduled);
  const bool grouped = !forgotten.empty() && !in.ephemeral();
  if (grouped) {
    const std::string entry = encode_entry(ids_forgotten{scheduled, seq_no(), forgotten});
    journal_of().begin_group(journal::group_bytes(2, entry.size() + stream_log::remove_bytes(going.size())));
    store_->append_state(in.id(), as_bytes(entry));
  }
  if (!forgotten.empty()) in.ids->forget(forgotten, scheduled);
  const uint64_t removed = scheduled ? log.remove(going) : in.remove(going);
  if (grouped) journal_of().end_group();
  if (scheduled) in.later->purged = log.last_removal();
  return removed;
}

}  // namespace weir
