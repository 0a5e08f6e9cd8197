// Fetch: what a consumer gets now.
#include <algorithm>

#include "broker/shard_impl.h"
#include "broker/turn_hold.h"

namespace weir {
namespace {

bool is_literal(std::string_view filter) {
  return filter.find_first_of("*>") == std::string_view::npos;
}

}  // namespace

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
  used(*held.at);
  co_await held.at->fetching.take();
  const turn_hold hold(held.at->fetching);
  fetch_outcome out;
  budget left;
  left.messages = std::clamp<uint32_t>(batch_size, 1, limits_.fetch_messages_max);
  left.bytes = limits_.fetch_bytes_max;
  auto outcome = co_await gather(held, left, out);
  if (held.gone()) co_return fail(errc::no_such_consumer, "consumer " + quoted(name) + " was deleted");
  // What was read before a failure goes out; the failure comes again with the next fetch.
  if (!outcome && out.deliveries.empty()) co_return outcome.err();
  co_return out;
}

task<result<void>> shard_impl::gather(place held, budget& left, fetch_outcome& out) {
  // What outlived its ttl is not delivered, however late its alarm is.
  if (outlived(*held.in)) co_await expire(held.in);
  if (held.gone()) co_return ok();
  co_await catch_up(held);
  if (held.gone()) co_return ok();
  result<void> outcome;
  if (!held.at->paused()) {
    if (!held.at->knows_subjects()) outcome = co_await learn_subjects(held);
    if (outcome) outcome = co_await redeliver(held, left, out);
    if (outcome && left.messages != 0 && left.bytes != 0) outcome = co_await deliver_new(held, left, out);
  }
  if (held.gone()) co_return ok();
  journal_progress_lazily(*held.in, *held.at);
  set_alarm(*held.at);
  counters_.delivered += out.deliveries.size();
  co_return outcome;
}

void shard_impl::begin_handing_out(const scan_result& found, budget& left, fetch_outcome& out) {
  left.now = ports_.clock.mono();
  if (out.deliveries.empty()) out.deliveries.reserve(found.records.size());
}

bool shard_impl::hand_out(const place& held, found_record& record, std::string_view subject, budget& left,
                          fetch_outcome& out) {
  if (!out.deliveries.empty() && record.bytes.size() > left.bytes) {
    left.bytes = 0;
    return false;
  }
  left.bytes -= std::min(left.bytes, record.bytes.size());
  --left.messages;
  const uint32_t deliveries = held.at->delivered(record.seq, subject, left.now, left.in_hand);
  if (deliveries > 1) ++counters_.redelivered;
  out.deliveries.push_back(delivery{std::move(record), deliveries});
  return true;
}

// After a restart: what is pending is read once, to know how many of each subject are out.
task<result<void>> shard_impl::learn_subjects(place held) {
  constexpr size_t chunk = 1'000;
  consumer& at = *held.at;
  stream_log& log = held.in->log();
  seq_no from(1);
  for (;;) {
    const std::vector<seq_no> unknown = at.unknown_subjects(from, chunk);
    if (unknown.empty()) break;
    scan_request wanted;
    wanted.from = unknown.front();
    wanted.to = unknown.back();
    wanted.records_max = chunk;
    auto found = co_await log.scan(wanted);
    if (!found) co_return found.err();
    if (held.gone()) co_return ok();
    for (const found_record& record : found->records) {
      auto view = parse_record(record.bytes.bytes());
      if (view) at.learn(record.seq, view->subject);
    }
    for (const seq_no seq : unknown) {
      if (seq >= found->next) break;
      at.forget_unknown(seq);
    }
    from = found->next;
  }
  at.learned();
  co_return ok();
}

task<result<void>> shard_impl::redeliver(place held, budget& left, fetch_outcome& out) {
  consumer& at = *held.at;
  while (left.messages != 0 && left.bytes != 0) {
    uint64_t room = at.room();
    const auto first = at.take_due(room);
    if (!first) break;
    seq_no last = *first;
    while (last.raw() - first->raw() + 1 < left.messages && at.take_due_if(last.next(), room)) last = last.next();
    scan_request wanted;
    wanted.from = *first;
    wanted.to = last;
    wanted.records_max = left.messages;
    wanted.bytes_max = left.bytes;
    auto found = co_await held.in->log().scan(wanted);
    if (held.gone()) co_return ok();
    const seq_no looked_at_to = found ? found->next : *first;
    std::vector<seq_no> missing;
    size_t next_record = 0;
    for (seq_no seq = *first; seq < looked_at_to && seq <= last; seq = seq.next()) {
      const bool there = found && next_record < found->records.size() && found->records[next_record].seq == seq;
      if (!there) missing.push_back(seq);
      if (there) ++next_record;
    }
    for (const seq_no seq : missing) at.forget(seq);
    if (found) {
      out.damaged.insert(out.damaged.end(), found->damaged.begin(), found->damaged.end());
      begin_handing_out(*found, left, out);
      for (found_record& record : found->records) {
        if (!at.is_taken(record.seq)) continue;  // acknowledged while it was read
        if (!hand_out(held, record, {}, left, out)) break;
      }
    }
    // Taken and not handed out: due again.
    for (seq_no seq = *first; seq <= last; seq = seq.next()) at.put_back(seq);
    if (!found) co_return found.err();
  }
  co_return ok();
}

bool shard_impl::deliver(const place& held, found_record& record, budget& left, fetch_outcome& out) {
  consumer& at = *held.at;
  if (!at.capped()) return hand_out(held, record, {}, left, out);
  if (at.holds_enough()) return false;  // whoever waits is not woken for what lies ahead either
  auto view = parse_record(record.bytes.bytes());
  const std::string subject(view ? view->subject : std::string_view());
  if (at.subject_has_room(subject)) return hand_out(held, record, subject, left, out);
  at.hold(record.seq, subject);
  return true;
}

task<result<void>> shard_impl::deliver_new(place held, budget& left, fetch_outcome& out) {
  consumer& at = *held.at;
  stream_log& log = held.in->log();
  bool more = true;
  while (more && left.messages != 0 && left.bytes != 0 && at.room() != 0) {
    const seq_no from = log.next_live(at.next());
    const seq_no to = log.last_visible();
    if (at.next() > to) break;
    if (from > to) {
      at.advance(to.next());  // nothing live is left: whoever waits must not look again
      break;
    }
    const std::shared_ptr<const subject_filter> filter = at.filter();
    scan_request wanted;
    wanted.from = from;
    wanted.to = to;
    wanted.records_max = static_cast<size_t>(std::min<uint64_t>(left.messages, at.capped() ? UINT64_MAX : at.room()));
    wanted.bytes_max = left.bytes;
    if (filter->filters().size() == 1 && is_literal(filter->filters().front())) {
      wanted.exact_subject = filter->filters().front();
    } else if (!filter->matches_all()) {
      wanted.filter = filter.get();
    }
    auto found = co_await log.scan(wanted);
    if (!found) co_return found.err();
    if (held.gone()) co_return ok();
    begin_handing_out(*found, left, out);
    seq_no looked_at = found->next.prev();
    for (found_record& record : found->records) {
      if (!log.is_live(record.seq)) continue;  // removed while it was read
      const seq_no seq = record.seq;
      const bool passed = deliver(held, record, left, out);
      more = passed && left.messages != 0 && left.bytes != 0 && at.room() != 0;
      if (more) continue;
      looked_at = passed ? seq : seq.prev();
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
