// One consumer: where it is in its stream, what it has out, what is still to be journaled about that.
//
// Owned by its stream, shared with the requests that are looking at it (local_ref). Knows nothing of logs, waiting or
// clocks: the shard reads messages and tells the consumer what was delivered. Every message below `next` was delivered
// once or did not concern this consumer; those delivered and not acknowledged are in `pending`.
//
// After a restart every pending message gets its full ack_wait again: its worker may still be alive.
#pragma once

#include <string>
#include <vector>

#include "broker/local_ref.h"
#include "broker/pending.h"
#include "broker/types.h"
#include "broker/waiting.h"
#include "storage/subject.h"

namespace weir {

// What changed since the last journal entry about a consumer (state_codec writes it).
struct consumer_delta {
  struct run {
    seq_no first;
    uint64_t length = 0;
    uint32_t deliveries = 0;
  };
  std::vector<run> delivered;  // in any order
  std::vector<seq_no> gone;    // acknowledged or given up
  bool empty() const { return delivered.empty() && gone.empty(); }
  void clear() {
    delivered.clear();
    gone.clear();
  }
};

class consumer final : public local_counted {
 public:
  consumer(uint32_t number, consumer_config config, wall_ms created_at, seq_no start);

  uint32_t number() const { return number_; }
  const consumer_config& config() const { return config_; }
  const subject_filter& filter() const { return filter_; }
  wall_ms created_at() const { return created_at_; }
  seq_no next() const { return next_; }
  seq_no last_delivered() const { return last_delivered_; }
  uint64_t dropped() const { return dropped_; }
  const pending_set& pending() const { return pending_; }

  // Highest sequence at and below which everything is acknowledged, gone or not for this consumer. `next_live`: the
  // lowest live sequence at or after next().
  seq_no ack_floor(seq_no next_live) const;

  // Redelivery becomes possible for what is past its ack_wait; what is out of attempts is dropped and counted.
  void expire(mono_ns now);
  std::optional<pending_set::entry> take_due() { return pending_.take_due(); }
  // The same if the next one is `wanted`.
  bool take_due_if(seq_no wanted);
  void make_due(seq_no seq) { pending_.make_due(seq); }

  // A message goes out (again); returns which attempt this is.
  uint32_t delivered(seq_no seq, mono_ns now);
  // Everything below `next` was looked at. Never goes back.
  void advance(seq_no next);
  // nullopt: was not pending.
  std::optional<pending_set::entry> acknowledge(seq_no seq);
  // Undoes an acknowledge() that never became durable.
  void restore(const pending_set::entry& entry) { pending_.put(entry.seq, entry.deliveries, entry.deadline); }
  // Removed from the stream or unreadable: leaves the pending set, is not an acknowledgement.
  void forget(seq_no seq) { pending_.erase(seq); }
  void forget_before(seq_no first_kept) { pending_.erase_before(first_kept); }

  // Bytes encode_progress() may take for what is unjournaled and one acknowledgement more (a bound, if
  // !journal_whole()).
  size_t progress_bytes_max() const;
  // What the journal does not know yet.
  const consumer_delta& unjournaled() const { return delta_; }
  bool dirty() const { return moved_ || whole_ || !delta_.empty(); }
  // So much that the whole state is the shorter entry.
  bool journal_whole() const { return whole_; }
  void journaled();

  // Rebuilding from the journal or a snapshot.
  void load(seq_no next, seq_no last_delivered, uint64_t dropped);
  void load_pending(seq_no seq, uint32_t deliveries, mono_ns now);
  void load_gone(seq_no seq) { pending_.erase(seq); }

  turn fetching;    // one fetch reads at a time
  lsn created_end;  // end of the journal entry that made it
  lsn changed_end;  // end of the last journal entry about its state
  // The highest ack floor that was shown or recovered: certainly on disk, so the one to show once the disk has failed.
  seq_no sure_floor;
  bool deleted = false;

 private:
  mono_ns deadline_from(mono_ns now) const;
  void limit_delta();

  const uint32_t number_;  // within its stream, never used again
  const consumer_config config_;
  const subject_filter filter_;
  const wall_ms created_at_;
  seq_no next_;
  seq_no last_delivered_;
  uint64_t dropped_ = 0;
  pending_set pending_;
  consumer_delta delta_;
  bool whole_ = false;
  bool moved_ = false;             // next_ is not journaled
  std::vector<seq_no> exhausted_;  // kept for its memory
};

}  // namespace weir
