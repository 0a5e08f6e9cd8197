#include "tests/broker/naive_shard.h"

#include <algorithm>

#include "broker/message_validation.h"
#include "broker/validation.h"
#include "storage/record.h"

namespace weir {
namespace {

error no_stream() {
  return fail(errc::no_such_stream, {});
}
error no_consumer() {
  return fail(errc::no_such_consumer, {});
}

bool accepts(const std::vector<std::string>& filters, const std::string& subject) {
  if (filters.empty()) return true;
  return std::any_of(filters.begin(), filters.end(),
                     [&subject](const std::string& filter) { return subject_matches(filter, subject); });
}

bool wants(const naive_consumer& at, const std::string& subject) {
  return at.config.filter_subject.empty() || subject_matches(at.config.filter_subject, subject);
}

uint64_t bytes_of(const naive_stream& in) {
  uint64_t sum = 0;
  for (const auto& [seq, one] : in.live) sum += one.bytes;
  return sum;
}

}  // namespace

std::optional<errc> naive_shard::create_stream(stream_config config) {
  auto checked = effective(std::move(config));
  if (!checked) return checked.err().code;
  if (streams.contains(checked->name)) return errc::already_exists;
  naive_stream& fresh = streams[checked->name];
  fresh.config = *checked;
  return std::nullopt;
}

std::optional<errc> naive_shard::delete_stream(const std::string& name) {
  if (streams.erase(name) == 0) return errc::no_such_stream;
  return std::nullopt;
}

result<stream_info> naive_shard::get_stream(const std::string& name) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  const naive_stream& in = at->second;
  stream_info info;
  info.config = in.config;
  info.stats.last_seq = in.last;
  info.stats.msg_count = in.live.size();
  info.stats.bytes = bytes_of(in);
  if (!in.live.empty()) {
    info.stats.first_block = (in.live.begin()->first - 1) / in.config.block_size;
    info.stats.block_count = (in.last - 1) / in.config.block_size - info.stats.first_block + 1;
  }
  return info;
}

std::vector<std::string> naive_shard::list_streams() const {
  std::vector<std::string> names;
  for (const auto& [name, one] : streams) names.push_back(name);
  return names;
}

result<update_outcome> naive_shard::update_stream(const stream_update& update) {
  const auto at = streams.find(update.name);
  if (at == streams.end()) return no_stream();
  auto after = updated(at->second.config, update);
  if (!after) return after.err();
  at->second.config = *after;
  update_outcome done;
  done.config = *after;
  done.pruned = prune(at->second, true);
  return done;
}

uint64_t naive_shard::last_at(const naive_stream& in, const std::string& subject) {
  for (auto one = in.live.rbegin(); one != in.live.rend(); ++one) {
    if (one->second.subject == subject) return one->first;
  }
  return 0;
}

uint64_t naive_shard::first_live(const naive_stream& in, uint64_t from) {
  const auto at = in.live.lower_bound(from);
  return at == in.live.end() ? in.last + 1 : at->first;
}

void naive_shard::remove(naive_stream& in, uint64_t seq) {
  in.live.erase(seq);
  for (auto& [name, at] : in.consumers) at.pending.erase(seq);
}

bool naive_shard::old(const naive_stream& in, int64_t time) const {
  const auto& limit = in.config.limits.max_age_ms;
  return limit && wall_ms_now > time && static_cast<uint64_t>(wall_ms_now - time) > *limit;
}

uint64_t naive_shard::prune_strictly(naive_stream& in, bool ages) {
  const retention_limits& limits = in.config.limits;
  uint64_t removed = 0;
  uint64_t bytes = bytes_of(in);
  while (!in.live.empty()) {
    const naive_message& first = in.live.begin()->second;
    const bool over = (limits.max_msgs && in.live.size() > *limits.max_msgs) ||
                      (limits.max_bytes && bytes > *limits.max_bytes) || (ages && old(in, first.time));
    if (!over) break;
    bytes -= first.bytes;
    remove(in, first.seq);
    ++removed;
  }
  return removed;
}

uint64_t naive_shard::prune_blocks(naive_stream& in, bool ages) {
  const retention_limits& limits = in.config.limits;
  const auto block_of = [&in](uint64_t seq) { return (seq - 1) / in.config.block_size; };
  uint64_t removed = 0;
  while (!in.live.empty() && block_of(in.live.begin()->first) < block_of(in.last)) {
    const uint64_t block = block_of(in.live.begin()->first);
    std::vector<uint64_t> members;
    uint64_t bytes = 0;
    int64_t newest = 0;
    for (const auto& [seq, one] : in.live) {
      if (block_of(seq) != block) break;
      members.push_back(seq);
      bytes += one.bytes;
      newest = std::max(newest, one.time);
    }
    const bool goes = (limits.max_msgs && in.live.size() - members.size() >= *limits.max_msgs) ||
                      (limits.max_bytes && bytes_of(in) - bytes >= *limits.max_bytes) || (ages && old(in, newest));
    if (!goes) break;
    for (const uint64_t seq : members) remove(in, seq);
    removed += members.size();
  }
  return removed;
}

