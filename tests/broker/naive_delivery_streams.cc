// The naive model: streams, what a publish does, retention.
#include <algorithm>

#include "broker/message_validation.h"
#include "broker/validation.h"
#include "storage/record.h"
#include "tests/broker/naive_delivery.h"

namespace weir::naive {
namespace {

error no_stream() {
  return fail(errc::no_such_stream, {});
}

bool accepts(const std::vector<std::string>& filters, const std::string& subject) {
  if (filters.empty()) return true;
  return std::any_of(filters.begin(), filters.end(),
                     [&subject](const std::string& filter) { return subject_matches(filter, subject); });
}

uint64_t bytes_of(const stream& in) {
  uint64_t sum = 0;
  for (const auto& [seq, one] : in.live) sum += one.bytes;
  return sum;
}

}  // namespace

stream* broker::find(const std::string& name) {
  const auto at = streams.find(name);
  return at == streams.end() ? nullptr : &at->second;
}

std::optional<errc> broker::create_stream(stream_config config) {
  auto checked = effective(std::move(config));
  if (!checked) return checked.err().code;
  if (streams.contains(checked->name)) return errc::already_exists;
  streams[checked->name].config = *checked;
  return std::nullopt;
}

std::optional<errc> broker::delete_stream(const std::string& name) {
  if (streams.erase(name) == 0) return errc::no_such_stream;
  return std::nullopt;
}

result<stream_info> broker::get_stream(const std::string& name) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  const stream& in = at->second;
  stream_info info;
  info.config = in.config;
  info.stats.last_seq = in.last;
  info.stats.msg_count = in.live.size();
  info.stats.bytes = bytes_of(in);
  info.scheduled = in.later.size();
  if (!in.live.empty()) {
    info.stats.first_block = (in.live.begin()->first - 1) / in.config.block_size;
    info.stats.block_count = (in.last - 1) / in.config.block_size - info.stats.first_block + 1;
  }
  return info;
}

std::vector<std::string> broker::list_streams() const {
  std::vector<std::string> names;
  for (const auto& [name, one] : streams) names.push_back(name);
  return names;
}

result<update_outcome> broker::update_stream(const stream_update& update) {
  stream* in = find(update.name);
  if (in == nullptr) return no_stream();
  auto after = updated(in->config, update);
  if (!after) return after.err();
  in->config = *after;
  update_outcome done;
  done.config = *after;
  done.pruned = prune(*in, true);
  return done;
}

uint64_t broker::last_at(const stream& in, const std::string& subject) {
  for (auto one = in.live.rbegin(); one != in.live.rend(); ++one) {
    if (one->second.subject == subject) return one->first;
  }
  return 0;
}

uint64_t broker::first_live(const stream& in, uint64_t from) {
  const auto at = in.live.lower_bound(from);
  return at == in.live.end() ? in.last + 1 : at->first;
}

void broker::remove(stream& in, uint64_t seq) {
  in.live.erase(seq);
  for (auto& [name, at] : in.consumers) {
    at.pending.erase(seq);
    at.given_up.erase(seq);
  }
}

// --- retention

bool broker::old(const stream& in, int64_t time) const {
  const auto& limit = in.config.limits.max_age_ms;
  return trusted && limit && *trusted > time && static_cast<uint64_t>(*trusted - time) > *limit;
}

uint64_t broker::prune_strictly(stream& in, bool ages) {
  const retention_limits& limits = in.config.limits;
  const bool drops = !in.config.discard_new;
  uint64_t removed = 0;
  uint64_t bytes = bytes_of(in);
  while (!in.live.empty()) {
    const message first = in.live.begin()->second;
    const bool too_many = drops && limits.max_msgs && in.live.size() > *limits.max_msgs;
    const bool over =
        too_many || (drops && limits.max_bytes && bytes > *limits.max_bytes) || (ages && old(in, first.time));
    if (!over) break;
    if (!too_many) between_steps(in);  // counting needs no reading
    bytes -= first.bytes;
    remove(in, first.seq);
    ++removed;
  }
  return removed;
}

