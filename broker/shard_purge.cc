// Single messages by sequence, and removal on request: get, delete, purge.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {
namespace {

constexpr size_t removed_at_once = 1'000;  // sequences in one journal entry
constexpr size_t listed_at_once = 10'000;

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
  result<uint64_t> removed = 0;
  if (request.subject.empty()) {
    removed = co_await purge_front(*in, request);
  } else {
    removed = co_await purge_subjects(*in, request);
  }
  if (!removed) co_return removed.err();
  auto safe = co_await reached((*in)->level(), (*in)->log().last_change());
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
  auto room = co_await room_for(in->config(), stream_log::remove_bytes(1), true);
  if (!room) co_return room.err();
  if (in->deleted) co_return no_longer_there(*in);
  co_return in->remove_before(first_kept(in->log(), request));
}

// What matches, up to the last message there was at the beginning, newest last.
task<result<std::vector<seq_no>>> shard_impl::matching(stream_ref in, const purge_request& request) {
  stream_log& log = in->log();
  const subject_filter filter(std::vector<std::string>(1, request.subject));
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
task<result<uint64_t>> shard_impl::purge_subjects(stream_ref in, const purge_request& request) {
  auto found = co_await matching(in, request);
  if (!found) co_return found.err();
  std::vector<seq_no>& going = *found;
  going.resize(going.size() - std::min<uint64_t>(going.size(), request.keep));
  if (request.up_to_seq != 0) {
    going.erase(std::upper_bound(going.begin(), going.end(), seq_no(request.up_to_seq)), going.end());
  }
  uint64_t removed = 0;
  std::vector<seq_no> some;
  for (size_t at = 0; at < going.size(); at += some.size()) {
    const size_t count = std::min(removed_at_once, going.size() - at);
    auto room = co_await room_for(in->config(), stream_log::remove_bytes(count), true);
    if (!room) co_return room.err();
    if (in->deleted) co_return no_longer_there(*in);
    const auto first = going.begin() + static_cast<ptrdiff_t>(at);
    some.assign(first, first + static_cast<ptrdiff_t>(count));
    removed += in->remove(some);
  }
  co_return removed;
}

}  // namespace weir
