// What a consumer did, journaled; and what it does unasked, when its alarm rings.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {

// --- what a consumer did, journaled ---

lsn shard_impl::journal_progress(stream& in, consumer& at) {
  encode_progress(scratch_, at);
  return journal_encoded(in, at);
}

lsn shard_impl::journal_encoded(stream& in, consumer& at) {
  at.journaled();
  const lsn end = store_->append_state(in.id(), as_bytes(scratch_));
  at.changed_end = end;
  in.progress_end = end;
  return end;
}

void shard_impl::journal_progress_lazily(stream& in, consumer& at) {
  if (in.ephemeral() || store_->failed()) {
    at.journaled();
    return;
  }
  if (!at.dirty()) return;
  encode_progress(scratch_, at);
  // Full: stays unjournaled until the next time. A crash before that only forgets delivery counts.
  if (!journal_of().has_room(scratch_.size())) return;
  journal_progress(in, at);
}

task<void> shard_impl::journal_progress_patiently(place held) {
  journal_progress_lazily(*held.in, *held.at);
  while (held.at->dirty() && !held.gone()) {
    auto room = co_await room_for(held.in->config(), progress_bytes(*held.at), true);
    if (!room) co_return;
    if (held.at->dirty() && !held.gone()) journal_progress(*held.in, *held.at);
  }
}

size_t shard_impl::progress_bytes(const consumer& at, size_t more) {
  if (!at.journal_whole()) return at.progress_bytes_max(more);
  constexpr size_t split_run_max = 3 * 10 + 21;  // what one message less may add to the whole state
  encode_progress(scratch_, at);
  return scratch_.size() + 64 + more * split_run_max;
}

// --- unasked ---

// For good: a wall clock that goes back does not begin it again, after a restart neither, if there is room to journal
// that.
void shard_impl::end_pause(const place& held) {
  const bool can = !held.in->ephemeral() && !store_->failed();
  if (can && journal_of().has_room(settings_bytes(held.at->config()))) {
    change_settings(held, held.at->config(), wall_ms(0));
    return;
  }
  held.at->paused_until = wall_ms(0);
  held.at->stir();
}

void shard_impl::look_after(const place& held) {
  constexpr size_t deadlines_at_once = 1'000;
  consumer& at = *held.at;
  if (at.paused() && believed_wall() >= at.paused_until) end_pause(held);
  at.expire(ports_.clock.mono(), ports_.clock.wall(), deadlines_at_once);
  if (!at.dying().empty()) start_burying(held);
}

task<void> shard_impl::catch_up(place held) {
  for (;;) {
    look_after(held);
    const auto next = held.at->next_deadline();
    if (!next || *next > ports_.clock.mono() || stopping_ || held.gone()) co_return;
    journal_progress_lazily(*held.in, *held.at);
    auto breath = [] { return true; };
    co_await run_on(ports_.pool, breath);
  }
}

void shard_impl::set_alarm(consumer& at) {
  if (stopping_ || at.deleted || at.in->deleted || !at.alarm) return;
  constexpr int64_t ns_per_ms = 1'000'000;
  const int64_t now = ports_.clock.mono().raw();
  if (const auto deadline = at.next_deadline()) at.alarm->by(*deadline);
  if (at.paused()) {
    const int64_t left = at.paused_until.raw() - believed_wall().raw();
    at.alarm->by(mono_ns(now + std::clamp<int64_t>(left, 0, static_cast<int64_t>(duration_ms_max)) * ns_per_ms));
  }
  if (at.config().inactive_ms != 0 && at.subscriptions == 0) {
    at.alarm->by(mono_ns(at.last_used.raw() + static_cast<int64_t>(at.config().inactive_ms) * ns_per_ms));
  }
}

// Pauses end by the wall clock, alarms ring by the other one.
void shard_impl::follow_wall() {
  constexpr int64_t late_ms_max = 500;
  const int64_t offset = believed_wall().raw() - ports_.clock.mono().raw() / 1'000'000;
  if (offset <= wall_offset_ms_ + late_ms_max && offset >= wall_offset_ms_ - late_ms_max) return;
  wall_offset_ms_ = offset;
  std::vector<place> paused;
  for (const auto& [id, in] : by_id_) {
    for (const auto& [name, at] : in->consumers) {
      if (at->paused()) paused.push_back(place{in, at});
    }
  }
  for (const place& held : paused) {
    look_after(held);
    set_alarm(*held.at);
  }
}

void shard_impl::on_alarm(consumer& at) {
  if (stopping_ || at.deleted || at.in->deleted) return;
  place held;
  held.in = stream_ref(at.in);
  held.at = consumer_ref(&at);
  if (is_unused(at)) return in_background(expire_consumer(std::move(held)));
  look_after(held);
  if (at.has_due()) at.stir();
  journal_progress_lazily(*held.in, at);
  set_alarm(at);
}

}  // namespace weir