uint64_t naive_shard::prune(naive_stream& in, bool ages) {
  return in.config.limits.strict ? prune_strictly(in, ages) : prune_blocks(in, ages);
}

void naive_shard::sweep() {
  for (auto& [name, in] : streams) {
    if (in.config.limits.max_age_ms) prune(in, true);
  }
}

result<uint64_t> naive_shard::publish(const publishing& message) {
  const auto at = streams.find(message.stream);
  if (at == streams.end()) return no_stream();
  naive_stream& in = at->second;
  if (!check_literal_subject(message.subject, "subject", errc::subject_rejected) ||
      !accepts(in.config.subjects_filter, message.subject)) {
    return fail(errc::subject_rejected, {});
  }
  publish_request request;
  request.payload = as_bytes(message.payload);
  request.headers = as_bytes(message.headers);
  request.ts_ms = message.time;
  if (auto fine = check_message(request, in.config, limits_); !fine) return fine.err();
  naive_message stored;
  stored.seq = in.last + 1;
  stored.subject = message.subject;
  stored.time = message.time != 0 ? message.time : wall_ms_now;
  stored.headers = message.headers;
  stored.payload = message.payload;
  const record_fields fields{stored.subject, wall_ms(stored.time), request.headers, request.payload};
  stored.bytes = record_size(fields, seq_no(stored.seq));
  const retention_limits& limits = in.config.limits;
  if (limits.strict && limits.max_bytes && stored.bytes > *limits.max_bytes) return fail(errc::oversize, {});
  if (message.expected && *message.expected != last_at(in, message.subject)) {
    return fail(errc::wrong_revision, {}, last_at(in, message.subject));
  }
  in.live[++in.last] = stored;
  if (in.config.max_msgs_per_subject != 0) {
    std::vector<uint64_t> same;
    for (const auto& [seq, one] : in.live) {
      if (one.subject == message.subject) same.push_back(seq);
    }
    if (same.size() > in.config.max_msgs_per_subject) remove(in, same.front());
  }
  prune(in, false);
  return in.last;
}

result<std::optional<naive_message>> naive_shard::read_latest(const std::string& name,
                                                              const std::string& subject) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  const uint64_t seq = last_at(at->second, subject);
  if (seq == 0) return std::optional<naive_message>();
  return std::optional<naive_message>(at->second.live.at(seq));
}

result<std::vector<std::string>> naive_shard::list_subjects(const std::string& name, const std::string& prefix) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  std::vector<std::string> found;
  for (const auto& [seq, one] : at->second.live) {
    if (one.subject.starts_with(prefix)) found.push_back(one.subject);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

result<std::vector<naive_message>> naive_shard::scan(const std::string& name, const std::string& subject, uint64_t from,
                                                     uint64_t limit) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  if (limit == 0) limit = default_scan_limit;
  std::vector<naive_message> found;
  uint64_t bytes = 0;
  for (const auto& [seq, one] : at->second.live) {
    if (seq < from || one.subject != subject) continue;
    if (found.size() >= limit || bytes >= limits_.fetch_bytes_max) break;
    if (!found.empty() && bytes + one.bytes > limits_.fetch_bytes_max) break;
    bytes += one.bytes;
    found.push_back(one);
  }
  return found;
}

std::optional<errc> naive_shard::create_consumer(const std::string& name, consumer_config config) {
  const auto at = streams.find(name);
  if (at == streams.end()) return errc::no_such_stream;
  naive_stream& in = at->second;
  auto checked = effective(std::move(config), subject_filter(in.config.subjects_filter));
  if (!checked) return checked.err().code;
  if (in.consumers.contains(checked->name)) return errc::already_exists;
  naive_consumer& fresh = in.consumers[checked->name];
  fresh.config = *checked;
  fresh.created_at = wall_ms_now;
  switch (checked->policy) {
    case delivery_policy::all:
      break;
    case delivery_policy::last: {
      fresh.next = in.last + 1;
      for (const auto& [seq, one] : in.live) {
        if (wants(fresh, one.subject)) fresh.next = seq;
      }
      break;
    }
    case delivery_policy::by_start_seq:
      fresh.next = std::max<uint64_t>(checked->start_seq, 1);
      break;
    case delivery_policy::by_start_time: {
      fresh.next = in.last + 1;
      for (const auto& [seq, one] : in.live) {
        if (one.time < checked->start_time_ms) continue;
        fresh.next = seq;
        break;
      }
      break;
    }
  }
  return std::nullopt;
}

