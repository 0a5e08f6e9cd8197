// A consumer's messages by subject: who is held back by the cap of its subject, and who has room again.
#include "broker/consumer.h"

namespace weir {

bool consumer::subject_has_room(std::string_view subject) {
  const uint32_t number = subjects_.number_of(subject);
  const bool room = subjects_.has_room(number, config_.max_ack_pending_per_subject);
  subjects_.close_if_empty(number);
  return room;
}

void consumer::hold(seq_no seq, std::string_view subject) {
  const uint32_t number = subjects_.number_of(subject);
  subjects_.hold(number, seq);
  pending_.put(seq, 0, pending_stage::held);
  pending_.set_subject(seq, number);
  note_delivered(seq, 0);
}

void consumer::forget_unknown(seq_no seq) {
  const pending_set::entry* found = pending_.find(seq);
  if (found != nullptr && found->subject == 0) forget(seq);
}

void consumer::learn(seq_no seq, std::string_view subject) {
  const pending_set::entry* found = pending_.find(seq);
  if (found == nullptr || found->subject != 0) return;
  const uint32_t number = subjects_.number_of(subject);
  if (found->where == pending_stage::held) {
    subjects_.hold(number, seq);
  } else {
    subjects_.take(number);
  }
  pending_.set_subject(seq, number);
}

void consumer::learned() {
  subjects_known_ = true;
  for (const seq_no seq : subjects_.all_with_room(config_.max_ack_pending_per_subject)) {
    pending_.put(seq, 0, pending_stage::ready);
  }
}

// What a message of a capped subject leaves behind.
void consumer::left(const pending_set::entry& entry) {
  if (entry.subject == 0) return;
  if (entry.where == pending_stage::held) return subjects_.drop_held(entry.subject, entry.seq);
  subjects_.give_back(entry.subject);
  if (!subjects_known_) return;
  const auto freed = subjects_.next_with_room(entry.subject, config_.max_ack_pending_per_subject);
  if (freed) pending_.put(*freed, 0, pending_stage::ready);
}

// All are learned again: what is held and had room may have none now.
void consumer::forget_subjects() {
  std::vector<pending_set::entry> all;
  pending_.for_each([&all](const pending_set::entry& one) { all.push_back(one); });
  for (const pending_set::entry& one : all) {
    pending_.set_subject(one.seq, 0);
    if (one.where == pending_stage::ready) pending_.put(one.seq, 0, pending_stage::held);
  }
  subjects_.clear();
  subjects_known_ = pending_.empty();
}

}  // namespace weir