uint64_t broker::prune_blocks(stream& in, bool ages) {
  if (blocks_stay) return 0;
  const retention_limits& limits = in.config.limits;
  const bool drops = !in.config.discard_new;
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
    const bool goes = (drops && limits.max_msgs && in.live.size() - members.size() >= *limits.max_msgs) ||
                      (drops && limits.max_bytes && bytes_of(in) - bytes >= *limits.max_bytes) ||
                      (ages && old(in, newest));
    if (!goes) break;
    between_steps(in);
    for (const uint64_t seq : members) remove(in, seq);
    removed += members.size();
  }
  return removed;
}

uint64_t broker::prune(stream& in, bool ages) {
  if (in.config.policy != retention_policy::limits) return 0;
  return in.config.limits.strict ? prune_strictly(in, ages) : prune_blocks(in, ages);
}

void broker::prune_interest(stream& in) {
  if (in.config.policy != retention_policy::interest) return;
  if (in.consumers.empty()) {
    while (!in.live.empty()) remove(in, in.live.begin()->first);
    return;
  }
  while (!in.live.empty()) {
    const uint64_t end = ((in.live.begin()->first - 1) / in.config.block_size + 1) * in.config.block_size;
    if (in.last < end) return;
    for (const auto& [name, at] : in.consumers) {
      if (floor_of(in, at) < end) return;
    }
    while (!in.live.empty() && in.live.begin()->first <= end) remove(in, in.live.begin()->first);
  }
}

void broker::prune_interest_up_to(stream& in, uint64_t first_block) {
  while (!in.live.empty()) {
    const uint64_t block = (in.live.begin()->first - 1) / in.config.block_size;
    const uint64_t end = (block + 1) * in.config.block_size;
    if (block >= first_block || in.last < end) return;
    for (const auto& [name, at] : in.consumers) {
      if (highest_floor(in, at) < end) return;
    }
    while (!in.live.empty() && in.live.begin()->first <= end) remove(in, in.live.begin()->first);
  }
}

uint64_t broker::sweep_ages(stream& in) {
  return in.config.limits.max_age_ms ? prune(in, true) : 0;
}

void broker::sweep() {
  for (auto& [name, in] : streams) {
    sweep_ages(in);
    prune_interest(in);
  }
}

// --- publishing

std::optional<errc> broker::admit(const stream& in, const publishing& what) const {
  if (!check_literal_subject(what.subject, "subject", errc::subject_rejected) ||
      !accepts(in.config.subjects_filter, what.subject)) {
    return errc::subject_rejected;
  }
  publish_request request;
  request.payload = as_bytes(what.payload);
  request.headers = as_bytes(what.headers);
  request.ts_ms = what.time;
  request.message_id = what.id;
  request.ttl_ms = what.ttl_ms;
  request.deliver_at_ms = what.deliver_at;
  request.expected_last_seq = what.expected;
  if (auto fine = check_message(request, in.config, limits_); !fine) return fine.err().code;
  const retention_limits& limits = in.config.limits;
  if (limits.strict && limits.max_bytes &&
      record(in, what, in.last + 1, what.time != 0 ? what.time : wall).bytes > *limits.max_bytes) {
    return errc::oversize;
  }
  return std::nullopt;
}

message broker::record(const stream&, const publishing& what, uint64_t seq, int64_t time) const {
  message made;
  made.seq = seq;
  made.subject = what.subject;
  made.time = time;
  made.headers = what.headers;
  made.payload = what.payload;
  if (what.ttl_ms != 0) made.goes_at = believed + static_cast<int64_t>(what.ttl_ms);
  const record_fields fields{made.subject, wall_ms(made.time), as_bytes(made.headers), as_bytes(made.payload)};
  made.bytes = record_size(fields, seq_no(made.seq));
  return made;
}

