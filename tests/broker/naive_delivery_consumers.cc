// The naive model: consumers, who gets what, and how it ends.
#include <algorithm>

#include "broker/validation.h"
#include "storage/subject.h"
#include "tests/broker/naive_delivery.h"

namespace weir::naive {
namespace {

error no_stream() {
  return fail(errc::no_such_stream, {});
}
error no_consumer() {
  return fail(errc::no_such_consumer, {});
}

std::vector<std::string> filters_of(const consumer_config& config) {
  if (!config.filter_subjects.empty()) return config.filter_subjects;
  return {config.filter_subject.empty() ? std::string(">") : config.filter_subject};
}

// Every subject the test's filters could tell apart.
const std::vector<std::string>& every_subject() {
  static const std::vector<std::string> all = [] {
    const std::vector<std::string> tokens = {"a", "b", "c", "k", "1", "2", "3", "q", "dead", "zz"};
    std::vector<std::string> made = tokens;
    std::vector<std::string> longest = tokens;
    for (int length = 2; length <= 3; ++length) {
      std::vector<std::string> longer;
      for (const std::string& head : longest) {
        for (const std::string& token : tokens) longer.push_back(head + "." + token);
      }
      made.insert(made.end(), longer.begin(), longer.end());
      longest = longer;
    }
    return made;
  }();
  return all;
}

bool overlap(const std::string& left, const std::string& right) {
  static std::map<std::pair<std::string, std::string>, bool> known;
  const auto at = known.find({left, right});
  if (at != known.end()) return at->second;
  const std::vector<std::string>& all = every_subject();
  const bool both = std::any_of(all.begin(), all.end(), [&left, &right](const std::string& subject) {
    return subject_matches(left, subject) && subject_matches(right, subject);
  });
  known[{left, right}] = both;
  return both;
}

}  // namespace

std::string shown(const consumer& at) {
  static constexpr const char* states[] = {"held", "out", "in_hand", "due", "dying"};
  std::string text = " next " + std::to_string(at.next) + " floor_min " + std::to_string(at.floor_min) + " paused " +
                     std::to_string(at.paused_until) + " pending:";
  for (const auto& [seq, one] : at.pending) {
    text += " " + std::to_string(seq) + "*" + std::to_string(one.deliveries) + states[static_cast<size_t>(one.now)];
    if (one.now == state::out) text += "@" + std::to_string(one.deadline);
  }
  text += " parked:";
  for (const auto& [seq, one] : at.given_up) text += " " + std::to_string(seq);
  return text;
}

bool broker::wants(const consumer_config& config, const std::string& subject) {
  const std::vector<std::string> filters = filters_of(config);
  return std::any_of(filters.begin(), filters.end(),
                     [&subject](const std::string& filter) { return subject_matches(filter, subject); });
}

consumer* broker::find(const std::string& name, const std::string& which) {
  stream* in = find(name);
  if (in == nullptr) return nullptr;
  const auto at = in->consumers.find(which);
  return at == in->consumers.end() ? nullptr : &at->second;
}

void broker::touch(consumer& at) const {
  at.used_at = mono;
}

// --- existence

std::optional<errc> broker::check_overlap(const stream& in, const consumer_config& config) const {
  if (in.config.policy != retention_policy::work_queue) return std::nullopt;
  for (const auto& [name, other] : in.consumers) {
    if (name == config.name) continue;
    for (const std::string& left : filters_of(config)) {
      for (const std::string& right : filters_of(other.config)) {
        if (overlap(left, right)) return errc::invalid_config;
      }
    }
  }
  return std::nullopt;
}

std::optional<errc> broker::create_consumer(const std::string& name, consumer_config config) {
  stream* found = find(name);
  if (found == nullptr) return errc::no_such_stream;
  stream& in = *found;
  auto checked = effective(std::move(config), subject_filter(in.config.subjects_filter), limits_.pending_max);
  if (!checked) return checked.err().code;
  if (in.consumers.contains(checked->name)) return errc::already_exists;
  if (const auto problem = check_overlap(in, *checked)) return problem;
  consumer& fresh = in.consumers[checked->name];
  fresh.instance = ++instances_;
  fresh.config = *checked;
  fresh.created_at = wall;
  touch(fresh);
  switch (checked->policy) {
    case delivery_policy::all:
      break;
    case delivery_policy::last:
      fresh.next = in.last + 1;
      for (const auto& [seq, one] : in.live) {
        if (wants(fresh.config, one.subject)) fresh.next = seq;
      }
      break;
    case delivery_policy::by_start_seq:
      fresh.next = std::max<uint64_t>(checked->start_seq, 1);
      break;
    case delivery_policy::by_start_time:
      fresh.next = in.last + 1;
      for (const auto& [seq, one] : in.live) {
        if (one.time < checked->start_time_ms) continue;
        fresh.next = seq;
        break;
      }
      break;
  }
  return std::nullopt;
}

std::optional<errc> broker::update_consumer(const consumer_update& update) {
  stream* in = find(update.stream);
  if (in == nullptr) return errc::no_such_stream;
  consumer* at = find(update.stream, update.consumer);
  if (at == nullptr) return errc::no_such_consumer;
  touch(*at);  // refused or not
  auto checked = updated(at->config, update, subject_filter(in->config.subjects_filter), limits_.pending_max);
  if (!checked) return checked.err().code;
  if (const auto problem = check_overlap(*in, *checked)) return problem;
  const bool uncapped = at->config.max_ack_pending_per_subject != 0 && checked->max_ack_pending_per_subject == 0;
  if (checked->max_ack_pending_per_subject != at->config.max_ack_pending_per_subject) at->restarted = true;
  if (checked->dead_letter_subject != at->config.dead_letter_subject) {
    at->dead_letter_before = at->config.dead_letter_subject;
  }
  at->config = *checked;
  for (auto& [seq, one] : at->pending) {
    if (uncapped && one.now == state::held) one.now = state::due;
  }
  return std::nullopt;
}

std::optional<errc> broker::delete_consumer(const std::string& name, const std::string& which) {
  stream* in = find(name);
  if (in == nullptr) return errc::no_such_stream;
  if (in->consumers.erase(which) == 0) return errc::no_such_consumer;
  prune_interest(*in);
  return std::nullopt;
}

std::optional<errc> broker::pause(const std::string& name, const std::string& which, int64_t until) {
  if (find(name) == nullptr) return errc::no_such_stream;
  consumer* at = find(name, which);
  if (at == nullptr) return errc::no_such_consumer;
  at->paused_until = until > believed ? until : 0;
  touch(*at);
  return std::nullopt;
}

std::optional<errc> broker::reset(const std::string& name, const std::string& which, const reset_target& to) {
  stream* in = find(name);
  if (in == nullptr) return errc::no_such_stream;
  consumer* at = find(name, which);
  if (at == nullptr) return errc::no_such_consumer;
  touch(*at);  // refused or not
  if (to.seq.has_value() == to.time.has_value()) return errc::invalid_argument;
  uint64_t next = in->last + 1;
  if (to.seq) {
    next = std::max<uint64_t>(*to.seq, 1);
    if (next > in->last + 1) return errc::invalid_argument;
  } else {
    for (const auto& [seq, one] : in->live) {
      if (one.time < to.time->raw()) continue;
      next = seq;
      break;
    }
  }
  at->next = next;
  at->pending.clear();
  at->given_up.clear();
  at->concerned.clear();
  at->acked.clear();
  at->forgotten.clear();
  at->floor_min = 0;
  return std::nullopt;
}

// --- what is known about one

uint64_t broker::outstanding(const consumer& at) {
  return at.pending.size() - count_of(at, state::held);
}

uint64_t broker::count_of(const consumer& at, state which) {
  uint64_t count = 0;
  for (const auto& [seq, one] : at.pending) count += one.now == which ? 1u : 0u;
  return count;
}

uint64_t broker::most_pending(const consumer& at) const {
  return at.config.max_ack_pending != 0 ? at.config.max_ack_pending : limits_.pending_max;
}

bool broker::room_for(const stream& in, const consumer& at, const std::string& subject) {
  if (at.config.max_ack_pending_per_subject == 0) return true;
  uint64_t same = 0;
  for (const auto& [seq, one] : at.pending) {
    if (one.now != state::held && in.live.at(seq).subject == subject) ++same;
  }
  return same < at.config.max_ack_pending_per_subject;
}

bool broker::paused(const consumer& at) const {
  return believed < at.paused_until;
}

uint64_t broker::floor_of(const stream& in, const consumer& at) {
  const uint64_t reached =
      at.pending.empty() ? std::max(at.next, first_live(in, at.next)) - 1 : at.pending.begin()->first - 1;
  return std::max(at.floor_min, reached);
}

// Of one for whose messages somebody waits, or did: the floor if that looked as far as it can.
uint64_t broker::highest_floor(const stream& in, const consumer& at) {
  const uint64_t floor = floor_of(in, at);
  if (!at.looked_lately || !at.pending.empty()) return floor;
  for (auto one = in.live.lower_bound(at.next); one != in.live.end(); ++one) {
    if (wants(at.config, one->second.subject)) return std::max(floor, one->first - 1);
  }
  return std::max(floor, in.last);
}

bool broker::deliverable(const stream& in, const consumer& at) const {
  if (paused(at)) return false;
  if (count_of(at, state::due) != 0) return true;
  if (outstanding(at) >= most_pending(at)) return false;
  for (const auto& [seq, one] : at.pending) {
    if (one.now == state::held && room_for(in, at, in.live.at(seq).subject)) return true;
  }
  uint64_t held = count_of(at, state::held);
  std::set<std::string> busy;  // subjects with something held back
  for (const auto& [seq, one] : at.pending) {
    if (one.now == state::held) busy.insert(in.live.at(seq).subject);
  }
  for (auto one = in.live.lower_bound(at.next); one != in.live.end() && one->first <= in.visible(); ++one) {
    if (held >= limits_.held_back_max) return false;
    if (!wants(at.config, one->second.subject)) continue;
    const bool capped = at.config.max_ack_pending_per_subject != 0;
    if (!capped || (!busy.contains(one->second.subject) && room_for(in, at, one->second.subject))) return true;
    ++held;
  }
  return false;
}

bool broker::anything_ahead(const stream& in, const consumer& at) const {
  if (count_of(at, state::held) >= limits_.held_back_max) return false;
  return std::any_of(in.live.lower_bound(at.next), in.live.upper_bound(in.visible()),
                     [&at](const auto& one) { return wants(at.config, one.second.subject); });
}

void broker::look_up_to(const stream& in, consumer& at, uint64_t next) {
  if (next <= at.next || next > in.last + 1) return;
  for (auto one = in.live.lower_bound(at.next); one != in.live.end() && one->first < next; ++one) {
    if (wants(at.config, one->second.subject)) return;
  }
  at.next = next;
}

void broker::hold_ahead(const stream& in, consumer& at, uint64_t held) const {
  if (at.config.max_ack_pending_per_subject == 0) return;
  for (auto one = in.live.lower_bound(at.next); one != in.live.end() && one->first <= in.visible(); ++one) {
    if (count_of(at, state::held) >= held) return;
    if (!wants(at.config, one->second.subject)) continue;
    const bool behind = std::any_of(at.pending.begin(), at.pending.end(), [&](const auto& other) {
      return other.second.now == state::held && in.live.at(other.first).subject == one->second.subject;
    });
    if (!behind && room_for(in, at, one->second.subject)) return;
    entry fresh;
    fresh.now = state::held;
    at.pending[one->first] = fresh;
    at.concerned.insert(one->first);
    at.next = one->first + 1;
  }
}

std::set<blocked_by> broker::reasons(const stream& in, const consumer& at) const {
  if (paused(at)) return {blocked_by::paused};
  if (outstanding(at) >= most_pending(at)) return {blocked_by::max_ack_pending};
  std::set<blocked_by> right;
  const bool ahead = at.next <= in.last || at.looked_lately;
  if (count_of(at, state::held) != 0) {
    if (at.restarted) right.insert(blocked_by::nothing);  // of what subject they are is read when somebody asks
    right.insert(blocked_by::max_ack_pending_per_subject);
  } else {
    right.insert({blocked_by::no_match, blocked_by::caught_up});
  }
  if (ahead) right.insert({blocked_by::nothing, blocked_by::max_ack_pending_per_subject});  // not looked at yet
  return right;
}

consumer_info broker::info_of(const stream& in, const consumer& at) const {
  consumer_info info;
  info.config = at.config;
  info.created_at_ms = at.created_at;
  info.last_delivered = at.last_delivered;
  info.redelivered_dropped = at.dropped;
  info.pending = at.pending.size();
  info.held = count_of(at, state::held);
  info.parked = at.given_up.size();
  info.ack_floor = floor_of(in, at);
  const uint64_t from = std::max(info.ack_floor, first_live(in, 1) - 1);
  info.lag = in.last > from ? in.last - from : 0;
  info.waiting = at.waiting;
  info.paused_until_ms = paused(at) ? at.paused_until : 0;
  return info;
}

result<consumer_info> broker::get_consumer(const std::string& name, const std::string& which) {
  if (find(name) == nullptr) return no_stream();
  consumer* at = find(name, which);
  if (at == nullptr) return no_consumer();
  touch(*at);
  return info_of(*find(name), *at);
}

result<std::vector<consumer_info>> broker::list_consumers(const std::string& name) {
  stream* in = find(name);
  if (in == nullptr) return no_stream();
  std::vector<consumer_info> all;
  for (auto& [which, one] : in->consumers) {
    all.push_back(info_of(*in, one));
  }
  return all;
}

// --- delivery

int64_t broker::wait_of(const consumer& at, uint32_t deliveries) const {
  const std::vector<uint64_t>& waits = at.config.backoff_ms;
  if (waits.empty()) return static_cast<int64_t>(at.config.ack_wait_ms);
  return static_cast<int64_t>(waits[std::min<size_t>(std::max(deliveries, 1u), waits.size()) - 1]);
}

result<std::vector<delivered>> broker::fetch(const std::string& name, const std::string& which, uint32_t batch,
                                             uint64_t bytes_max, uint64_t hand) {
  stream* found = find(name);
  if (found == nullptr) return no_stream();
  stream& in = *found;
  consumer* wanted = find(name, which);
  if (wanted == nullptr) return no_consumer();
  consumer& at = *wanted;
  touch(at);
  std::vector<delivered> out;
  if (paused(at)) return out;
  at.looked_lately = at.looked_lately || hand != 0;
  at.restarted = false;
  batch = std::max<uint32_t>(batch, 1);
  bytes_max = std::max<uint64_t>(bytes_max, 1);
  uint64_t bytes = 0;
  bool full = false;
  const auto hand_out = [&](uint64_t seq, entry& one) {
    const uint64_t size = in.live.at(seq).bytes;
    if (!out.empty() && bytes + size > bytes_max) {
      full = true;
      return false;
    }
    bytes += size;
    ++one.deliveries;
    one.now = hand != 0 ? state::in_hand : state::out;
    one.hand = hand;
    one.deadline = mono + wait_of(at, one.deliveries);
    at.last_delivered = std::max(at.last_delivered, seq);
    out.push_back({seq, one.deliveries});
    return true;
  };
  for (auto& [seq, one] : at.pending) {
    if (out.size() >= batch || full) break;
    const bool held_with_room =
        one.now == state::held && outstanding(at) < most_pending(at) && room_for(in, at, in.live.at(seq).subject);
    if (one.now == state::due || held_with_room) hand_out(seq, one);
  }
  uint64_t sure = at.next;  // who waits may have looked when not all that does not match was there
  while (out.size() < batch && !full && bytes < bytes_max && outstanding(at) < most_pending(at)) {
    at.next = std::max(at.next, std::min(first_live(in, at.next), in.visible() + 1));
    if (at.next > in.visible()) {
      at.looked_lately = hand != 0;
      if (hand != 0) at.next = sure;
      break;
    }
    const message& one = in.live.at(at.next);
    if (wants(at.config, one.subject)) {
      bool behind = false;  // another of its subject is held back
      for (const auto& [seq, other] : at.pending) {
        behind = behind || (other.now == state::held && in.live.at(seq).subject == one.subject);
      }
      // The cursor stops there, having passed what does not match.
      if (at.config.max_ack_pending_per_subject != 0 && count_of(at, state::held) >= limits_.held_back_max) break;
      entry fresh;
      if (at.config.max_ack_pending_per_subject != 0 && (behind || !room_for(in, at, one.subject))) {
        fresh.now = state::held;
      } else if (!hand_out(one.seq, fresh)) {
        break;
      }
      at.pending[one.seq] = fresh;
      at.concerned.insert(one.seq);
      sure = at.next + 1;
    }
    ++at.next;
  }
  return out;
}

void broker::opened(const std::string& name, const std::string& which) {
  consumer* at = find(name, which);
  touch(*at);
  at->looked_lately = true;
  ++at->waiting;
}

void broker::closed(const std::string& name, const std::string& which) {
  consumer* at = find(name, which);
  touch(*at);
  --at->waiting;
}

void broker::sent(const std::string& name, const std::string& which, uint64_t hand,
                  const std::vector<delivered>& these) {
  consumer* at = find(name, which);
  if (at == nullptr) return;
  for (const delivered& one : these) {
    const auto found = at->pending.find(one.seq);
    if (found == at->pending.end() || found->second.now != state::in_hand || found->second.hand != hand) continue;
    found->second.now = state::out;
    found->second.deadline = mono + wait_of(*at, found->second.deliveries);
  }
}

void broker::give_back(const std::string& name, const std::string& which, uint64_t hand,
                       const std::vector<delivered>& these) {
  consumer* at = find(name, which);
  if (at == nullptr) return;
  for (const delivered& one : these) {
    const auto found = at->pending.find(one.seq);
    if (found == at->pending.end() || found->second.now != state::in_hand || found->second.hand != hand) continue;
    --found->second.deliveries;
    found->second.now = state::due;
  }
}

// --- how it ends

bool broker::spent(const consumer& at, const entry& one) const {
  return !at.config.unlimited_deliver && one.deliveries >= at.config.max_deliver;
}

void broker::park(const stream& in, consumer& at, uint64_t seq, park_reason reason) {
  at.pending.erase(seq);
  at.given_up[seq] = {wall, reason};
  if (in.config.policy == retention_policy::work_queue) return;
  while (at.given_up.size() > limits_.parked_max) {
    auto oldest = at.given_up.begin();
    for (auto one = at.given_up.begin(); one != at.given_up.end(); ++one) {
      if (one->second.at < oldest->second.at) oldest = one;
    }
    at.forgotten.insert(oldest->first);
    at.given_up.erase(oldest);
  }
}

void broker::exhaust(const stream& in, consumer& at, uint64_t seq, park_reason reason) {
  if (reason == park_reason::max_deliver) ++at.dropped;
  if (at.config.dead_letter_subject.empty()) return park(in, at, seq, reason);
  entry& one = at.pending.at(seq);
  one.now = state::dying;
  one.reason = reason;
  one.overdue_since = -1;
}

void broker::expire() {
  for (auto& [name, in] : streams) {
    for (auto& [which, at] : in.consumers) {
      if (!paused(at)) at.paused_until = 0;  // for good
      at.dead_letter_before.clear();
      std::vector<uint64_t> passed;
      for (const auto& [seq, one] : at.pending) {
        if (one.now == state::out && one.deadline <= mono) passed.push_back(seq);
      }
      for (const uint64_t seq : passed) {
        entry& one = at.pending.at(seq);
        one.now = state::due;
        if (spent(at, one)) exhaust(in, at, seq, park_reason::max_deliver);
      }
    }
  }
}

// Acknowledged, or its dead letter is written.
void broker::finish(stream& in, consumer& at, uint64_t seq) {
  at.acked.insert(seq);
  at.pending.erase(seq);
  if (in.config.policy == retention_policy::work_queue) remove(in, seq);
}

std::optional<errc> broker::ack(const std::string& name, const std::string& which, uint64_t seq) {
  if (find(name) == nullptr) return errc::no_such_stream;
  consumer* at = find(name, which);
  if (at == nullptr) return errc::no_such_consumer;
  touch(*at);
  const auto found = at->pending.find(seq);
  if (found != at->pending.end() && found->second.now != state::held) finish(*find(name), *at, seq);
  return std::nullopt;
}

result<uint64_t> broker::ack_many(const std::string& name, const std::string& which, const std::vector<uint64_t>& seqs,
                                  uint64_t up_to) {
  if (find(name) == nullptr) return no_stream();
  consumer* at = find(name, which);
  if (at == nullptr) return no_consumer();
  touch(*at);
  std::set<uint64_t> gone;
  for (const auto& [seq, one] : at->pending) {
    const bool listed = std::find(seqs.begin(), seqs.end(), seq) != seqs.end();
    if (one.now != state::held && (listed || seq <= up_to)) gone.insert(seq);
  }
  for (const uint64_t seq : gone) finish(*find(name), *at, seq);
  return gone.size();
}

std::optional<errc> broker::nak(const std::string& name, const std::string& which, uint64_t seq, uint64_t delay_ms) {
  if (find(name) == nullptr) return errc::no_such_stream;
  consumer* at = find(name, which);
  if (at == nullptr) return errc::no_such_consumer;
  touch(*at);
  const auto found = at->pending.find(seq);
  if (found == at->pending.end()) return std::nullopt;
  entry& one = found->second;
  if (one.now == state::held || one.now == state::dying) return std::nullopt;
  if (delay_ms != 0) {
    one.now = state::out;
    one.deadline = mono + static_cast<int64_t>(delay_ms);
  } else if (one.now != state::due) {
    one.now = state::due;
    if (spent(*at, one)) exhaust(*find(name), *at, seq, park_reason::max_deliver);
  }
  return std::nullopt;
}

std::optional<errc> broker::term(const std::string& name, const std::string& which, uint64_t seq) {
  if (find(name) == nullptr) return errc::no_such_stream;
  consumer* at = find(name, which);
  if (at == nullptr) return errc::no_such_consumer;
  touch(*at);
  const auto found = at->pending.find(seq);
  if (found == at->pending.end()) return std::nullopt;
  if (found->second.now == state::held || found->second.now == state::dying) return std::nullopt;
  exhaust(*find(name), *at, seq, park_reason::term);
  return std::nullopt;
}

std::optional<errc> broker::in_progress(const std::string& name, const std::string& which, uint64_t seq) {
  if (find(name) == nullptr) return errc::no_such_stream;
  consumer* at = find(name, which);
  if (at == nullptr) return errc::no_such_consumer;
  touch(*at);
  const auto found = at->pending.find(seq);
  if (found == at->pending.end()) return std::nullopt;
  entry& one = found->second;
  if (one.now != state::out && one.now != state::due) return std::nullopt;
  one.now = state::out;
  one.deadline = mono + wait_of(*at, one.deliveries);
  return std::nullopt;
}

// --- parked

result<std::vector<parked_message>> broker::list_parked(const std::string& name, const std::string& which,
                                                        uint64_t from, uint32_t limit, uint64_t& total) const {
  const auto in = streams.find(name);
  if (in == streams.end()) return no_stream();
  const auto at = in->second.consumers.find(which);
  if (at == in->second.consumers.end()) return no_consumer();
  std::vector<parked_message> all;
  for (const auto& [seq, one] : at->second.given_up) {
    if (seq >= from && all.size() < limit) all.push_back({seq_no(seq), wall_ms(one.at), one.reason});
  }
  total = at->second.given_up.size();
  return all;
}

result<uint64_t> broker::requeue(const std::string& name, const std::string& which, const std::vector<uint64_t>& seqs) {
  stream* in = find(name);
  if (in == nullptr) return no_stream();
  consumer* at = find(name, which);
  if (at == nullptr) return no_consumer();
  touch(*at);
  std::vector<uint64_t> chosen;
  for (const auto& [seq, one] : at->given_up) {
    if (seqs.empty() || std::find(seqs.begin(), seqs.end(), seq) != seqs.end()) chosen.push_back(seq);
  }
  if (!chosen.empty()) at->floor_min = floor_of(*in, *at);
  if (!chosen.empty()) at->restarted = true;
  for (const uint64_t seq : chosen) {
    at->given_up.erase(seq);
    entry again;
    again.now = state::due;
    at->pending[seq] = again;
  }
  return chosen.size();
}

result<uint64_t> broker::purge_parked(const std::string& name, const std::string& which,
                                      const std::vector<uint64_t>& seqs) {
  stream* in = find(name);
  if (in == nullptr) return no_stream();
  consumer* at = find(name, which);
  if (at == nullptr) return no_consumer();
  touch(*at);
  std::vector<uint64_t> chosen;
  for (const auto& [seq, one] : at->given_up) {
    if (seqs.empty() || std::find(seqs.begin(), seqs.end(), seq) != seqs.end()) chosen.push_back(seq);
  }
  for (const uint64_t seq : chosen) {
    at->given_up.erase(seq);
    at->acked.insert(seq);
    if (in->config.policy == retention_policy::work_queue) remove(*in, seq);
  }
  return chosen.size();
}

}  // namespace weir::naive
