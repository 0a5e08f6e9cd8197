// What a worker says of a message it was given: ack, nak, term, in progress.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {
namespace {

constexpr size_t finished_at_once_max = 1'000;  // messages of one journal entry

}  // namespace

size_t shard_impl::finish_bytes(const place& held, size_t count) {
  const size_t progress = progress_bytes(*held.at, count);
  if (held.in->config().policy != retention_policy::work_queue) return progress;
  return progress + stream_log::remove_bytes(count) + entry_overhead;
}

// On a work queue the removal and the progress are one journal entry.
lsn shard_impl::finish(const place& held, const std::vector<seq_no>& seqs) {
  stream& in = *held.in;
  const bool removes = in.config().policy == retention_policy::work_queue;
  std::vector<pending_set::entry> before;
  for (const seq_no seq : seqs) before.push_back(held.at->acknowledge(seq));
  counters_.acked += seqs.size();
  if (in.ephemeral()) {
    if (removes) in.remove(seqs);
    held.at->journaled();
    return lsn();
  }
  if (!removes) {
    const lsn end = journal_progress(in, *held.at);
    std::function<void()> revert = [at = held.at, before = std::move(before)] {
      for (const pending_set::entry& one : before) at->restore(one);
    };
    undo_.add(end, std::move(revert));
    return end;
  }
  const auto is_live = [&in](seq_no seq) { return in.log().is_live(seq); };
  const auto going = static_cast<size_t>(std::count_if(seqs.begin(), seqs.end(), is_live));
  if (going == 0) return journal_progress(in, *held.at);
  encode_progress(scratch_, *held.at);
  journal_of().begin_group(journal::group_bytes(2, stream_log::remove_bytes(going) + scratch_.size()));
  in.remove(seqs);
  journal_encoded(in, *held.at);
  return journal_of().end_group();
}

task<result<void>> shard_impl::ack(std::string stream_name, std::string name, seq_no seq) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  place held;
  size_t granted = 0;
  for (;;) {
    stream* in = find(stream_name);
    const auto at = in == nullptr ? decltype(in->consumers.end())() : in->consumers.find(name);
    if (in == nullptr || at == in->consumers.end()) {
      auto found = co_await existing(stream_name, name);
      if (!found) co_return found.err();
      granted = 0;
      continue;
    }
    if (in->in_doubt) co_return in_doubt(*in);
    held.in = stream_ref(in);
    held.at = at->second;
    used(*held.at);
    if (held.at->find_delivered(seq) == nullptr) {
      auto safe = co_await reached(in->level(), held.at->changed_end);
      co_return safe;
    }
    if (in->ephemeral()) break;
    const size_t bytes = finish_bytes(held, 1);
    if (bytes <= granted) break;
    auto room = co_await room_for(in->config(), bytes, true);
    if (!room) co_return room.err();
    granted = bytes;
  }
  one_seq_.assign(1, seq);
  const lsn end = finish(held, one_seq_);
  auto safe = co_await reached(held.in->level(), end);
  co_return safe;
}

task<result<uint64_t>> shard_impl::ack_many(std::string stream_name, std::string name, std::vector<seq_no> seqs,
                                            seq_no up_to) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  std::sort(seqs.begin(), seqs.end());
  seqs.erase(std::unique(seqs.begin(), seqs.end()), seqs.end());
  auto found = co_await existing(stream_name, name);
  if (!found) co_return found.err();
  place held = *found;
  used(*held.at);
  uint64_t done = 0;
  size_t listed = 0;  // so many of seqs were looked at
  for (;;) {
    std::vector<seq_no> some;
    size_t looked_at = listed;
    while (looked_at < seqs.size() && some.size() < finished_at_once_max) {
      const seq_no seq = seqs[looked_at++];
      if (held.at->find_delivered(seq) != nullptr) some.push_back(seq);
    }
    if (some.empty()) held.at->pending().list_delivered(up_to, finished_at_once_max, some);
    if (some.empty()) break;
    const size_t bytes = finish_bytes(held, some.size());
    if (!held.in->ephemeral() && !journal_of().has_room(bytes)) {
      auto room = co_await room_for(held.in->config(), bytes, true);
      if (!room) co_return room.err();
      if (held.gone()) co_return fail(errc::no_such_consumer, "consumer " + quoted(name) + " was deleted");
      std::erase_if(some, [&held](seq_no seq) { return held.at->find_delivered(seq) == nullptr; });
      // Deliveries since then may need more than was asked for.
      if (finish_bytes(held, some.size()) > bytes && !journal_of().has_room(finish_bytes(held, some.size()))) continue;
    }
    listed = looked_at;
    done += some.size();
    finish(held, some);
  }
  auto safe = co_await reached(held.in->level(), held.at->changed_end);
  if (!safe) co_return safe.err();
  co_return done;
}

