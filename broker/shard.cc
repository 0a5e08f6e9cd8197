#include "broker/open_subscription.h"

namespace weir {

result<std::unique_ptr<shard>> shard::open(const shard_ports& ports, std::string dir, const broker_limits& limits,
                                           const store_config& storage) {
  auto opened = std::make_unique<shard_impl>(ports, limits);
  auto recovered = opened->recover(dir, storage);
  if (!recovered) return recovered.err();
  return std::unique_ptr<shard>(std::move(opened));
}

shard_impl::~shard_impl() {
  tick_.stop();
  sweep_.stop();
  alarm_.stop();
}

// --- deadlines ---

void shard_impl::repeating::start(uint64_t period_ms) {
  period_ms_ = period_ms;
  const int64_t now = owner_.ports_.clock.mono().raw();
  owner_.ports_.deadlines.arm(*this, mono_ns(now + static_cast<int64_t>(period_ms) * 1'000'000));
}

void shard_impl::repeating::expired() {
  start(period_ms_);
  (owner_.*action_)();
}

void shard_impl::on_tick() {
  store_->tick();
  sweep_leaving();
  on_due();  // what could not be done when it was due; and the wall clock may have been set
  follow_wall();
  retry_burying();
  for (open_subscription* one : subscriptions_) one->look_again();
}

void shard_impl::on_sweep() {
  const bool ages = trusted_wall().has_value();
  std::vector<stream_ref> aging;
  std::vector<stream_ref> unwanted;
  for (const auto& [id, one] : by_id_) {
    if (one->log().stats().count == 0) continue;
    if (ages && one->limits().has_age() && !one->aging) aging.push_back(one);
    if (one->config().policy == retention_policy::interest) unwanted.push_back(one);
  }
  for (const stream_ref& one : aging) look_after_all(one);
  for (const stream_ref& one : unwanted) look_after_all(one);
  for (const stream_ref& one : aging) in_background(prune_in_background(one, true));
  for (const stream_ref& one : unwanted) in_background(drop_unwanted(one));
}

// Deadlines that passed are counted before their messages go.
void shard_impl::look_after_all(const stream_ref& in) {
  for (const auto& [name, at] : in->consumers) {
    const auto deadline = at->next_deadline();
    if (!deadline || *deadline > ports_.clock.mono()) continue;
    const place held{in, at};
    look_after(held);
  }
}

// More than once: a pending message below the lowest floor goes too, and then the floor may be higher.
task<void> shard_impl::drop_unwanted(stream_ref in) {
  while (!in->deleted && in->unwanted_before() > in->log().stats().first) {
    auto room = co_await room_for(in->config(), stream_log::remove_bytes(1), true);
    if (!room || in->deleted) co_return;
    counters_.pruned += in->remove_before(in->unwanted_before());
  }
}

task<uint64_t> shard_impl::prune(stream_ref in, bool ages) {
  constexpr int fruitless_max = 3;  // what cannot be read now is tried again at the next sweep
  uint64_t removed = 0;
  int fruitless = 0;
  co_await in->pruning.take();
  while (!in->deleted && fruitless < fruitless_max) {
    if (!in->ephemeral() && !journal_of().has_room(retention::room_bytes)) {
      auto room = co_await journal_of().room(retention::room_bytes, true);
      if (!room || in->deleted) break;
    }
    const std::optional<wall_ms> now = ages ? trusted_wall() : std::nullopt;
    const retention::outcome done = in->enforce(now);
    removed += done.removed;
    if (!done.needs_load) break;
    fruitless = done.removed == 0 ? fruitless + 1 : 0;
    auto loaded = co_await in->limits().load();
    if (!loaded) break;
  }
  counters_.pruned += removed;
  in->pruning.release();
  co_return removed;
}

task<void> shard_impl::prune_in_background(stream_ref in, bool ages) {
  if (ages) in->aging = true;
  co_await prune(in, ages);
  if (ages) in->aging = false;
}

// --- what changed on disk ---

void shard_impl::on_progress() {
  if (store_->failed()) {
    if (!taken_back_) take_back();
    return;
  }
  undo_.settle(journal_of().durable_end());
  board_.on_visible();
  sweep_leaving();
}

void shard_impl::take_back() {
  taken_back_ = true;
  undo_.revert_all();
  for (const auto& [id, in] : by_id_) in->in_doubt = in->removal_end() > journal_of().durable_end();
}

void shard_impl::sweep_leaving() {
  if (leaving_.empty() || store_->failed()) return;
  const lsn durable_end = journal_of().durable_end();
  std::erase_if(leaving_, [this, durable_end](const stream_ref& gone) {
    if (gone->control_end > durable_end || !gone.unique()) return false;
    if (gone->later) store_->drop_log(gone->later->log.id());
    store_->drop_log(gone->id());
    return true;
  });
}

void shard_impl::announce(watch_kind kind, const std::string& stream_name, const std::string& consumer_name) {
  ports_.events.on_event(watch_event{kind, ports_.clock.wall(), stream_name, consumer_name});
}

// --- looking up and waiting ---

error shard_impl::unavailable() const {
  return fail(errc::unavailable, "the broker is stopping");
}

error shard_impl::read_only() const {
  return fail(errc::storage_failed,
              "a write or sync of this shard's journal failed; the shard is read-only until the broker is restarted");
}

error shard_impl::no_longer_there(const stream& in) const {
  return fail(errc::no_such_stream, "stream " + quoted(in.config().name) + " was deleted");
}

stream* shard_impl::find(std::string_view name) {
  const auto at = streams_.find(name);
  return at == streams_.end() ? nullptr : at->second.get();
}

error shard_impl::in_doubt(const stream& in) const {
  return fail(errc::storage_failed, "stream " + quoted(in.config().name) +
                                        ": messages were being removed when a write or sync of this shard's journal "
                                        "failed; which of them are left is known after a restart of the broker");
}

task<result<shard_impl::stream_ref>> shard_impl::existing(std::string name) {
  for (;;) {
    if (stream* found = find(name)) {
      if (found->in_doubt) co_return in_doubt(*found);
      co_return stream_ref(found);
    }
    const lsn seen = control_end_;
    auto safe = co_await reached(durability::fsync, seen);
    if (!safe || seen != control_end_) continue;
    co_return fail(errc::no_such_stream, "stream " + quoted(name) + " does not exist");
  }
}

task<result<shard_impl::place>> shard_impl::existing(std::string name, std::string consumer_name) {
  for (;;) {
    auto in = co_await existing(name);
    if (!in) co_return in.err();
    const auto at = (*in)->consumers.find(consumer_name);
    if (at != (*in)->consumers.end()) co_return place{*in, at->second};
    const lsn seen = (*in)->control_end;
    auto safe = co_await reached(durability::fsync, seen);
    if (!safe || seen != (*in)->control_end || (*in)->deleted) continue;
    co_return fail(errc::no_such_consumer,
                   "consumer " + quoted(consumer_name) + " does not exist in stream " + quoted(name));
  }
}

task<result<void>> shard_impl::reached(durability level, lsn end) {
  if (taken_back_) co_return ok();
  auto outcome = co_await stored(level, end);
  co_return outcome;
}

task<result<void>> shard_impl::stored(durability level, lsn end) {
  if (level == durability::memory || end == lsn()) co_return ok();
  result<void> outcome;
  if (level == durability::written) {
    outcome = co_await journal_of().written(end);
  } else {
    outcome = co_await journal_of().durable(end);
  }
  if (!outcome) on_progress();  // whoever looks again after a failure must see what is left
  co_return outcome;
}

task<bool> shard_impl::settled(stream_ref in) {
  const lsn changed = std::max(in->log().last_change(), in->progress_end);
  const bool was_taken_back = taken_back_;  // what is looked at now is not what a failure between the waits leaves
  auto control = co_await reached(durability::fsync, in->control_end);
  if (!control) co_return false;
  auto data = co_await reached(in->level(), changed);
  const bool still_so = data && taken_back_ == was_taken_back;
  co_return still_so;
}

task<result<void>> shard_impl::room_for(const stream_config& config, size_t bytes, bool use_reserve) {
  if (config.ephemeral) co_return ok();
  if (store_->failed()) co_return read_only();
  if (journal_of().has_room(bytes)) co_return ok();
  auto room = co_await journal_of().room(bytes, use_reserve);
  co_return room;
}

lsn shard_impl::append_control(stream& in, const std::string& entry, std::function<void()> revert) {
  if (in.ephemeral()) return lsn();
  const lsn end = store_->append_state(in.id(), as_bytes(entry));
  in.control_end = end;
  undo_.add(end, std::move(revert));
  return end;
}

// --- the whole shard ---

shard_metrics shard_impl::metrics() const {
  shard_metrics all = counters_;
  all.streams = by_id_.size();
  all.damaged_records = store_->report().damaged_records;
  for (const auto& [id, one] : by_id_) {
    all.consumers += one->consumers.size();
    all.messages += one->log().stats().count;
    all.bytes += one->log().stats().bytes;
    all.scheduled += one->info().scheduled;
    for (const auto& [name, at] : one->consumers) {
      const consumer_info info = one->info_of(*at);
      all.pending += info.pending;
      all.parked += info.parked;
      all.waiting += info.waiting;
    }
  }
  all.journal = store_->log_journal().stats();
  all.failed = store_->failed();
  all.full = store_->full();
  return all;
}

std::vector<consumer_metrics> shard_impl::metrics_of_consumers(size_t consumers_max) const {
  std::vector<consumer_metrics> listed;
  for (const auto& [id, one] : by_id_) {
    for (const auto& [name, at] : one->consumers) {
      if (listed.size() == consumers_max) return listed;
      const consumer_info info = one->info_of(*at);
      listed.push_back({one->config().name, name, info.lag, info.pending, info.parked, info.blocked});
    }
  }
  return listed;
}

task<result<void>> shard_impl::stop() {
  stopping_ = true;
  tick_.stop();
  sweep_.stop();
  alarm_.stop();
  const std::vector<open_subscription*> open(subscriptions_.begin(), subscriptions_.end());
  for (open_subscription* one : open) one->end();
  store_->flush();
  co_await requests_.none_left();
  co_await background_.close();
  // What was given back just now is in no checkpoint yet, and the store takes none where the journal did not move.
  for (const auto& [id, in] : by_id_) {
    for (const auto& [name, at] : in->consumers) journal_progress_lazily(*in, *at);
  }
  sweep_leaving();
  auto closed = co_await store_->close();
  co_return closed;
}

}  // namespace weir
