// One consumer: where it is in its stream, what it has out, what is still to be journaled about that.
//
// Owned by its stream, shared with the requests that are looking at it (local_ref). Knows nothing of logs or clocks:
// the shard reads messages and tells the consumer what was delivered. Every message below `next` was delivered once,
// did not concern this consumer, or is held back by the cap of its subject; those it is not done with are in
// `pending`. Whatever may make something deliverable stirs those who wait (delivery_board.h).
//
// After a restart every pending message gets its full wait again: its worker may still be alive.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "broker/consumer_alarm.h"
#include "broker/local_ref.h"
#include "broker/parked.h"
#include "broker/pending.h"
#include "broker/subject_room.h"
#include "broker/types.h"
#include "broker/waiting.h"
#include "storage/subject.h"

namespace weir {

class delivery_board;
class stream;
struct waiter;

// The filter a config means.
subject_filter filter_of(const consumer_config& config);

// A message that is dying, and why.
struct dying_message {
  seq_no seq;
  park_reason reason = park_reason::max_deliver;
};

// What changed since the last journal entry about a consumer (state_codec writes it).
struct consumer_delta {
  struct run {
    seq_no first;
    uint64_t length = 0;
    uint32_t deliveries = 0;  // 0: pending, and to be delivered as if for the first time
  };
  std::vector<run> delivered;          // the last one about a message holds
  std::vector<seq_no> gone;            // acknowledged
  std::vector<dying_message> dying;    // given up, dead letter to come
  std::vector<parked_message> parked;  // given up and kept
  size_t size() const { return delivered.size() + gone.size() + dying.size() + parked.size(); }
  bool empty() const { return size() == 0; }
  void clear() {
    delivered.clear();
    gone.clear();
    dying.clear();
    parked.clear();
  }
};

class consumer final : public local_counted {
 public:
  consumer(uint32_t number, consumer_config config, wall_ms created_at, seq_no start);

  uint32_t number() const { return number_; }
  const consumer_config& config() const { return config_; }
  void set_config(consumer_config config);
  // Shared, because a scan may still be using it when the config changes.
  const std::shared_ptr<const subject_filter>& filter() const { return filter_; }
  wall_ms created_at() const { return created_at_; }
  seq_no next() const { return next_; }
  seq_no last_delivered() const { return last_delivered_; }
  uint64_t dropped() const { return dropped_; }
  seq_no floor_min() const { return floor_min_; }
  const pending_set& pending() const { return pending_; }
  const parked_set& parked() const { return parked_; }
  std::vector<dying_message>& dying() { return dying_; }
  const std::vector<dying_message>& dying() const { return dying_; }

  // Highest sequence at and below which everything is done, gone or not for this consumer. `next_live`: the lowest live
  // sequence at or after next().
  seq_no ack_floor(seq_no next_live) const;

  // --- what may be delivered ---
  bool has_due() const { return pending_.has_due(); }
  std::optional<mono_ns> next_deadline() const { return pending_.next_deadline(); }
  // So many more may be out (max_ack_pending).
  uint64_t room() const;
  // Something can be handed out now, the messages up to `last_visible` being visible and some maybe matching.
  bool may_deliver(seq_no last_visible);
  bool paused() const { return paused_until.raw() != 0; }
  // Held back as many as may be: the cursor stops.
  bool holds_enough() const { return pending_.held() >= held_max; }
  blocked_by blocked(seq_no last_visible, bool stream_is_empty);

  // Redelivery becomes possible for what is past its deadline; what is out of attempts is given up and counted. Looks
  // at no more than `most` deadlines.
  void expire(mono_ns now, wall_ms wall, size_t most);
  // The same for this one, so that what is said of it finds it where it is.
  void expire_one(seq_no seq, mono_ns now, wall_ms wall);
  // Takes the lowest one to redeliver, or held while there is `room` for one more, for its delivery; lowers `room`.
  std::optional<seq_no> take_due(uint64_t& room);
  // The same if the next one is `wanted`.
  bool take_due_if(seq_no wanted, uint64_t& room);
  bool is_taken(seq_no seq) const;
  // Taken, and not handed out after all.
  void put_back(seq_no seq);

  struct handed {
    seq_no seq;
    uint32_t deliveries = 0;  // which attempt it is
  };
  // A message goes out (again). Its wait begins now, or, in the hand of a subscription, with start_wait(). `subject`
  // may be empty unless the consumer is capped by subject.
  uint32_t delivered(seq_no seq, std::string_view subject, mono_ns now, bool in_hand);
  void start_wait(const handed& one, mono_ns now);
  // It never went out: due again, and that was no attempt.
  void give_back(const handed& one);
  // Everything below `next` was looked at. Never goes back.
  void advance(seq_no next);

  // --- the cap of each subject ---
  bool capped() const { return config_.max_ack_pending_per_subject != 0; }
  // False: a message of it must be held back.
  bool subject_has_room(std::string_view subject);
  void hold(seq_no seq, std::string_view subject);
  // What is pending and of what subject is not known (after a restart): learn() them, then learned().
  bool knows_subjects() const { return subjects_known_ || !capped(); }
  std::vector<seq_no> unknown_subjects(seq_no from, size_t most) const { return pending_.list_unknown(from, most); }
  // It cannot be read.
  void forget_unknown(seq_no seq);
  void learn(seq_no seq, std::string_view subject);
  void learned();

