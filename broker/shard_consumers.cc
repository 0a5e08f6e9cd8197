// Consumers: create, delete, info, list, fetch, ack.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {
namespace {

// Lets the turn go when the request ends, however it ends.
class turn_hold {
 public:
  explicit turn_hold(turn& held) : held_(held) {}
  turn_hold(const turn_hold&) = delete;
  turn_hold& operator=(const turn_hold&) = delete;
  ~turn_hold() { held_.release(); }

 private:
  turn& held_;
};

bool is_literal(std::string_view filter) {
  return filter.find_first_of("*>") == std::string_view::npos;
}

}  // namespace

// --- life of a consumer ---

seq_no shard_impl::last_matching(const stream& in, const subject_filter& filter) const {
  const stream_log& log = in.log();
  const seq_no last = log.stats().last;
  if (filter.matches_all() && log.is_live(last)) return last;
  if (!filter.matches_all() && is_literal(filter.filters().front())) return in.last_at(filter.filters().front());
  seq_no found;
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
      subject_filter filter;
      if (!config.filter_subject.empty()) filter = subject_filter(std::vector<std::string>(1, config.filter_subject));
      const seq_no last = last_matching(*in, filter);
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
    auto config = effective(given, in->accepted());
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
    if (unchanged && !in->consumers.contains(record.config.name)) break;
  }
  ++in->next_consumer;
  const consumer_ref added = make_local<consumer>(record.number, record.config, record.created_at, record.next);
  in->consumers[record.config.name] = added;
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
  place held;
  std::string entry;
  for (;;) {
    auto found = co_await existing(stream_name, name);
    if (!found) co_return found.err();
    held = *found;
    entry = encode_entry(consumer_deleted{held.at->number()});
    auto room = co_await room_for(held.in->config(), entry.size(), true);
    if (!room) co_return room.err();
    if (!held.gone()) break;
  }
  held.at->deleted = true;
  held.in->consumers.erase(name);
  std::function<void()> revert = [held] {
    held.at->deleted = false;
    held.in->consumers[held.at->config().name] = held.at;
  };
  const lsn end = append_control(*held.in, entry, std::move(revert));
  if (held.in->config().policy == retention_policy::interest) background_.spawn(drop_unwanted(held.in));
  auto safe = co_await reached(durability::fsync, end);
  if (!safe) co_return safe.err();
  announce(watch_kind::consumer_deleted, stream_name, name);
  co_return ok();
}

task<result<consumer_info>> shard_impl::get_consumer(std::string stream_name, std::string name) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    auto held = co_await existing(stream_name, name);
    if (!held) co_return held.err();
    held->at->expire(ports_.clock.mono());
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
      one->expire(ports_.clock.mono());
      place held;
      held.in = *in;
      held.at = one;
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

consumer_info shard_impl::shown(const stream& in, const consumer& at) const {
  consumer_info info = in.info_of(at);
  if (store_->failed() && !in.ephemeral()) info.ack_floor = at.sure_floor.raw();
  return info;
}

// --- what a consumer did, journaled ---

lsn shard_impl::journal_progress(stream& in, consumer& at) {
  encode_progress(scratch_, at);
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
    held.in = stream_ref(in);
    held.at = at->second;
    if (held.at->pending().find(seq) == nullptr) {
      auto safe = co_await reached(in->level(), held.at->changed_end);
      co_return safe;
    }
    if (in->ephemeral()) break;
    const size_t bytes = progress_bytes(*held.at);
    if (bytes <= granted) break;
    auto room = co_await room_for(in->config(), bytes, true);
    if (!room) co_return room.err();
    granted = bytes;
  }
  const pending_set::entry before = *held.at->acknowledge(seq);
  ++counters_.acked;
  if (held.in->ephemeral()) {
    held.at->journaled();
    co_return ok();
  }
  const lsn end = journal_progress(*held.in, *held.at);
  std::function<void()> revert = [at = held.at, before] { at->restore(before); };
  undo_.add(end, std::move(revert));
  auto safe = co_await reached(held.in->level(), end);
  co_return safe;
}

size_t shard_impl::progress_bytes(const consumer& at) {
  if (!at.journal_whole()) return at.progress_bytes_max();
  encode_progress(scratch_, at);
  return scratch_.size() + 64;
}

// --- fetch ---

