// What happens to messages by themselves: those with a ttl expire, scheduled ones come due.
//
// Streams with such messages are ordered by when that is next the case; one alarm rings at the earliest, and the tick
// every second tries again what could not be done then: no room, a full stream, a clock that is not to be trusted.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {
namespace {

constexpr size_t expired_at_once = 1'000;  // in one journal entry; others get their turn in between
constexpr size_t released_at_once = 200;   // likewise
constexpr size_t set_aside_max = 100;      // that found no room in a stream with discard_new
constexpr size_t loaded_at_once = 16'384;

}  // namespace

void shard_impl::alarm::set(mono_ns at) {
  owner_.ports_.deadlines.disarm(*this);
  owner_.ports_.deadlines.arm(*this, at);
}

// --- whose turn it is ---

void shard_impl::forget_wake(stream& in) {
  if (in.wake_at) wakes_.erase({*in.wake_at, in.id()});
  in.wake_at.reset();
}

void shard_impl::wake(stream& in) {
  std::optional<wall_ms> next;
  if (const auto first = in.expiring.next(in.log())) next = first->at;
  if (in.later) {
    const auto first = in.later->due.next(in.later->log);
    if (first && (!next || first->at < *next)) next = first->at;
    if (!in.later->loaded()) next = wall_ms();
  }
  if (next == in.wake_at) return;
  forget_wake(in);
  in.wake_at = next;
  if (next) wakes_.insert({*next, in.id()});
  set_alarm();
}

// For the first that is not due yet: what is due and still there waits for the tick.
void shard_impl::set_alarm() {
  const wall_ms now = believed_wall();
  const auto first = wakes_.upper_bound({now, stream_id(UINT64_MAX)});
  if (first == wakes_.end() || stopping_) return alarm_.stop();
  constexpr int64_t ahead_ms_max = 24ll * 3600 * 1000;
  const int64_t ahead_ms = std::min(first->first.raw() - now.raw(), ahead_ms_max);
  alarm_.set(mono_ns(ports_.clock.mono().raw() + ahead_ms * 1'000'000));
}

void shard_impl::on_due() {
  if (stopping_) return;
  const auto now = trusted_wall();
  std::vector<stream_ref> due;
  for (auto at = wakes_.begin(); now && at != wakes_.end() && at->first <= *now; ++at) {
    stream* in = find(at->second);
    if (in != nullptr && !in->looked_at) due.emplace_back(in);
  }
  for (const stream_ref& in : due) in_background(run_due(in));
  set_alarm();
}

task<void> shard_impl::run_due(stream_ref in) {
  in->looked_at = true;
  co_await expire(in);
  co_await release(in);
  in->looked_at = false;
  if (!in->deleted) wake(*in);
}

// --- ttl ---

bool shard_impl::outlived(stream& in) {
  if (in.expiring.empty()) return false;
  const auto first = in.expiring.next(in.log());
  const auto now = trusted_wall();
  return first && now && first->at <= *now;
}

task<void> shard_impl::expire(stream_ref in) {
  for (;;) {
    const auto now = trusted_wall();
    auto next = in->expiring.next(in->log());
    if (in->deleted || stopping_ || !now || !next || next->at > *now) co_return;
    auto room = co_await room_for(in->config(), stream_log::remove_bytes(expired_at_once), true);
    if (!room || in->deleted) co_return;
    std::vector<seq_no> gone;
    for (next = in->expiring.next(in->log()); next && next->at <= *now && gone.size() < expired_at_once;
         next = in->expiring.next(in->log())) {
      gone.push_back(next->seq);
      in->expiring.pop();
    }
    counters_.pruned += in->remove(gone);
    if (gone.size() < expired_at_once) continue;
    auto breath = [] { return true; };
    co_await run_on(ports_.pool, breath);
  }
}

// --- the schedule ---