task<result<void>> shard_impl::give_up(place held, seq_no seq, park_reason reason) {
  size_t granted = 0;
  const pending_set::entry* found = nullptr;
  for (;;) {
    if (held.gone()) co_return ok();
    found = held.at->find_delivered(seq);
    if (found == nullptr || found->where == pending_stage::dying) {
      auto safe = co_await reached(held.in->level(), held.at->changed_end);
      co_return safe;
    }
    const size_t bytes = progress_bytes(*held.at);
    if (held.in->ephemeral() || bytes <= granted || journal_of().has_room(bytes)) break;
    auto room = co_await room_for(held.in->config(), bytes, true);
    if (!room) co_return room.err();
    granted = bytes;
  }
  const pending_set::entry before = *found;
  const bool counts = reason == park_reason::max_deliver;
  held.at->give_up(seq, reason, ports_.clock.wall());
  if (counts) held.at->count_dropped();
  lsn end;
  if (held.in->ephemeral()) {
    held.at->journaled();
  } else {
    end = journal_progress(*held.in, *held.at);
    std::function<void()> revert = [at = held.at, before, counts] {
      at->restore(before);
      if (counts) at->uncount_dropped();
    };
    undo_.add(end, std::move(revert));
  }
  start_burying(held);
  auto safe = co_await reached(held.in->level(), end);
  co_return safe;
}

task<result<void>> shard_impl::nak(std::string stream_name, std::string name, seq_no seq, uint64_t delay_ms) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  if (delay_ms > duration_ms_max) {
    co_return fail(errc::invalid_argument, "delay_ms: " + std::to_string(delay_ms) + " ms, at most " +
                                               std::to_string(duration_ms_max) + " (duration_ms_max)");
  }
  auto held = co_await existing(stream_name, name);
  if (!held) co_return held.err();
  consumer& at = *held->at;
  used(at);
  at.expire_one(seq, ports_.clock.mono(), ports_.clock.wall());
  look_after(*held);
  const pending_set::entry* found = at.find_delivered(seq);
  if (found == nullptr || found->where == pending_stage::dying) co_return ok();
  if (delay_ms != 0) {
    at.wait_until(seq, mono_ns(ports_.clock.mono().raw() + static_cast<int64_t>(delay_ms) * 1'000'000));
    set_alarm(at);
    co_return ok();
  }
  if (found->where == pending_stage::due || found->where == pending_stage::taken) co_return ok();
  if (at.attempts_left(found->deliveries)) {
    at.make_due(seq);
    co_return ok();
  }
  auto given_up = co_await give_up(*held, seq, park_reason::max_deliver);
  co_return given_up;
}

task<result<void>> shard_impl::term(std::string stream_name, std::string name, seq_no seq) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  auto held = co_await existing(stream_name, name);
  if (!held) co_return held.err();
  used(*held->at);
  held->at->expire_one(seq, ports_.clock.mono(), ports_.clock.wall());
  look_after(*held);
  auto given_up = co_await give_up(*held, seq, park_reason::term);
  co_return given_up;
}

task<result<void>> shard_impl::in_progress(std::string stream_name, std::string name, seq_no seq) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  auto held = co_await existing(stream_name, name);
  if (!held) co_return held.err();
  consumer& at = *held->at;
  used(at);
  at.expire_one(seq, ports_.clock.mono(), ports_.clock.wall());
  look_after(*held);
  const pending_set::entry* found = at.find_delivered(seq);
  const bool late = found != nullptr && (found->where == pending_stage::due || found->where == pending_stage::taken);
  if (found == nullptr || (found->where != pending_stage::out && !late)) co_return ok();
  at.wait_until(seq, at.deadline_from(ports_.clock.mono(), found->deliveries));
  set_alarm(at);
  co_return ok();
}

}  // namespace weir
