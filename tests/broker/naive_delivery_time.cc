// The naive model: what happens by itself, and what a restart leaves.
#include <algorithm>
#include <utility>

#include "storage/record.h"
#include "tests/broker/naive_delivery.h"

namespace weir::naive {
namespace {

constexpr int64_t scheduled_late_ms_max = 1'000;
constexpr int64_t outlived_late_ms_max = 1'000;
constexpr int64_t dead_letter_late_ms_max = 2'000;
constexpr size_t taken_for_gone_max = 16;

bool same(const message& left, const message& right) {
  return left.subject == right.subject && left.time == right.time && left.headers == right.headers &&
         left.payload == right.payload;
}

// Begins to count, or goes on; true: for too long.
bool too_long(int64_t& since, int64_t now, int64_t most) {
  if (since < 0) since = now;
  return now - since > most;
}

}  // namespace

message broker::dead_letter(const stream& in, const consumer& at, uint64_t seq, const std::string& subject) const {
  const message& dead = in.live.at(seq);
  const entry& one = at.pending.at(seq);
  const std::vector<header> extra = {
      {"x-waymaker-dlq-stream", in.config.name},
      {"x-waymaker-dlq-subject", dead.subject},
      {"x-waymaker-dlq-seq", std::to_string(seq)},
      {"x-waymaker-dlq-ts-ms", std::to_string(dead.time)},
      {"x-waymaker-dlq-consumer", at.config.name},
      {"x-waymaker-dlq-deliver-count", std::to_string(one.deliveries)},
      {"x-waymaker-dlq-reason", one.reason == park_reason::term ? "term" : "max_deliver"},
  };
  publishing what;
  what.subject = subject;
  what.headers = dead.headers + encode_headers(extra);
  what.payload = dead.payload;
  return record(in, what, in.last + 1, wall);
}

bool broker::can_have_dead_letter(const stream& in, uint64_t seq, const std::string& subject) {
  return !subject.empty() && in.live.at(seq).subject != subject;
}

std::optional<size_t> broker::first_scheduled(const stream& in, bool that_fitted) const {
  std::optional<size_t> first;
  for (size_t i = 0; i < in.later.size(); ++i) {
    if (!trusted || in.later[i].deliver_at > *trusted) continue;
    if (that_fitted && in.later[i].did_not_fit) continue;
    if (!first || in.later[i].deliver_at < in.later[*first].deliver_at) first = i;
  }
  return first;
}

void broker::deliver_scheduled(stream& in, size_t which) {
  const scheduled one = in.later[which];
  in.later.erase(in.later.begin() + static_cast<std::ptrdiff_t>(which));
  const uint64_t seq = append(in, record(in, one.what, in.last + 1, one.deliver_at));
  const auto id = in.ids.find(one.what.id);
  if (id == in.ids.end() || id->second.order != one.order || expired(in, id->second, believed)) return;
  remembered_id moved = id->second;
  moved.seq = seq;
  moved.scheduled = false;
  remember(in, one.what.id, moved);
}

bool broker::explain_scheduled(stream& in, const message* real) {
  // One that is gone was rather one that fitted from the beginning.
  auto first = real == nullptr ? first_scheduled(in, true) : std::nullopt;
  if (!first) first = first_scheduled(in);
  if (!first) return false;
  const scheduled& next = in.later[*first];
  const message made = record(in, next.what, in.last + 1, next.deliver_at);
  if (real == nullptr ? !full(in, {made}) : same(made, *real)) {
    if (real == nullptr) in.taken_for_gone.push_back(next);
    if (in.taken_for_gone.size() > taken_for_gone_max) in.taken_for_gone.erase(in.taken_for_gone.begin());
    deliver_scheduled(in, *first);
    return true;
  }
  if (real == nullptr) return false;
  return explain_by_another(in, *real, *first) || explain_by_mistake(in, *real, *first);
}

// One that does not fit yet lets others pass, and waits for another instant.
bool broker::explain_by_another(stream& in, const message& real, size_t first) {
  const scheduled& next = in.later[first];
  if (!next.did_not_fit && !full(in, {record(in, next.what, in.last + 1, next.deliver_at)})) return false;
  for (size_t i = 0; i < in.later.size(); ++i) {
    if (in.later[i].deliver_at > *trusted) continue;
    if (!same(record(in, in.later[i].what, in.last + 1, in.later[i].deliver_at), real)) continue;
    look_for_room(in, in.later[i].deliver_at);
    deliver_scheduled(in, i);
    return true;
  }
  return false;
}

// Here it is: another one was gone, then.
bool broker::explain_by_mistake(stream& in, const message& real, size_t first) {
  for (scheduled& mistaken : in.taken_for_gone) {
    if (!same(record(in, mistaken.what, in.last + 1, mistaken.deliver_at), real)) continue;
    std::swap(mistaken, in.later[first]);
    deliver_scheduled(in, first);
    return true;
  }
  return false;
}

void broker::look_for_room() {
  if (!trusted) return;
  for (auto& [name, in] : streams) look_for_room(in, *trusted);
}

void broker::look_for_room(stream& in, int64_t up_to) const {
  for (scheduled& one : in.later) {
    const bool due = one.deliver_at <= up_to;
    one.did_not_fit = one.did_not_fit || (due && full(in, {record(in, one.what, in.last + 1, one.deliver_at)}));
  }
}

void broker::instant_is_over() {
  for (auto& [name, in] : streams) {
    for (scheduled& one : in.later) one.did_not_fit = false;
  }
}

bool broker::explain_dead_letter(stream& in, const message* real, const std::vector<message>& after) {
  for (auto& [name, at] : in.consumers) {
    for (const auto& [seq, one] : at.pending) {
      if (one.now != state::dying) continue;
      const bool by_former = real != nullptr && real->subject == at.dead_letter_before;
      const std::string subject = by_former ? at.dead_letter_before : at.config.dead_letter_subject;
      if (!can_have_dead_letter(in, seq, subject)) continue;
      message made = dead_letter(in, at, seq, subject);
      if (!sweeping && full(in, {made})) continue;
      if (real != nullptr && !same(made, *real)) continue;
      const auto is_it = [&made](const message& other) { return same(made, other); };
      if (real == nullptr && std::any_of(after.begin(), after.end(), is_it)) continue;
      const uint64_t dead = seq;
      park_rest(in, at, dead);
      append_unpruned(in, std::move(made));
      if (at.pending.contains(dead)) finish(in, at, dead);
      prune(in, false);
      return true;
    }
  }
  return false;
}

// The next scheduled message, if it came now.
bool broker::scheduled_would_stay(stream in) {
  const auto steps = std::exchange(between_steps, [](stream&) {});
  const bool comes = explain_scheduled(in, nullptr);
  between_steps = steps;
  return comes && in.live.contains(in.last);
}

bool broker::explain(stream& in, const message* real, const std::vector<message>& after) {
  // One that stays, but for a sweep, is rather a dead letter.
  const bool not_scheduled = real == nullptr && after.empty() && scheduled_would_stay(in);
  if (not_scheduled && explain_dead_letter(in, real, after)) return true;
  return explain_scheduled(in, real) || explain_dead_letter(in, real, after);
}

void broker::park_the_rest(stream& in) {
  for (auto& [name, at] : in.consumers) park_rest(in, at, UINT64_MAX);
}

// One by one, those below `end`, as they are looked at between those that have a dead letter.
void broker::park_rest(stream& in, consumer& at, uint64_t end) {
  std::vector<uint64_t> rest;
  for (const auto& [seq, one] : at.pending) {
    if (seq >= end || one.now != state::dying) continue;
    if (!can_have_dead_letter(in, seq, at.config.dead_letter_subject)) rest.push_back(seq);
  }
  for (const uint64_t seq : rest) {
    between_steps(in);
    park(in, at, seq, at.pending.at(seq).reason);
  }
  if (!rest.empty()) between_steps(in);
}

bool broker::anything_open(const stream& in) const {
  if (first_scheduled(in)) return true;
  for (const auto& [name, at] : in.consumers) {
    if (count_of(at, state::dying) != 0) return true;
  }
  return false;
}

void broker::drop_outlived(const std::string& name) {
  stream* in = find(name);
  if (in == nullptr) return;
  for (const uint64_t seq : outlived(*in)) remove(*in, seq);
}

std::vector<uint64_t> broker::outlived(const stream& in) const {
  std::vector<uint64_t> seqs;
  for (const auto& [seq, one] : in.live) {
    if (one.goes_at != 0 && trusted && *trusted >= one.goes_at) seqs.push_back(seq);
  }
  return seqs;
}

std::string broker::overdue(stream& in) {
  const auto first = first_scheduled(in);
  for (size_t i = 0; i < in.later.size(); ++i) {
    scheduled& one = in.later[i];
    if (first != i || full(in, {record(in, one.what, in.last + 1, one.deliver_at)})) {
      one.overdue_since = -1;
    } else if (too_long(one.overdue_since, mono, scheduled_late_ms_max)) {
      return "a message scheduled for " + std::to_string(one.deliver_at) + " is not delivered";
    }
  }
  for (auto& [name, at] : in.consumers) {
    for (auto& [seq, one] : at.pending) {
      if (one.now != state::dying) continue;
      if (full(in, {dead_letter(in, at, seq, at.config.dead_letter_subject)})) {
        one.overdue_since = -1;
      } else if (too_long(one.overdue_since, mono, dead_letter_late_ms_max)) {
        return "the dead letter of " + name + " for message " + std::to_string(seq) + " is not written";
      }
    }
  }
  for (auto& [seq, one] : in.live) {
    if (one.goes_at == 0 || !trusted || *trusted < one.goes_at) {
      one.overdue_since = -1;
    } else if (too_long(one.overdue_since, mono, outlived_late_ms_max)) {
      return "message " + std::to_string(seq) + " outlived its ttl";
    }
  }
  return {};
}

bool broker::inactive(const consumer& at, int64_t late) const {
  const int64_t unused = mono - at.used_at - late;
  return at.config.inactive_ms != 0 && at.waiting == 0 && unused >= static_cast<int64_t>(at.config.inactive_ms);
}

std::optional<int64_t> broker::next_event() const {
  std::optional<int64_t> first;
  const auto consider = [this, &first](int64_t at) {
    if (at > mono && (!first || at < *first)) first = at;
  };
  for (const auto& [name, in] : streams) {
    for (const scheduled& one : in.later) consider(mono + one.deliver_at - believed);
    for (const auto& [seq, one] : in.live) {
      if (one.goes_at != 0) consider(mono + one.goes_at - believed);
    }
    for (const auto& [which, at] : in.consumers) {
      if (at.paused_until != 0) consider(mono + at.paused_until - believed);
      for (const auto& [seq, one] : at.pending) {
        if (one.now == state::out) consider(one.deadline);
      }
    }
  }
  return first;
}

void broker::restart() {
  std::erase_if(streams, [](const auto& one) { return one.second.config.ephemeral; });
  for (auto& [name, in] : streams) {
    for (scheduled& one : in.later) one.overdue_since = -1;  // tried at the start, and each second from then on
    for (auto& [which, at] : in.consumers) {
      at.waiting = 0;
      at.restarted = true;
      touch(at);
      for (auto& [seq, one] : at.pending) {
        if (one.now == state::in_hand) --one.deliveries;
        if (one.now == state::dying) continue;
        // What was never delivered, or as good as never, is held back again, or goes on being due.
        one.now = state::out;
        if (one.deliveries == 0) one.now = at.config.max_ack_pending_per_subject != 0 ? state::held : state::due;
        one.deadline = mono + wait_of(at, one.deliveries);
      }
    }
  }
}

}  // namespace weir::naive
