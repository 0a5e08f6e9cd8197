// Consumers: create, delete, info, list.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {
namespace {

bool is_literal(std::string_view filter) {
  return filter.find_first_of("*>") == std::string_view::npos;
}

}  // namespace

// --- life of a consumer ---

seq_no shard_impl::last_matching(const stream& in, const subject_filter& filter) const {
  const stream_log& log = in.log();
  const seq_no last = log.stats().last;
  if (filter.matches_all() && log.is_live(last)) return last;
  seq_no found;
  const auto& filters = filter.filters();
  if (!filters.empty() && std::all_of(filters.begin(), filters.end(), is_literal)) {
    for (const std::string& subject : filters) found = std::max(found, in.last_at(subject));
    return found;
  }
  log.for_each_subject({}, [&found, &filter](const subject_info& one) {
    if (one.last > found && filter.matches(one.name)) found = one.last;
    return true;
  });
  return found;
}

task<result<seq_no>> shard_impl::start_of(stream_ref in, consumer_config config) {
  stream_log& log = in->log();
  switch (config.policy) {
    case delivery_policy::all:
      break;
    case delivery_policy::by_start_seq:
      co_return seq_no(std::max<uint64_t>(config.start_seq, 1));
    case delivery_policy::by_start_time: {
      auto first = co_await log.first_at_or_after(wall_ms(config.start_time_ms));
      co_return first;
    }
    case delivery_policy::last: {
      if (!log.exact()) {
        auto exact = co_await log.become_exact();
        if (!exact) co_return exact.err();
      }
      const seq_no last = last_matching(*in, filter_of(config));
      co_return last != seq_no() ? last : log.stats().last.next();
    }
  }
  co_return seq_no(1);
}

task<result<consumer_info>> shard_impl::create_consumer(std::string stream_name, consumer_config given) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  stream_ref in;
  consumer_record record;
  std::string entry;
  for (;;) {
    auto found = co_await existing(stream_name);
    if (!found) co_return found.err();
    in = *found;
    auto config = effective(given, in->accepted(), limits_.pending_max);
    if (!config) co_return config.err();
    if (const auto at = in->consumers.find(config->name); at != in->consumers.end()) {
      const consumer_ref other = at->second;
      auto safe = co_await reached(durability::fsync, other->created_end);
      if (!safe || other->deleted || in->deleted) continue;
      co_return fail(errc::already_exists,
                     "consumer " + quoted(given.name) + " exists already in stream " + quoted(stream_name));
    }
    if (in->consumers.size() >= limits_.consumers_max) {
      co_return fail(errc::resource_exhausted, "consumers: the stream has " + std::to_string(in->consumers.size()) +
                                                   ", at most " + std::to_string(limits_.consumers_max) +
                                                   " are allowed (consumers_max)");
    }
    if (auto fine = check_overlap(*in, *config); !fine) co_return fine.err();
    auto start = co_await start_of(in, *config);
    if (!start) co_return start.err();
    record.number = in->next_consumer;
    record.config = std::move(*config);
    record.created_at = ports_.clock.wall();
    record.next = *start;
    entry = encode_entry(consumer_state{record});
    auto room = co_await room_for(in->config(), entry.size() + 8, false);
    if (!room) co_return room.err();
    const bool unchanged = !in->deleted && record.number == in->next_consumer;
    if (unchanged && !in->consumers.contains(record.config.name) && check_overlap(*in, record.config)) break;
  }
  ++in->next_consumer;
  const consumer_ref added = make_local<consumer>(record.number, record.config, record.created_at, record.next);
  in->consumers[record.config.name] = added;
  adopt(*in, *added);
  std::function<void()> revert = [in, added] {
    added->deleted = true;
    in->consumers.erase(added->config().name);
  };
  const lsn end = append_control(*in, entry, std::move(revert));
  added->created_end = end;
  auto safe = co_await reached(durability::fsync, end);
  if (!safe) co_return safe.err();
  announce(watch_kind::consumer_created, stream_name, record.config.name);
  consumer_info info = in->info_of(*added);
  added->sure_floor = seq_no(info.ack_floor);
  co_return info;
}

task<result<void>> shard_impl::delete_consumer(std::string stream_name, std::string name) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    auto held = co_await existing(stream_name, name);
    if (!held) co_return held.err();
    auto removed = co_await remove_consumer(*held, false);
    if (!removed) co_return removed.err();
    if (*removed) co_return ok();
  }
}

task<result<consumer_info>> shard_impl::get_consumer(std::string stream_name, std::string name) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    auto held = co_await existing(stream_name, name);
    if (!held) co_return held.err();
    used(*held->at);
    co_await catch_up(*held);
    co_await journal_progress_patiently(*held);
    if (held->gone()) continue;
    consumer_info info = shown(*held->in, *held->at);
    const bool safe = co_await settled(held->in);
    if (!safe) continue;
    held->at->sure_floor = std::max(held->at->sure_floor, seq_no(info.ack_floor));
    co_return info;
  }
}

task<result<std::vector<consumer_info>>> shard_impl::list_consumers(std::string stream_name) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    auto in = co_await existing(stream_name);
    if (!in) co_return in.err();
    std::vector<consumer_ref> listed;
    for (const auto& [name, one] : (*in)->consumers) listed.push_back(one);
    for (const consumer_ref& one : listed) {
      place held;
      held.in = *in;
      held.at = one;
      co_await catch_up(held);
      co_await journal_progress_patiently(std::move(held));
    }
    if ((*in)->deleted) continue;
    std::vector<consumer_info> all;
    listed.clear();
    for (const auto& [name, one] : (*in)->consumers) {
      all.push_back(shown(**in, *one));
      listed.push_back(one);
    }
    const bool safe = co_await settled(*in);
    if (!safe) continue;
    for (size_t i = 0; i < all.size(); ++i) {
      listed[i]->sure_floor = std::max(listed[i]->sure_floor, seq_no(all[i].ack_floor));
    }
    co_return all;
  }
}

consumer_info shard_impl::shown(stream& in, consumer& at) {
  consumer_info info = in.info_of(at);
  if (store_->failed() && !in.ephemeral()) info.ack_floor = at.sure_floor.raw();
  return info;
}

size_t shard_impl::parked_max_of(const stream& in) const {
  return in.config().policy == retention_policy::work_queue ? 0 : limits_.parked_max;
}

void shard_impl::adopt(stream& in, consumer& at) {
  at.in = &in;
  at.board = &board_;
  at.pending_max = limits_.pending_max;
  at.held_max = limits_.held_back_max;
  at.parked_max = parked_max_of(in);
  std::function<void()> ring = [this, ringing = &at] { on_alarm(*ringing); };
  at.alarm = std::make_unique<consumer_alarm>(ports_.deadlines, std::move(ring));
  used(at);
  set_alarm(at);
}

}  // namespace weir
