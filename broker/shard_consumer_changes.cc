// Changes of a consumer that exists: update, pause, reset, and its end for want of use.
#include <algorithm>

#include "broker/shard_impl.h"
#include "broker/turn_hold.h"

namespace weir {

// On a work queue each message belongs to one consumer.
result<void> shard_impl::check_overlap(const stream& in, const consumer_config& config) const {
  if (in.config().policy != retention_policy::work_queue) return ok();
  const auto filters_of = [](const subject_filter& filter) {
    return filter.matches_all() ? std::vector<std::string>(1, ">") : filter.filters();
  };
  const std::vector<std::string> wanted = filters_of(filter_of(config));
  for (const auto& [name, other] : in.consumers) {
    if (name == config.name) continue;
    for (const std::string& taken : filters_of(*other->filter())) {
      for (const std::string& filter : wanted) {
        if (!filters_overlap(filter, taken)) continue;
        return fail(errc::invalid_config, "filter_subject: " + quoted(filter) + " overlaps with " + quoted(taken) +
                                              " of consumer " + quoted(name) +
                                              "; on a work queue each message has one consumer");
      }
    }
  }
  return ok();
}

lsn shard_impl::change_settings(const place& held, const consumer_config& config, wall_ms paused_until) {
  consumer& at = *held.at;
  consumer_record settings;
  settings.number = at.number();
  settings.config = config;
  settings.created_at = at.created_at();
  settings.paused_until = paused_until;
  const std::string entry = encode_entry(consumer_settings{settings});
  std::function<void()> revert = [held, before = at.config(), until = at.paused_until] {
    held.at->set_config(before);
    held.at->paused_until = until;
  };
  at.set_config(config);
  at.paused_until = paused_until;
  at.stir();
  set_alarm(at);
  return append_control(*held.in, entry, std::move(revert));
}

size_t shard_impl::settings_bytes(const consumer_config& config) const {
  consumer_record settings;
  settings.config = config;
  return encode_entry(consumer_settings{settings}).size() + 64;
}

task<result<consumer_info>> shard_impl::update_consumer(consumer_update update) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  place held;
  consumer_config after;
  for (;;) {
    auto found = co_await existing(update.stream, update.consumer);
    if (!found) co_return found.err();
    held = *found;
    used(*held.at);
    co_await catch_up(held);
    if (held.gone()) continue;
    const consumer_config seen = held.at->config();
    auto changed = updated(seen, update, held.in->accepted(), limits_.pending_max);
    if (!changed) co_return changed.err();
    after = *changed;
    if (auto fine = check_overlap(*held.in, after); !fine) co_return fine.err();
    const size_t bytes = settings_bytes(after);
    if (held.in->ephemeral() || journal_of().has_room(bytes)) break;
    auto room = co_await room_for(held.in->config(), bytes, true);
    if (!room) co_return room.err();
    if (!held.gone() && held.at->config() == seen && check_overlap(*held.in, after)) break;
  }
  const lsn end = change_settings(held, after, held.at->paused_until);
  auto safe = co_await reached(durability::fsync, end);
  if (!safe) co_return safe.err();
  auto info = co_await get_consumer(update.stream, update.consumer);
  co_return info;
}

task<result<void>> shard_impl::pause_consumer(std::string stream_name, std::string name, wall_ms until) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  if (until.raw() > believed_wall().raw() + static_cast<int64_t>(duration_ms_max)) {
    co_return fail(errc::invalid_argument,
                   "until_ms: " + std::to_string(until.raw()) + " is more than a hundred years ahead");
  }
  place held;
  for (;;) {
    auto found = co_await existing(stream_name, name);
    if (!found) co_return found.err();
    held = *found;
    used(*held.at);
    const size_t bytes = settings_bytes(held.at->config());
    if (held.in->ephemeral() || journal_of().has_room(bytes)) break;
    auto room = co_await room_for(held.in->config(), bytes, true);
    if (!room) co_return room.err();
    if (!held.gone() && settings_bytes(held.at->config()) <= bytes) break;
  }
  const wall_ms paused_until = until <= believed_wall() ? wall_ms(0) : until;
  const lsn end = change_settings(held, held.at->config(), paused_until);
  auto safe = co_await reached(durability::fsync, end);
  co_return safe;
}

