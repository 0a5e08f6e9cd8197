#include "broker/consumer.h"

#include <algorithm>

#include "storage/check.h"

namespace weir {

subject_filter filter_of(const consumer_config& config) {
  if (!config.filter_subjects.empty()) return subject_filter(config.filter_subjects);
  if (config.filter_subject.empty()) return subject_filter();
  return subject_filter(std::vector<std::string>(1, config.filter_subject));
}

consumer::consumer(uint32_t number, consumer_config config, wall_ms created_at, seq_no start)
    : number_(number),
      config_(std::move(config)),
      filter_(std::make_shared<const subject_filter>(filter_of(config_))),
      created_at_(created_at),
      next_(std::max(start, seq_no(1))) {}

void consumer::set_config(consumer_config config) {
  const bool was_capped = capped();
  const bool lowered = was_capped && config.max_ack_pending_per_subject < config_.max_ack_pending_per_subject;
  config_ = std::move(config);
  filter_ = std::make_shared<const subject_filter>(filter_of(config_));
  if (capped()) {
    if (!was_capped) subjects_known_ = pending_.empty();
    if (lowered) forget_subjects();
    if (subjects_known_) learned();
  } else if (was_capped) {
    std::vector<pending_set::entry> all;
    pending_.for_each([&all](const pending_set::entry& one) { all.push_back(one); });
    for (const pending_set::entry& one : all) {
      pending_.set_subject(one.seq, 0);
      if (one.where == pending_stage::held || one.where == pending_stage::ready) make_due(one.seq);
    }
    subjects_.clear();
    subjects_known_ = true;
  }
  stir();
}

mono_ns consumer::deadline_from(mono_ns now, uint32_t deliveries) const {
  uint64_t wait = config_.ack_wait_ms;
  if (!config_.backoff_ms.empty()) {
    const size_t which = std::clamp<size_t>(deliveries, 1, config_.backoff_ms.size()) - 1;
    wait = config_.backoff_ms[which];
  }
  return mono_ns(now.raw() + static_cast<int64_t>(wait) * 1'000'000);
}

seq_no consumer::ack_floor(seq_no next_live) const {
  const seq_no floor = pending_.empty() ? std::max(next_, next_live).prev() : pending_.lowest().prev();
  return std::max(floor, floor_min_);
}

// --- what may be delivered ---

uint64_t consumer::room() const {
  const uint64_t most = config_.max_ack_pending != 0 ? config_.max_ack_pending : pending_max;
  return most - std::min<uint64_t>(most, pending_.delivered());
}

bool consumer::may_deliver(seq_no last_visible) {
  if (paused()) return false;
  if (pending_.has_due()) return true;
  if (room() == 0) return false;
  if (pending_.has_ready() || (!knows_subjects() && pending_.held() != 0)) return true;
  return next_ <= last_visible && !holds_enough();
}

blocked_by consumer::blocked(seq_no last_visible, bool stream_is_empty) {
  if (paused()) return blocked_by::paused;
  const bool may_have_ready = pending_.has_ready() || (!knows_subjects() && pending_.held() != 0);
  if (pending_.has_due() || (room() != 0 && may_have_ready)) return blocked_by::nothing;
  if (room() == 0) return blocked_by::max_ack_pending;
  if (holds_enough()) return blocked_by::max_ack_pending_per_subject;
  if (next_ <= last_visible) return blocked_by::nothing;
  if (pending_.held() != 0) return blocked_by::max_ack_pending_per_subject;
  const bool had_all = stream_is_empty || filter_->matches_all() || last_delivered_ != seq_no();
  return had_all ? blocked_by::caught_up : blocked_by::no_match;
}

uint32_t consumer::attempts_max() const {
  return config_.unlimited_deliver ? 0 : std::min(config_.max_deliver, pending_set::deliveries_max);
}

void consumer::expire(mono_ns now, wall_ms wall, size_t most) {
  exhausted_.clear();
  pending_.expire(now, attempts_max(), exhausted_, most);
  give_up_exhausted(wall);
}

void consumer::expire_one(seq_no seq, mono_ns now, wall_ms wall) {
  exhausted_.clear();
  pending_.expire_one(seq, now, attempts_max(), exhausted_);
  give_up_exhausted(wall);
}

void consumer::give_up_exhausted(wall_ms wall) {
  for (const seq_no seq : exhausted_) {
    ++dropped_;
    give_up(seq, park_reason::max_deliver, wall);
  }
}

std::optional<seq_no> consumer::take_due(uint64_t& room) {
  const auto taken = pending_.take_due(room != 0);
  if (!taken) return std::nullopt;
  if (taken->where == pending_stage::picked) --room;
  return taken->seq;
}

bool consumer::take_due_if(seq_no wanted, uint64_t& room) {
  return pending_.first_due(room != 0) == wanted && take_due(room).has_value();
}

bool consumer::is_taken(seq_no seq) const {
  const pending_set::entry* found = pending_.find(seq);
  return found != nullptr && (found->where == pending_stage::taken || found->where == pending_stage::picked);
}

void consumer::put_back(seq_no seq) {
  const pending_set::entry* found = pending_.find(seq);
  if (found == nullptr) return;
  if (found->where == pending_stage::taken) pending_.put(seq, found->deliveries, pending_stage::due);
  if (found->where == pending_stage::picked) pending_.put(seq, found->deliveries, pending_stage::ready);
}

uint32_t consumer::delivered(seq_no seq, std::string_view subject, mono_ns now, bool in_hand) {
  const pending_set::entry* before = pending_.find(seq);
  const bool fresh = before == nullptr;
  const uint32_t deliveries = fresh ? 1 : before->deliveries + 1;
  if (in_hand) {
    pending_.put(seq, deliveries, pending_stage::in_hand);
  } else {
    pending_.put(seq, deliveries, deadline_from(now, deliveries));
  }
  if (fresh && capped()) {
    const uint32_t number = subjects_.number_of(subject);
    subjects_.take(number);
    pending_.set_subject(seq, number);
  }
  last_delivered_ = std::max(last_delivered_, seq);
  note_delivered(seq, deliveries);
  return deliveries;
}

void consumer::start_wait(const handed& one, mono_ns now) {
  const pending_set::entry* found = pending_.find(one.seq);
  if (found == nullptr || found->where != pending_stage::in_hand || found->deliveries != one.deliveries) return;
  pending_.put(one.seq, one.deliveries, deadline_from(now, one.deliveries));
}

void consumer::give_back(const handed& one) {
  const pending_set::entry* found = pending_.find(one.seq);
  if (found == nullptr || found->where != pending_stage::in_hand || found->deliveries != one.deliveries) return;
  pending_.put(one.seq, one.deliveries - 1, pending_stage::due);
  note_delivered(one.seq, one.deliveries - 1);
  stir();
}

void consumer::advance(seq_no next) {
  if (next <= next_) return;
  next_ = next;
  moved_ = true;
}

// --- what is done with a message ---

const pending_set::entry* consumer::find_delivered(seq_no seq) const {
  const pending_set::entry* found = pending_.find(seq);
  return found != nullptr && !found->is_held() ? found : nullptr;
}

bool consumer::attempts_left(uint32_t deliveries) const {
  return config_.unlimited_deliver || deliveries < config_.max_deliver;
}

pending_set::entry consumer::acknowledge(seq_no seq) {
  const auto found = pending_.erase(seq);
  WEIR_CHECK(found.has_value());
  left(*found);
  delta_.gone.push_back(seq);
  stir();
  return *found;
}

void consumer::make_due(seq_no seq) {
  const pending_set::entry* found = pending_.find(seq);
  if (found == nullptr) return;
  pending_.put(seq, found->deliveries, pending_stage::due);
  stir();
}

void consumer::wait_until(seq_no seq, mono_ns deadline) {
  const pending_set::entry* found = pending_.find(seq);
  if (found != nullptr) pending_.put(seq, found->deliveries, deadline);
}

void consumer::give_up(seq_no seq, park_reason reason, wall_ms wall) {
  if (config_.dead_letter_subject.empty()) return park(seq, reason, wall);
  const pending_set::entry* found = pending_.find(seq);
  if (found == nullptr) return;
  pending_.put(seq, found->deliveries, pending_stage::dying);
  dying_.push_back({seq, reason});
  delta_.dying.push_back({seq, reason});
  limit_delta();
}

void consumer::park(seq_no seq, park_reason reason, wall_ms wall) {
  const auto found = pending_.erase(seq);
  if (!found) return;
  left(*found);
  const parked_message given_up{seq, wall, reason};
  parked_.add(given_up, parked_max);
  delta_.parked.push_back(given_up);
  limit_delta();
  stir();
}

void consumer::restore(const pending_set::entry& entry) {
  parked_.erase(entry.seq);
  const bool read = entry.where == pending_stage::taken || entry.where == pending_stage::picked;
  pending_.put(entry.seq, entry.deliveries, read ? pending_stage::due : entry.where, entry.deadline);
  pending_.set_subject(entry.seq, 0);
  subjects_known_ = !capped();
}

void consumer::forget(seq_no seq) {
  const auto found = pending_.erase(seq);
  parked_.erase(seq);
  if (!found) return;
  left(*found);
  stir();
}

void consumer::forget_before(seq_no first_kept) {
  parked_.erase_before(first_kept);
  if (pending_.empty() || pending_.lowest() >= first_kept) return;
  if (capped()) {
    while (!pending_.empty() && pending_.lowest() < first_kept) left(*pending_.erase(pending_.lowest()));
  } else {
    pending_.erase_before(first_kept);
  }
  stir();
}

// --- parked ones ---

std::vector<seq_no> consumer::find_parked(std::vector<seq_no> named) const {
  std::vector<seq_no> found;
  if (named.empty()) {
    for (const auto& [seq, one] : parked_.by_seq()) found.push_back(seq);
    return found;
  }
  std::sort(named.begin(), named.end());
  named.erase(std::unique(named.begin(), named.end()), named.end());
  std::copy_if(named.begin(), named.end(), std::back_inserter(found),
               [this](seq_no seq) { return parked_.contains(seq); });
  return found;
}

void consumer::requeue(const std::vector<seq_no>& seqs, seq_no floor) {
  for (const seq_no seq : seqs) parked_.erase(seq);
  for (const seq_no seq : seqs) {
    if (pending_.find(seq) == nullptr) pending_.put(seq, 0, pending_stage::due);
  }
  if (capped()) forget_subjects();  // they have slots before what is held
  floor_min_ = std::max(floor_min_, floor);
  journal_all();
  stir();
}

void consumer::drop_parked(const std::vector<seq_no>& seqs) {
  for (const seq_no seq : seqs) {
    if (parked_.erase(seq)) delta_.gone.push_back(seq);
  }
}

void consumer::reset(seq_no next) {
  next_ = std::max(next, seq_no(1));
  floor_min_ = seq_no();
  pending_.clear();
  dying_.clear();
  parked_.clear();
  subjects_.clear();
  subjects_known_ = true;
  ++resets;
  journal_all();
  stir();
}

}  // namespace weir