// Of a stream that refuses new ones: would a bound not hold after these? What leaves its subject makes room for one
// message; for the bytes of a run it does not.
bool broker::full(const stream& in, const std::vector<message>& more, bool run) const {
  if (!in.config.discard_new) return false;
  std::vector<message> after;
  for (const auto& [seq, one] : in.live) after.push_back(one);
  const uint64_t cap = in.config.max_msgs_per_subject;
  uint64_t gone = 0;
  for (const message& one : more) {
    const auto at_subject = [&one](const message& other) { return other.subject == one.subject; };
    after.push_back(one);
    if (cap == 0 || static_cast<uint64_t>(std::count_if(after.begin(), after.end(), at_subject)) <= cap) continue;
    if (in.config.discard_new_per_subject) return true;
    const auto oldest = std::find_if(after.begin(), after.end(), at_subject);
    gone += oldest->bytes;
    after.erase(oldest);
  }
  uint64_t bytes = run ? gone : 0;
  for (const message& one : after) bytes += one.bytes;
  const retention_limits& limits = in.config.limits;
  return (limits.max_msgs && after.size() > *limits.max_msgs) || (limits.max_bytes && bytes > *limits.max_bytes);
}

uint64_t broker::append(stream& in, message what) {
  const uint64_t seq = append_unpruned(in, std::move(what));
  prune(in, false);
  return seq;
}

uint64_t broker::append_unpruned(stream& in, message what) {
  const std::string subject = what.subject;
  in.live[++in.last] = std::move(what);
  if (in.config.max_msgs_per_subject != 0) {
    std::vector<uint64_t> same;
    for (const auto& [seq, one] : in.live) {
      if (one.subject == subject) same.push_back(seq);
    }
    if (same.size() > in.config.max_msgs_per_subject) remove(in, same.front());
  }
  return in.last;
}

const remembered_id* broker::known(const stream& in, const std::string& id) const {
  if (id.empty()) return nullptr;
  const auto at = in.ids.find(id);
  if (at == in.ids.end()) return nullptr;
  return expired(in, at->second, believed) ? nullptr : &at->second;
}

bool broker::expired(const stream& in, const remembered_id& one, int64_t now) {
  return now >= one.time + static_cast<int64_t>(in.config.dedup_window_ms);
}

// Those of scheduled messages are a line by themselves. The oldest of a line go when there are too many, or when their
// window ended before this one was published.
uint64_t broker::remember(stream& in, const std::string& id, remembered_id what) {
  if (id.empty()) return 0;
  what.order = ++order_;
  in.ids[id] = what;
  for (;;) {
    size_t count = 0;
    auto oldest = in.ids.end();
    for (auto one = in.ids.begin(); one != in.ids.end(); ++one) {
      if (one->second.scheduled != what.scheduled) continue;
      ++count;
      if (oldest == in.ids.end() || one->second.order < oldest->second.order) oldest = one;
    }
    if (count <= limits_.dedup_ids_max && !expired(in, oldest->second, what.time)) return what.order;
    in.ids.erase(oldest);
  }
}

result<published> broker::publish(const publishing& what) {
  const bool later = what.deliver_at > believed;
  if (later && what.expected) return fail(errc::invalid_argument, {});
  stream* found = find(what.stream);
  if (found == nullptr) return no_stream();
  stream& in = *found;
  if (const auto problem = admit(in, what)) return fail(*problem, {});
  published done;
  if (const remembered_id* before = known(in, what.id)) {
    done.duplicate = true;
    done.seq = seq_no(before->seq);
    done.scheduled = before->scheduled;
    return done;
  }
  if (later) {
    const uint64_t order = remember(in, what.id, {.scheduled = true, .time = believed});
    in.later.push_back({what.deliver_at, what, order});
    done.scheduled = true;
    return done;
  }
  if (what.expected && *what.expected != last_at(in, what.subject)) {
    return fail(errc::wrong_revision, {}, last_at(in, what.subject));
  }
  const message made = record(in, what, in.last + 1, what.time != 0 ? what.time : wall);
  if (full(in, {made})) return fail(errc::stream_full, {});
  done.seq = seq_no(append(in, made));
  remember(in, what.id, {.seq = done.seq.raw(), .time = believed});
  return done;
}