task<result<seq_no>> shard_impl::reset_to(stream_ref in, reset_target to) {
  if (to.seq.has_value() == to.time.has_value()) {
    co_return fail(errc::invalid_argument, "seq, time_ms: exactly one of them says where to go");
  }
  if (to.time) {
    if (to.time->raw() < 0) {
      co_return fail(errc::invalid_argument,
                     "time_ms: " + std::to_string(to.time->raw()) + " is before 1970; at least 0 is needed");
    }
    auto first = co_await in->log().first_at_or_after(*to.time);
    co_return first;
  }
  const seq_no last = in->log().stats().last;
  if (*to.seq > last.raw() + 1) {
    co_return fail(errc::invalid_argument, "seq: " + std::to_string(*to.seq) + " is beyond the next message, " +
                                               std::to_string(last.raw() + 1));
  }
  co_return seq_no(std::max<uint64_t>(*to.seq, 1));
}

task<result<void>> shard_impl::reset_consumer(std::string stream_name, std::string name, reset_target to) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  auto held = co_await existing(stream_name, name);
  if (!held) co_return held.err();
  used(*held->at);
  co_await held->at->fetching.take();  // nobody is in the middle of a delivery
  const turn_hold hold(held->at->fetching);
  auto target = co_await reset_to(held->in, to);
  if (!target) co_return target.err();
  if (!held->in->ephemeral()) {
    auto room = co_await room_for(held->in->config(), settings_bytes(held->at->config()) + 64, true);
    if (!room) co_return room.err();
  }
  if (held->gone()) co_return fail(errc::no_such_consumer, "consumer " + quoted(name) + " was deleted");
  const consumer_record before = record_of(*held->at);
  held->at->reset(*target);
  const uint64_t resets = held->at->resets;
  const lsn end = journal_whole(*held, before);
  const uint64_t floor = held->in->info_of(*held->at).ack_floor;
  auto safe = co_await reached(durability::fsync, end);
  if (!safe) co_return safe.err();
  if (resets == held->at->resets) held->at->sure_floor = seq_no(floor);
  co_return ok();
}

// --- for want of use ---

bool shard_impl::is_unused(consumer& at) {
  const uint64_t inactive_ms = at.config().inactive_ms;
  if (inactive_ms == 0 || at.subscriptions != 0) return false;
  return ports_.clock.mono().raw() - at.last_used.raw() >= static_cast<int64_t>(inactive_ms) * 1'000'000;
}

task<void> shard_impl::expire_consumer(place held) {
  constexpr int64_t retry_ns = 1'000'000'000;
  const auto removed = co_await remove_consumer(held, true);
  if (removed || held.gone() || stopping_) co_return;
  held.at->alarm->by(mono_ns(ports_.clock.mono().raw() + retry_ns));
}

task<result<bool>> shard_impl::remove_consumer(place held, bool only_if_unused) {
  const std::string entry = encode_entry(consumer_deleted{held.at->number()});
  auto room = co_await room_for(held.in->config(), entry.size(), true);
  if (!room) co_return room.err();
  if (held.gone() || (only_if_unused && !is_unused(*held.at))) co_return false;
  const std::string name = held.at->config().name;
  held.at->deleted = true;
  held.in->consumers.erase(name);
  std::function<void()> revert = [held] {
    held.at->deleted = false;
    held.in->consumers[held.at->config().name] = held.at;
  };
  const lsn end = append_control(*held.in, entry, std::move(revert));
  if (held.in->config().policy == retention_policy::interest) in_background(drop_unwanted(held.in));
  auto safe = co_await reached(durability::fsync, end);
  if (!safe) co_return safe.err();
  dismiss(*held.at);
  announce(watch_kind::consumer_deleted, held.in->config().name, name);
  co_return true;
}

}  // namespace weir
