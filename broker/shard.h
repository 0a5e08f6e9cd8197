// One shard: the streams whose names fall to it, their consumers, their store. What net calls; a stream's every
// operation runs on its shard's thread.
//
// Owned by its reactor; borrows the ports, which outlive it. Tasks resolve when what they promise holds: a change when
// it is durable at the stream's level (DESIGN section 4), a read when everything it shows is durable. Errors are codes
// of storage/errors.h; on any error state is unchanged (but storage_failed: outcome unknown). Requests may be alive
// while stop() runs; they end with `unavailable`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/limits.h"
#include "broker/ports.h"
#include "broker/subscription.h"
#include "broker/types.h"
#include "storage/lane.h"
#include "storage/store.h"
#include "storage/task.h"

namespace weir {

// The shard a stream belongs to: a pure function of its name, the same for ever (it is part of the data format).
uint32_t shard_of(std::string_view stream_name, uint32_t shard_count);

struct shard_ports {
  disk& where;
  lane& commits;
  lane& pool;
  clock_port& clock;
  timers& deadlines;
  event_sink& events;
};

struct scan_query {
  std::string stream;
  std::string subject;
  uint64_t from_seq = 0;
  uint64_t limit = 0;  // 0 = default_scan_limit
};

// Numbers for /metrics.
struct shard_metrics {
  uint64_t streams = 0;
  uint64_t consumers = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;
  uint64_t published = 0;
  uint64_t delivered = 0;
  uint64_t acked = 0;
  uint64_t pruned = 0;
  uint64_t damaged_records = 0;
  uint64_t redelivered = 0;    // of delivered: not the first time
  uint64_t dead_lettered = 0;  // given up, a copy published
  uint64_t duplicates = 0;     // publishes of a message id that was known
  // Sums of what every consumer_info and stream_info says now.
  uint64_t pending = 0;
  uint64_t parked = 0;
  uint64_t waiting = 0;
  uint64_t scheduled = 0;
  journal_stats journal;
  bool failed = false;
  bool full = false;
};

// The same of one consumer.
struct consumer_metrics {
  std::string stream;
  std::string consumer;
  uint64_t lag = 0;
  uint64_t pending = 0;
  uint64_t parked = 0;
  blocked_by blocked = blocked_by::nothing;
};

class shard {
 public:
  // Blocking: recovers the shard's directory `dir` on the disk before anything is served.
  static result<std::unique_ptr<shard>> open(const shard_ports& ports, std::string dir, const broker_limits& limits,
                                             const store_config& storage);
  virtual ~shard() = default;

  virtual task<result<stream_info>> create_stream(stream_config config) = 0;
  virtual task<result<void>> delete_stream(std::string name) = 0;
  virtual task<result<stream_info>> get_stream(std::string name) = 0;
  virtual task<result<std::vector<std::string>>> list_streams() = 0;  // sorted
  virtual task<result<update_outcome>> update_stream(stream_update update) = 0;

  // The views in the request outlive the task. Unless it must wait for room the record is copied before the first
  // suspension.
  virtual task<result<published>> publish(publish_request request) = 0;
  // All of them with consecutive sequences, or none; resolves with the first sequence. The requests name the same
  // stream; their views outlive the task.
  virtual task<result<seq_no>> publish_all(std::vector<publish_request> run) = 0;
  // A frame of the fast lane: each record for itself, in order, or atomic as publish_all(). Resolves when they are
  // placed; nothing of it may be told before batch_safe() resolved. The records name the same stream and are needed
  // until this resolves. Frames keep their order when each is placed before the next. An error: nothing was stored.
  virtual task<result<batch_outcome>> place_batch(const std::vector<publish_request>& records, bool atomic) = 0;
  // Resolves when everything placed up to `end` is as safe as the level says; tells how far that is by now.
  virtual task<result<lsn>> batch_safe(durability level, lsn end) = 0;
  // nullopt: nothing at that subject.
  virtual task<result<std::optional<found_record>>> read_latest(std::string stream, std::string subject) = 0;
  virtual task<result<std::vector<std::string>>> list_subjects(std::string stream, std::string prefix) = 0;
  virtual task<result<scan_result>> scan_subject(scan_query query) = 0;
  // nullopt: no live message of that sequence. data_loss: it cannot be read.
  virtual task<result<std::optional<found_record>>> get_message(std::string stream, seq_no seq) = 0;
  // True if it was there.
  virtual task<result<bool>> delete_message(std::string stream, seq_no seq) = 0;
  // Resolves with how many messages went.
  virtual task<result<uint64_t>> purge(purge_request request) = 0;

