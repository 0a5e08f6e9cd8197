// What the journal does not know of a consumer yet, and building one from what it knows.
#include <algorithm>

#include "broker/consumer.h"

namespace weir {
namespace {

constexpr size_t delta_entries_max = 4096;  // beyond it the whole state is journaled instead

}  // namespace

void consumer::note_delivered(seq_no seq, uint32_t deliveries) {
  auto& runs = delta_.delivered;
  if (!runs.empty() && runs.back().deliveries == deliveries &&
      runs.back().first.raw() + runs.back().length == seq.raw()) {
    ++runs.back().length;
  } else {
    runs.push_back({seq, 1, deliveries});
  }
  limit_delta();
}

void consumer::limit_delta() {
  if (delta_.size() <= delta_entries_max) return;
  delta_.clear();
  whole_ = true;
}

size_t consumer::progress_bytes_max(size_t more) const {
  constexpr size_t varint_max = 10;
  constexpr size_t fixed = 2 + 8 * varint_max;
  constexpr size_t given_up = 2 * varint_max + 1;
  return fixed + 3 * varint_max * delta_.delivered.size() + varint_max * delta_.gone.size() +
         given_up * (delta_.dying.size() + delta_.parked.size() + more);
}

void consumer::journaled() {
  delta_.clear();
  whole_ = false;
  moved_ = false;
}

void consumer::load(seq_no next, seq_no last_delivered, uint64_t dropped) {
  next_ = std::max(next_, next);
  last_delivered_ = std::max(last_delivered_, last_delivered);
  dropped_ = dropped;
}

void consumer::load_pending(seq_no seq, uint32_t deliveries, mono_ns now) {
  if (deliveries != 0) {
    pending_.put(seq, deliveries, deadline_from(now, deliveries));
    last_delivered_ = std::max(last_delivered_, seq);
  } else {
    pending_.put(seq, 0, capped() ? pending_stage::held : pending_stage::due);
  }
  subjects_known_ = !capped();
}

void consumer::load_again(mono_ns now) {
  std::vector<pending_set::entry> all;
  pending_.for_each([&all](const pending_set::entry& one) {
    if (one.where != pending_stage::dying) all.push_back(one);
  });
  for (const pending_set::entry& one : all) load_pending(one.seq, one.deliveries, now);
}

void consumer::load_gone(seq_no seq) {
  pending_.erase(seq);
  parked_.erase(seq);
}

void consumer::load_dying(const dying_message& one) {
  const pending_set::entry* found = pending_.find(one.seq);
  if (found == nullptr) return;
  pending_.put(one.seq, found->deliveries, pending_stage::dying);
  dying_.push_back(one);
}

void consumer::load_parked(const parked_message& one) {
  pending_.erase(one.seq);
  parked_.add(one, parked_max);
}

}  // namespace weir