task<result<fetch_outcome>> shard_impl::fetch(std::string stream_name, std::string name, uint32_t batch_size) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  place held;
  for (;;) {
    auto found = co_await existing(stream_name, name);
    if (!found) co_return found.err();
    held = *found;
    auto safe = co_await reached(durability::fsync, held.at->created_end);
    if (safe && !held.gone()) break;
  }
  co_await held.at->fetching.take();
  const turn_hold hold(held.at->fetching);
  fetch_outcome out;
  budget left;
  left.messages = std::clamp<uint32_t>(batch_size, 1, limits_.fetch_messages_max);
  left.bytes = limits_.fetch_bytes_max;
  held.at->expire(ports_.clock.mono());
  result<void> outcome = co_await redeliver(held, left, out);
  if (outcome && left.messages != 0 && left.bytes != 0) outcome = co_await deliver_new(held, left, out);
  if (held.gone()) co_return fail(errc::no_such_consumer, "consumer " + quoted(name) + " was deleted");
  journal_progress_lazily(*held.in, *held.at);
  counters_.delivered += out.deliveries.size();
  // What was read before a failure goes out; the failure comes again with the next fetch.
  if (!outcome && out.deliveries.empty()) co_return outcome.err();
  co_return out;
}

bool shard_impl::hand_out(const place& held, found_record& record, budget& left, fetch_outcome& out) {
  if (!out.deliveries.empty() && record.bytes.size() > left.bytes) {
    left.bytes = 0;
    return false;
  }
  left.bytes -= std::min(left.bytes, record.bytes.size());
  --left.messages;
  const uint32_t deliveries = held.at->delivered(record.seq, ports_.clock.mono());
  out.deliveries.push_back(delivery{std::move(record), deliveries});
  return true;
}

task<result<void>> shard_impl::redeliver(place held, budget& left, fetch_outcome& out) {
  consumer& at = *held.at;
  while (left.messages != 0 && left.bytes != 0) {
    const auto first = at.take_due();
    if (!first) break;
    seq_no last = first->seq;
    while (last.raw() - first->seq.raw() + 1 < left.messages && at.take_due_if(last.next())) last = last.next();
    scan_request wanted;
    wanted.from = first->seq;
    wanted.to = last;
    wanted.records_max = left.messages;
    wanted.bytes_max = left.bytes;
    auto found = co_await held.in->log().scan(wanted);
    if (held.gone()) co_return ok();
    // Taken and not handed out below: due again, unless it is gone.
    for (seq_no seq = first->seq; seq <= last; seq = seq.next()) {
      const bool looked_at = found && seq < found->next;
      const bool there = !looked_at || std::any_of(found->records.begin(), found->records.end(),
                                                   [seq](const found_record& one) { return one.seq == seq; });
      if (there) {
        at.make_due(seq);
      } else {
        at.forget(seq);
      }
    }
    if (!found) co_return found.err();
    out.damaged.insert(out.damaged.end(), found->damaged.begin(), found->damaged.end());
    for (found_record& record : found->records) {
      if (at.pending().find(record.seq) == nullptr) continue;  // acknowledged while it was read
      if (!hand_out(held, record, left, out)) break;
    }
  }
  co_return ok();
}

task<result<void>> shard_impl::deliver_new(place held, budget& left, fetch_outcome& out) {
  consumer& at = *held.at;
  stream_log& log = held.in->log();
  const std::string& filter = at.config().filter_subject;
  while (left.messages != 0 && left.bytes != 0) {
    const seq_no from = log.next_live(at.next());
    const seq_no to = log.last_visible();
    if (from > to || at.next() > to) break;
    scan_request wanted;
    wanted.from = from;
    wanted.to = to;
    wanted.records_max = left.messages;
    wanted.bytes_max = left.bytes;
    if (!filter.empty() && is_literal(filter)) {
      wanted.exact_subject = filter;
    } else if (!filter.empty()) {
      wanted.filter = &at.filter();
    }
    auto found = co_await log.scan(wanted);
    if (!found) co_return found.err();
    if (held.gone()) co_return ok();
    seq_no looked_at = found->next.prev();
    for (found_record& record : found->records) {
      if (!log.is_live(record.seq)) continue;  // removed while it was read
      const bool fits = hand_out(held, record, left, out);
      if (fits && left.messages != 0 && left.bytes != 0) continue;
      looked_at = fits ? record.seq : record.seq.prev();
      break;
    }
    for (const seq_no seq : found->damaged) {
      if (seq <= looked_at) out.damaged.push_back(seq);
    }
    at.advance(looked_at.next());
  }
  co_return ok();
}

}  // namespace weir