std::set<errc> broker::publish_all(const std::vector<publishing>& run, uint64_t& first) {
  if (run.empty()) return {errc::invalid_argument};
  errors problems;
  if (run.size() > limits_.atomic_messages_max) problems.insert(errc::oversize);
  std::set<std::string> subjects;
  std::set<std::string> ids;
  for (const publishing& one : run) {
    if (one.deliver_at != 0) problems.insert(errc::invalid_argument);
    if (one.expected && subjects.contains(one.subject)) problems.insert(errc::invalid_argument);
    subjects.insert(one.subject);
    if (!one.id.empty() && !ids.insert(one.id).second) problems.insert({errc::invalid_argument, errc::already_exists});
  }
  stream* found = find(run.front().stream);
  if (found == nullptr) problems.insert(errc::no_such_stream);
  if (found == nullptr) return problems;
  stream& in = *found;
  std::vector<message> made;
  uint64_t total = 0;
  for (const publishing& one : run) {
    if (const auto problem = admit(in, one)) problems.insert(*problem);
    made.push_back(record(in, one, in.last + 1 + made.size(), one.time != 0 ? one.time : wall));
    total += made.back().bytes;
  }
  if (total > limits_.atomic_bytes_max) problems.insert({errc::oversize, errc::invalid_argument});
  if (!problems.empty()) return problems;
  for (const publishing& one : run) {
    if (known(in, one.id) != nullptr) return {errc::already_exists};
  }
  for (const publishing& one : run) {
    if (one.expected && *one.expected != last_at(in, one.subject)) return {errc::wrong_revision};
  }
  if (full(in, made, true)) return {errc::stream_full};
  first = in.last + 1;
  for (size_t i = 0; i < run.size(); ++i)
    remember(in, run[i].id, {.seq = append_unpruned(in, made[i]), .time = believed});
  prune(in, false);
  return {};
}

// --- reading

result<std::optional<message>> broker::read_latest(const std::string& name, const std::string& subject) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  const uint64_t seq = last_at(at->second, subject);
  if (seq == 0) return std::optional<message>();
  return std::optional<message>(at->second.live.at(seq));
}

result<std::optional<message>> broker::get_message(const std::string& name, uint64_t seq) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  const auto one = at->second.live.find(seq);
  if (one == at->second.live.end()) return std::optional<message>();
  return std::optional<message>(one->second);
}

result<std::vector<std::string>> broker::list_subjects(const std::string& name, const std::string& prefix) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  std::set<std::string> found;
  for (const auto& [seq, one] : at->second.live) {
    if (one.subject.starts_with(prefix)) found.insert(one.subject);
  }
  return std::vector<std::string>(found.begin(), found.end());
}

result<std::vector<message>> broker::scan(const std::string& name, const std::string& subject, uint64_t from,
                                          uint64_t limit) const {
  const auto at = streams.find(name);
  if (at == streams.end()) return no_stream();
  if (limit == 0) limit = default_scan_limit;
  std::vector<message> found;
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

// --- removal on request

result<bool> broker::delete_message(const std::string& name, uint64_t seq) {
  stream* in = find(name);
  if (in == nullptr) return no_stream();
  if (!in->live.contains(seq)) return false;
  remove(*in, seq);
  return true;
}

result<uint64_t> broker::purge(const purge_request& request) {
  stream* in = find(request.stream);
  if (in == nullptr) return no_stream();
  if (!request.subject.empty() && !check_filter(request.subject, "subject", errc::invalid_argument)) {
    return fail(errc::invalid_argument, {});
  }
  const auto matches = [&request](const std::string& subject) {
    return request.subject.empty() || subject_matches(request.subject, subject);
  };
  std::vector<uint64_t> all;
  for (const auto& [seq, one] : in->live) {
    if (matches(one.subject)) all.push_back(seq);
  }
  all.resize(all.size() - std::min<size_t>(all.size(), request.keep));
  uint64_t removed = 0;
  for (const uint64_t seq : all) {
    if (request.up_to_seq != 0 && seq > request.up_to_seq) break;
    std::erase_if(in->ids, [seq](const auto& one) { return one.second.seq == seq; });
    remove(*in, seq);
    ++removed;
  }
  if (request.up_to_seq == 0 && request.keep == 0) {
    for (const scheduled& one : in->later) {
      if (!matches(one.what.subject)) continue;
      std::erase_if(in->ids, [&one](const auto& each) { return each.second.order == one.order; });
    }
    std::erase_if(in->later, [&matches](const scheduled& one) { return matches(one.what.subject); });
  }
  return removed;
}

}  // namespace weir::naive
