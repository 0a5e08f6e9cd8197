// Dead letters: a message that its consumer gave up on is published once more, under the consumer's
// dead_letter_subject, and is done with in the same journal batch.
//
// One at a time for each consumer, in the background. The record comes first in the batch: a crash in its middle leaves
// the dead letter twice, never not at all. While there is no room (disk, discard_new) the message stays dying, and it
// is tried again with the next tick.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {
namespace {

constexpr size_t entry_overhead = 64;  // of a further journal entry in a batch

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
  bool room = true;
  size_t next = 0;
  while (next < dying.size() && !held.gone() && !stopping_) {
    const dying_message one = dying[next];
    room = co_await bury_one(held, one);
    if (held.at->resets != resets) co_return true;  // these are not its any more
    if (!room) break;
    ++next;
  }
  dying.erase(dying.begin(), dying.begin() + static_cast<ptrdiff_t>(next));
  co_return room;
}

task<bool> shard_impl::bury_one(place held, dying_message one) {
  stream& in = *held.in;
  consumer& at = *held.at;
  if (!is_dying(at, one.seq)) co_return true;  // acknowledged or removed meanwhile
  scan_request wanted;
  wanted.from = one.seq;
  wanted.to = one.seq;
  wanted.records_max = 1;
  auto found = co_await in.log().scan(wanted);
  if (!found) co_return false;
  if (held.gone() || !is_dying(at, one.seq)) co_return true;
  std::string headers;
  record_fields fields;
  bool possible = !found->records.empty() && !at.config().dead_letter_subject.empty();
  if (possible) {
    auto dead = parse_record(found->records.front().bytes.bytes());
    possible = dead && dead->subject != at.config().dead_letter_subject;
    if (possible) {
      const uint32_t count = at.pending().find(one.seq)->deliveries;
      headers = told_headers(*dead, in.config().name, at, count, one.reason);
      fields.headers = as_bytes(headers);
      fields.payload = dead->payload;
    }
  }
  if (!possible) {
    at.park(one.seq, one.reason, ports_.clock.wall());
    journal_progress_lazily(in, at);
    co_return true;
  }
  const std::string subject = at.config().dead_letter_subject;
  fields.subject = subject;
  fields.time = ports_.clock.wall();
  if (!in.ephemeral() && store_->full()) co_return false;
  size_t beside = 0;
  while (finish_bytes(held, 1) + 2 * entry_overhead > beside) {
    beside = finish_bytes(held, 1) + 2 * entry_overhead;
    auto admitted = co_await admit_append(held.in, fields, beside);
    if (!admitted) co_return false;
    if (held.gone() || !is_dying(at, one.seq)) co_return true;
  }
  const stream::appended done = in.append(fields, single_node_epoch);
  counters_.pruned += done.removed;
  ++counters_.dead_lettered;
  if (is_dying(at, one.seq)) {
    --counters_.acked;  // finish() counts it
    const std::vector<seq_no> only(1, one.seq);
    finish(held, only);
  } else {
    journal_progress_lazily(in, at);  // the limits removed it with this append
  }
  if (done.needs_load && !in.pruning.held()) in_background(prune_in_background(held.in, false));
  co_return true;
}

}  // namespace weir