// Reads back, after a restart, when what comes due.
task<bool> shard_impl::load_schedule(stream_ref in) {
  schedule& later = *in->later;
  while (!later.loaded()) {
    auto part = co_await later.log.oldest(later.read_to.next(), loaded_at_once);
    if (!part || in->deleted || stopping_) co_return false;
    if (later.loaded()) break;  // purged meanwhile
    for (const stream_log::live_record& one : *part) {
      if (one.seq <= later.read_end) later.due.add(one.seq, one.time);
    }
    later.read_to = part->size() < loaded_at_once ? later.read_end : part->back().seq;
  }
  co_return true;
}

task<void> shard_impl::release(stream_ref in) {
  if (!in->later) co_return;
  const bool loaded = co_await load_schedule(in);
  if (!loaded) co_return;
  std::vector<due_index::item> set_aside;
  for (size_t released = 1;; ++released) {
    const bool more = co_await release_next(in, set_aside);
    if (!more) break;
    if (released % released_at_once != 0) continue;
    auto breath = [] { return true; };
    co_await run_on(ports_.pool, breath);
  }
  for (const due_index::item& one : set_aside) in->later->due.add(one.seq, one.at);
}

task<bool> shard_impl::release_next(stream_ref in, std::vector<due_index::item>& set_aside) {
  schedule& later = *in->later;
  const auto now = trusted_wall();
  const auto next = later.due.next(later.log);
  if (in->deleted || stopping_ || !now || !next || next->at > *now) co_return false;
  scan_request wanted;
  wanted.from = next->seq;
  wanted.to = next->seq;
  wanted.records_max = 1;
  auto found = co_await later.log.scan(wanted);
  if (!found || in->deleted) co_return false;
  if (!later.log.is_live(next->seq)) co_return true;  // purged meanwhile
  std::optional<scheduled_parts> parts;
  record_fields fields;
  if (!found->records.empty()) {
    auto view = parse_record(found->records.front().bytes.bytes());
    if (view) parts = take_apart(view->headers);
    if (parts) fields = record_fields{view->subject, next->at, parts->headers, view->payload};
  }
  if (!parts) {
    // Damaged: it stays where it is, is counted as such, and is tried again after the next start.
    later.due.drop(next->seq);
    co_return true;
  }
  auto admitted = co_await admit_append(in, fields, together_bytes(1, parts->message_id.size()));
  if (!admitted && admitted.err().code == errc::stream_full && set_aside.size() < set_aside_max) {
    later.due.drop(next->seq);
    set_aside.push_back(*next);
    co_return true;
  }
  if (!admitted) co_return false;
  if (!later.log.is_live(next->seq)) co_return true;
  release_one(*in, fields, *parts, next->seq);
  co_return true;
}

void shard_impl::release_one(stream& in, const record_fields& fields, const scheduled_parts& parts, seq_no from) {
  message_extras extras;
  extras.first = in.log().stats().last.next();
  message_extras::item item;
  const dedup_table::known* known = nullptr;
  if (in.ids && !parts.message_id.empty()) known = in.ids->find(parts.message_id, believed_wall());
  if (known != nullptr && known->scheduled && known->seq == from) {
    item.id = parts.message_id;
    item.published_at = known->at;
  }
  const wall_ms now = believed_wall();
  if (parts.ttl_ms != 0) item.expires_at = wall_ms(now.raw() + static_cast<int64_t>(parts.ttl_ms));
  if (!item.id.empty() || parts.ttl_ms != 0) extras.items.push_back(std::move(item));
  const std::vector<record_fields> run(1, fields);
  departing going;
  going.released.push_back(from);
  const stream_log::appended at = append_together(in, extras, run, going);
  const stream::appended done = in.after_append(at, fields.subject);
  counters_.pruned += done.removed;
  const stream_ref held(&in);
  if (done.needs_load) in_background(settle_append(held, done));
  if (in.ephemeral()) return;
  std::function<void()> revert = [held] { ++held->later->kept; };
  undo_.add(at.end, std::move(revert));
}

}  // namespace weir
