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

struct published {
  seq_no seq;
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
  journal_stats journal;
  bool failed = false;
  bool full = false;
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
  // nullopt: nothing at that subject.
  virtual task<result<std::optional<found_record>>> read_latest(std::string stream, std::string subject) = 0;
  virtual task<result<std::vector<std::string>>> list_subjects(std::string stream, std::string prefix) = 0;
  virtual task<result<scan_result>> scan_subject(scan_query query) = 0;

  virtual task<result<consumer_info>> create_consumer(std::string stream, consumer_config config) = 0;
  virtual task<result<void>> delete_consumer(std::string stream, std::string consumer) = 0;
  virtual task<result<std::vector<consumer_info>>> list_consumers(std::string stream) = 0;
  virtual task<result<consumer_info>> get_consumer(std::string stream, std::string consumer) = 0;
  // At most batch_size messages (0 = 1), at once: an empty answer means nothing is there now.
  virtual task<result<fetch_outcome>> fetch(std::string stream, std::string consumer, uint32_t batch_size) = 0;
  // Of a message that is not pending: succeeds and changes nothing (DESIGN section 5).
  virtual task<result<void>> ack(std::string stream, std::string consumer, seq_no seq) = 0;

  // End of the reactor's turn: hands the commit group over.
  virtual void end_of_turn() = 0;
  virtual shard_metrics metrics() const = 0;
  virtual const recovery_report& recovery() const = 0;
  // Refuses new requests, waits for those under way, checkpoints, syncs. The last call; end_of_turn() goes on being
  // called until it resolves.
  virtual task<result<void>> stop() = 0;
};

}  // namespace weir
