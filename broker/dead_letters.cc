// Dead letters: a message that its consumer gave up on is published once more, under the consumer's
// dead_letter_subject, and is done with in the same journal entry: after a crash there is one dead letter, or none yet.
//
// One at a time for each consumer, in the background. While there is no room (disk, discard_new) the message stays
// dying, and it is tried again with the next tick; those after it do not wait for it.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {
namespace {

constexpr size_t without_room_max = 100;  // that are looked at again at each attempt
constexpr size_t buried_at_once = 100;    // others get their turn in between

std::string told_headers(const record_view& dead, const std::string& stream_name, const consumer& by, uint32_t count,
                         park_reason reason) {
  std::vector<header> told;
  told.push_back({"x-waymaker-dlq-stream", stream_name});
  told.push_back({"x-waymaker-dlq-subject", std::string(dead.subject)});
  told.push_back({"x-waymaker-dlq-seq", std::to_string(dead.seq.raw())});
  told.push_back({"x-waymaker-dlq-ts-ms", std::to_string(dead.time.raw())});
  told.push_back({"x-waymaker-dlq-consumer", by.config().name});
  told.push_back({"x-waymaker-dlq-deliver-count", std::to_string(count)});
  told.push_back({"x-waymaker-dlq-reason", reason == park_reason::term ? "term" : "max_deliver"});
  return std::string(as_text(dead.headers)) + encode_headers(told);
}

bool is_dying(const consumer& at, seq_no seq) {
  const pending_set::entry* found = at.pending().find(seq);
  return found != nullptr && found->where == pending_stage::dying;
}

}  // namespace

void shard_impl::start_burying(const place& held) {
  if (held.at->burying || held.at->dying().empty() || stopping_) return;
  held.at->burying = true;
  in_background(bury(held));
}

void shard_impl::retry_burying() {
  std::vector<place> again;
  again.swap(unburied_);
  for (const place& one : again) {
    if (!one.gone()) start_burying(one);
  }
}

task<void> shard_impl::bury(place held) {
  consumer& at = *held.at;
  bool room = true;
  while (room && !held.gone() && !stopping_ && !at.dying().empty()) {
    room = co_await bury_some(held);
    // Somebody must ask for it, or the batch is only written, and nobody sees the letters yet.
    auto safe = co_await reached(held.in->level(), held.in->log().last_change());
    room = room && safe;
  }
  at.burying = false;
  if (!at.dying().empty() && !held.gone()) unburied_.push_back(held);
}

task<bool> shard_impl::bury_some(place held) {
  std::vector<dying_message>& dying = held.at->dying();
  const uint64_t resets = held.at->resets;
  std::vector<dying_message> without_room;
  bool now = true;
  size_t next = 0;
  while (now && next < dying.size() && !held.gone() && !stopping_ && without_room.size() < without_room_max) {
    const dying_message one = dying[next];
    const burial how = co_await bury_one(held, one);
    if (held.at->resets != resets) co_return true;  // these are not its any more
    now = how != burial::not_now;
    if (now && ++next % buried_at_once == 0) {
      auto breath = [] { return true; };
      co_await run_on(ports_.pool, breath);
      if (held.at->resets != resets) co_return true;
    }
    if (how == burial::no_room) without_room.push_back(one);
  }
  dying.erase(dying.begin(), dying.begin() + static_cast<ptrdiff_t>(next));
  // Too many: it is the turn of the others next time.
  const bool others = without_room.size() >= without_room_max;
  dying.insert(others ? dying.end() : dying.begin(), without_room.begin(), without_room.end());
  const bool all = now && without_room.empty();
  co_return all;
}

task<shard_impl::burial> shard_impl::bury_one(place held, dying_message one) {
  stream& in = *held.in;
  consumer& at = *held.at;
  if (!is_dying(at, one.seq)) co_return burial::done;  // acknowledged or removed meanwhile
  scan_request wanted;
  wanted.from = one.seq;
  wanted.to = one.seq;
  wanted.records_max = 1;
  auto found = co_await in.log().scan(wanted);
  if (!found) co_return burial::not_now;
  if (held.gone() || !is_dying(at, one.seq)) co_return burial::done;
  const std::string subject = at.config().dead_letter_subject;
  std::string headers;
  record_fields letter;
  bool possible = !found->records.empty() && !subject.empty();
  if (possible) {
    auto dead = parse_record(found->records.front().bytes.bytes());
    possible = dead && dead->subject != subject;
    if (possible) {
      const uint32_t count = at.pending().find(one.seq)->deliveries;
      headers = told_headers(*dead, in.config().name, at, count, one.reason);
      letter = record_fields{subject, ports_.clock.wall(), as_bytes(headers), dead->payload};
    }
  }
  if (!possible) {
    at.park(one.seq, one.reason, ports_.clock.wall());
    journal_progress_lazily(in, at);
    co_return burial::done;
  }
  if (!in.ephemeral() && store_->full()) co_return burial::no_room;
  size_t beside = 0;
  while (finish_bytes(held, 1) + 2 * entry_overhead > beside) {
    beside = finish_bytes(held, 1) + 2 * entry_overhead;
    auto admitted = co_await admit_append(held.in, letter, beside);
    if (!admitted) co_return store_->failed() ? burial::not_now : burial::no_room;
    if (held.gone() || !is_dying(at, one.seq)) co_return burial::done;
  }
  const stream::appended done = append_letter(held, letter, one.seq);
  // The next one may be about to go by the limits, and then it has no dead letter.
  if (done.needs_load) co_await prune(held.in, false);
  co_return burial::done;
}

stream::appended shard_impl::append_letter(const place& held, const record_fields& letter, seq_no dead) {
  stream& in = *held.in;
  consumer& at = *held.at;
  const bool removes = in.config().policy == retention_policy::work_queue && in.log().is_live(dead);
  const pending_set::entry before = at.acknowledge(dead);
  if (!in.ephemeral()) {
    encode_progress(scratch_, at);
    const size_t removal = removes ? stream_log::remove_bytes(1) : 0;
    const size_t bytes = in.log().append_bytes(letter) + removal + scratch_.size();
    journal_of().begin_group(journal::group_bytes(removes ? 3 : 2, bytes));
  }
  const stream_log::appended placed = in.log().append(letter, single_node_epoch);
  if (removes) {
    const std::vector<seq_no> only(1, dead);
    in.remove(only);
  }
  if (in.ephemeral()) {
    at.journaled();
  } else {
    const lsn end = journal_encoded(in, at);
    journal_of().end_group();
    std::function<void()> revert = [kept = held.at, before] { kept->restore(before); };
    if (!removes) undo_.add(end, std::move(revert));
  }
  const stream::appended done = in.after_append(placed, letter.subject);
  counters_.pruned += done.removed;
  ++counters_.dead_lettered;
  return done;
}

}  // namespace weir