  // --- what is done with a message ---
  // nullopt: was not delivered, or is done already.
  const pending_set::entry* find_delivered(seq_no seq) const;
  bool attempts_left(uint32_t deliveries) const;
  pending_set::entry acknowledge(seq_no seq);
  void make_due(seq_no seq);
  void wait_until(seq_no seq, mono_ns deadline);
  mono_ns deadline_from(mono_ns now, uint32_t deliveries) const;
  // Dying if a dead letter is to be written, else parked. Of one that is delivered.
  void give_up(seq_no seq, park_reason reason, wall_ms wall);
  void count_dropped() { ++dropped_; }
  void uncount_dropped() { --dropped_; }
  // A dying one that cannot have a dead letter.
  void park(seq_no seq, park_reason reason, wall_ms wall);
  // Undoes acknowledge() or give_up() that never became durable.
  void restore(const pending_set::entry& entry);
  // Removed from the stream or unreadable: is pending or parked no more, which is not an acknowledgement.
  void forget(seq_no seq);
  void forget_before(seq_no first_kept);

  // --- parked ones ---
  // Of these, those that are parked; all if none is named. In order of sequence.
  std::vector<seq_no> find_parked(std::vector<seq_no> named) const;
  // Due, as if never delivered; `floor` stays the floor. The whole state is to be journaled.
  void requeue(const std::vector<seq_no>& seqs, seq_no floor);
  void drop_parked(const std::vector<seq_no>& seqs);

  // Starts anew at `next`. The whole state is to be journaled.
  void reset(seq_no next);

  // Bytes encode_progress() may take for what is unjournaled and so many acknowledgements more (a bound, if
  // !journal_whole()).
  size_t progress_bytes_max(size_t more = 1) const;
  // What the journal does not know yet.
  const consumer_delta& unjournaled() const { return delta_; }
  bool dirty() const { return moved_ || whole_ || !delta_.empty(); }
  // So much that the whole state is the shorter entry.
  bool journal_whole() const { return whole_; }
  void journal_all() { whole_ = true; }
  void journaled();

  // Rebuilding from the journal or a snapshot.
  void load(seq_no next, seq_no last_delivered, uint64_t dropped);
  void load_floor_min(seq_no floor) { floor_min_ = floor; }
  void load_pending(seq_no seq, uint32_t deliveries, mono_ns now);
  void load_gone(seq_no seq);
  // The config changed meanwhile: what load_pending() made of it is by the new one.
  void load_again(mono_ns now);
  void load_dying(const dying_message& one);
  void load_parked(const parked_message& one);

  // Wakes the first of those who wait, at the end of the turn, if something may be deliverable then.
  void stir();

  turn fetching;    // one fetch reads at a time
  lsn created_end;  // end of the journal entry that made it
  lsn changed_end;  // end of the last journal entry about its state
  // The highest ack floor that was shown or recovered: certainly on disk, so the one to show once the disk has failed.
  seq_no sure_floor;
  bool deleted = false;
  wall_ms paused_until{0};  // 0: not paused
  bool burying = false;     // its dead letters are being written

  // Set by the shard when it becomes one of a stream's consumers.
  stream* in = nullptr;
  delivery_board* board = nullptr;
  uint64_t pending_max = UINT64_MAX;
  uint64_t held_max = UINT64_MAX;
  size_t parked_max = 0;
  std::unique_ptr<consumer_alarm> alarm;  // rings when it has something to do without being asked
  mono_ns last_used;
  uint64_t subscriptions = 0;  // open
  uint64_t resets = 0;         // what was handed out before the last one is nobody's any more

  // Kept by the board.
  std::list<waiter*> waiting;  // first come first
  size_t awaiting_at = 0;      // place in stream::awaiting, if somebody waits
  bool stirred = false;
  bool expecting = false;
  seq_no expected;  // newest message appended that may concern it, if expecting

 private:
  void note_delivered(seq_no seq, uint32_t deliveries);
  uint32_t attempts_max() const;  // 0: no bound
  void give_up_exhausted(wall_ms wall);
  void left(const pending_set::entry& entry);
  void limit_delta();
  void forget_subjects();

  const uint32_t number_;  // within its stream, never used again
  consumer_config config_;
  std::shared_ptr<const subject_filter> filter_;
  const wall_ms created_at_;
  seq_no next_;
  seq_no last_delivered_;
  seq_no floor_min_;
  uint64_t dropped_ = 0;
  pending_set pending_;
  std::vector<dying_message> dying_;  // those of them that are dying still, and more
  parked_set parked_;
  subject_room subjects_;
  bool subjects_known_ = true;
  consumer_delta delta_;
  bool whole_ = false;
  bool moved_ = false;             // next_ is not journaled
  std::vector<seq_no> exhausted_;  // kept for its memory
};

}  // namespace weir