std::optional<errc> naive_shard::delete_consumer(const std::string& name, const std::string& consumer) {
  const auto at = streams.find(name);
  if (at == streams.end()) return errc::no_such_stream;
  if (at->second.consumers.erase(consumer) == 0) return errc::no_such_consumer;
  return std::nullopt;
}

void naive_shard::expire(naive_consumer& at) const {
  for (auto one = at.pending.begin(); one != at.pending.end();) {
    const bool over = !one->second.due && one->second.deadline_ms <= mono_ms;
    if (over && one->second.deliveries >= at.config.max_deliver) {
      ++at.dropped;
      one = at.pending.erase(one);
      continue;
    }
    if (over) one->second.due = true;
    ++one;
  }
}

void naive_shard::expire_all() {
  for (auto& [name, in] : streams) {
    for (auto& [consumer, at] : in.consumers) expire(at);
  }
}

consumer_info naive_shard::info_of(const naive_stream& in, const naive_consumer& at) {
  consumer_info info;
  info.config = at.config;
  info.created_at_ms = at.created_at;
  info.last_delivered = at.last_delivered;
  info.redelivered_dropped = at.dropped;
  info.pending = at.pending.size();
  info.ack_floor = at.pending.empty() ? std::max(at.next, first_live(in, at.next)) - 1 : at.pending.begin()->first - 1;
  return info;
}

result<consumer_info> naive_shard::get_consumer(const std::string& name, const std::string& consumer) {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  const auto found = at->second.consumers.find(consumer);
  if (found == at->second.consumers.end()) return no_consumer();
  expire(found->second);
  return info_of(at->second, found->second);
}

result<std::vector<consumer_info>> naive_shard::list_consumers(const std::string& name) {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  std::vector<consumer_info> all;
  for (auto& [consumer, one] : at->second.consumers) {
    expire(one);
    all.push_back(info_of(at->second, one));
  }
  return all;
}

result<std::vector<naive_delivery>> naive_shard::fetch(const std::string& name, const std::string& consumer,
                                                       uint32_t batch) {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  naive_stream& in = at->second;
  const auto found = in.consumers.find(consumer);
  if (found == in.consumers.end()) return no_consumer();
  naive_consumer& one = found->second;
  expire(one);
  std::vector<naive_delivery> out;
  uint64_t left = limits_.fetch_bytes_max;
  batch = std::clamp<uint32_t>(batch, 1, limits_.fetch_messages_max);
  const int64_t deadline = mono_ms + static_cast<int64_t>(one.config.ack_wait_ms);
  const auto hand_out = [&](const naive_message& message, naive_pending& state) {
    if (!out.empty() && message.bytes > left) {
      left = 0;
      return false;
    }
    left -= std::min(left, message.bytes);
    state = {state.deliveries + 1, deadline, false};
    one.last_delivered = std::max(one.last_delivered, message.seq);
    out.push_back({message.seq, state.deliveries});
    return true;
  };
  for (auto& [seq, state] : one.pending) {
    if (out.size() >= batch || left == 0) break;
    if (state.due && !hand_out(in.live.at(seq), state)) break;
  }
  while (out.size() < batch && left != 0) {
    one.next = std::max(one.next, first_live(in, one.next));
    if (one.next > in.last) break;
    const naive_message& message = in.live.at(one.next);
    if (wants(one, message.subject)) {
      naive_pending state;
      if (!hand_out(message, state)) break;
      one.pending[message.seq] = state;
    }
    ++one.next;
  }
  return out;
}

std::optional<errc> naive_shard::ack(const std::string& name, const std::string& consumer, uint64_t seq) {
  const auto at = streams.find(name);
  if (at == streams.end()) return errc::no_such_stream;
  const auto found = at->second.consumers.find(consumer);
  if (found == at->second.consumers.end()) return errc::no_such_consumer;
  found->second.pending.erase(seq);
  return std::nullopt;
}

void naive_shard::restart() {
  std::erase_if(streams, [](const auto& one) { return one.second.config.ephemeral; });
  for (auto& [name, in] : streams) {
    for (auto& [consumer, at] : in.consumers) {
      for (auto& [seq, state] : at.pending) {
        state.due = false;
        state.deadline_ms = mono_ms + static_cast<int64_t>(at.config.ack_wait_ms);
      }
    }
  }
}

}  // namespace weir