  virtual task<result<consumer_info>> create_consumer(std::string stream, consumer_config config) = 0;
  virtual task<result<void>> delete_consumer(std::string stream, std::string consumer) = 0;
  virtual task<result<std::vector<consumer_info>>> list_consumers(std::string stream) = 0;
  virtual task<result<consumer_info>> get_consumer(std::string stream, std::string consumer) = 0;
  // At most batch_size messages (0 = 1), at once: an empty answer means nothing is there now.
  virtual task<result<fetch_outcome>> fetch(std::string stream, std::string consumer, uint32_t batch_size) = 0;
  // Of a message that is not pending: succeeds and changes nothing (DESIGN section 5).
  virtual task<result<void>> ack(std::string stream, std::string consumer, seq_no seq) = 0;
  // Those of `seqs`, and everything delivered up to `up_to`, that is pending; resolves with how many that were.
  virtual task<result<uint64_t>> ack_many(std::string stream, std::string consumer, std::vector<seq_no> seqs,
                                          seq_no up_to) = 0;
  // Due again, at once or after the delay. Of a message that is not pending: succeeds and changes nothing; so do term()
  // and in_progress().
  virtual task<result<void>> nak(std::string stream, std::string consumer, seq_no seq, uint64_t delay_ms) = 0;
  // Given up: dead-lettered or parked.
  virtual task<result<void>> term(std::string stream, std::string consumer, seq_no seq) = 0;
  // The whole wait again.
  virtual task<result<void>> in_progress(std::string stream, std::string consumer, seq_no seq) = 0;
  // Push delivery: see broker/subscription.h.
  virtual task<result<std::shared_ptr<subscription>>> subscribe(std::string stream, std::string consumer) = 0;

  virtual task<result<consumer_info>> update_consumer(consumer_update update) = 0;
  // Until then, by the wall clock as it is believed (clock_guard.h), nothing is delivered; then it is over for good, if
  // the clock goes back too. A time that has passed: go on now.
  virtual task<result<void>> pause_consumer(std::string stream, std::string consumer, wall_ms until) = 0;
  virtual task<result<void>> reset_consumer(std::string stream, std::string consumer, reset_target to) = 0;
  virtual task<result<parked_page>> list_parked(std::string stream, std::string consumer, seq_no from,
                                                uint32_t limit) = 0;
  // Empty `seqs`: all. Requeued ones are delivered again, from attempt 1; purged ones are forgotten, and removed from a
  // work queue. Resolve with how many.
  virtual task<result<uint64_t>> requeue_parked(std::string stream, std::string consumer, std::vector<seq_no> seqs) = 0;
  virtual task<result<uint64_t>> purge_parked(std::string stream, std::string consumer, std::vector<seq_no> seqs) = 0;

  // End of the reactor's turn: hands the commit group over.
  virtual void end_of_turn() = 0;
  // Of the commit group that has not been handed over.
  virtual size_t gathered_bytes() const = 0;
  virtual shard_metrics metrics() const = 0;
  // Of so many consumers at most; metrics().consumers tells how many there are.
  virtual std::vector<consumer_metrics> metrics_of_consumers(size_t consumers_max) const = 0;
  virtual const recovery_report& recovery() const = 0;
  // Refuses new requests, waits for those under way, checkpoints, syncs. The last call; end_of_turn() goes on being
  // called until it resolves.
  virtual task<result<void>> stop() = 0;
};

}  // namespace weir
