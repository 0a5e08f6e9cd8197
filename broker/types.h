// The plain structs of the broker: what a request asks and what an answer says. No protobuf here; net translates.
//
// Source: the messages of reference 003 (waymaker.streams); limits from DESIGN sections 5 and 8.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/ids.h"
#include "storage/record.h"
#include "storage/result.h"
#include "storage/stream_log.h"
#include "storage/time.h"

namespace weir {

// What a publish ack means (DESIGN section 4).
enum class durability : uint8_t { memory = 1, written = 2, fsync = 3, replicated = 4, durable = 5 };

enum class retention_policy : uint8_t { limits = 0, work_queue = 1, interest = 2 };

// Bounds of Limits retention; absent means no bound. A bound of 0 means the same.
struct retention_limits {
  std::optional<uint64_t> max_age_ms;
  std::optional<uint64_t> max_msgs;
  std::optional<uint64_t> max_bytes;
  bool strict = false;  // exact per message; otherwise whole blocks of block_size messages
  bool operator==(const retention_limits&) const = default;
};

struct stream_config {
  std::string name;
  std::vector<std::string> subjects_filter;  // empty: every subject
  retention_policy policy = retention_policy::limits;
  retention_limits limits;
  uint64_t block_size = 0;     // messages a block; 0 = default_block_size; the effective value once created
  uint64_t max_msg_bytes = 0;  // payload plus headers; 0 = no cap of the stream's own
  bool ephemeral = false;
  uint64_t max_msgs_per_subject = 0;
  std::optional<durability> level;  // absent: memory for ephemeral streams, else fsync
  std::map<std::string, std::string> metadata;
  bool discard_new = false;  // over max_msgs or max_bytes: refuse the publish instead of dropping the oldest
  bool discard_new_per_subject = false;  // the same for max_msgs_per_subject
  uint64_t dedup_window_ms = 0;          // 0 = default_dedup_window_ms; the effective value once created
  bool has_sources = false;              // sources were given: a feature of a later version
  bool operator==(const stream_config&) const = default;
};

// Partial update: what is absent stays; 0 clears a bound.
struct stream_update {
  std::string name;
  std::optional<uint64_t> max_age_ms;
  std::optional<uint64_t> max_msgs;
  std::optional<uint64_t> max_bytes;
  std::optional<uint64_t> max_msg_bytes;
  std::optional<bool> strict_limits;
};

struct stream_stats {
  uint64_t last_seq = 0;
  uint64_t msg_count = 0;
  uint64_t bytes = 0;
  uint64_t block_count = 0;  // logical blocks of block_size messages, from the first live to the last message
  uint64_t first_block = 0;
};

struct stream_info {
  stream_config config;
  stream_stats stats;
  uint64_t damaged_records = 0;
  uint64_t scheduled = 0;  // accepted, to be delivered later
};

struct update_outcome {
  stream_config config;
  uint64_t pruned = 0;
};

// One message to store. The views outlive the task that publishes it.
struct publish_request {
  std::string_view stream;
  std::string_view subject;
  byte_span payload;
  byte_span headers;                          // encoded elements, as in record_fields; well-formedness is checked here
  int64_t ts_ms = 0;                          // 0 = the broker's clock
  std::optional<uint64_t> expected_last_seq;  // of the subject; 0 = never published to
  std::string_view message_id;                // empty: none; known within the dedup window: stored once
  uint64_t ttl_ms = 0;                        // removed so long after it was appended; 0 = never
  int64_t deliver_at_ms = 0;                  // becomes a message then; 0 or past = now
};

struct published {
  seq_no seq;              // of the original, if duplicate; 0 if scheduled
  bool duplicate = false;  // this message id was published before
  bool scheduled = false;
};

// What became of the records of one frame of the fast lane.
struct batch_outcome {
  struct failure {
    uint32_t index;  // in the frame
    error why;
  };
  seq_no first;  // of what was stored
  uint32_t stored = 0;
  std::vector<failure> failed;  // in order
  // One a record, unless what was stored has consecutive sequences from `first` on and nothing else was accepted.
  std::vector<published> each;
  // What shard::batch_safe() waits for.
  durability level = durability::memory;
  lsn end;
};

enum class delivery_policy : uint8_t { all = 0, last = 1, by_start_seq = 2, by_start_time = 3 };

struct consumer_config {
  std::string name;
  std::string filter_subject;  // empty: all
  delivery_policy policy = delivery_policy::all;
  uint64_t start_seq = 0;
  int64_t start_time_ms = 0;
  uint64_t ack_wait_ms = 0;  // 0 = default_ack_wait_ms; the effective value once created
  uint32_t max_deliver = 0;  // 0 = default_max_deliver
  std::string deliver_group;
  std::string dead_letter_subject;
  std::vector<std::string> filter_subjects;  // instead of filter_subject
  bool unlimited_deliver = false;            // no max_deliver
  std::vector<uint64_t> backoff_ms;  // wait after the n-th delivery, the last one repeats; instead of ack_wait_ms
  uint64_t max_ack_pending = 0;      // 0 = pending_max
  uint32_t max_ack_pending_per_subject = 0;  // 0 = no bound; 1 = ordered work per key
  // Deleted after so long without use; 0 = never. An open subscription is use, and every request about the consumer,
  // refused or not, but lists.
  uint64_t inactive_ms = 0;
  bool operator==(const consumer_config&) const = default;
};

// Partial update: what is absent stays.
struct consumer_update {
  std::string stream;
  std::string consumer;
  std::optional<std::string> filter_subject;
  std::optional<std::vector<std::string>> filter_subjects;
  std::optional<uint64_t> ack_wait_ms;
  std::optional<std::vector<uint64_t>> backoff_ms;
  std::optional<uint32_t> max_deliver;
  std::optional<bool> unlimited_deliver;
  std::optional<std::string> dead_letter_subject;
  std::optional<uint64_t> max_ack_pending;
  std::optional<uint32_t> max_ack_pending_per_subject;
  std::optional<uint64_t> inactive_ms;
};

// Where ResetConsumer moves a consumer to: exactly one of the two.
struct reset_target {
  std::optional<uint64_t> seq;
  std::optional<wall_ms> time;
};

// Why a consumer gets nothing now.
enum class blocked_by : uint8_t {
  nothing,  // something can be delivered
  paused,
  max_ack_pending,
  max_ack_pending_per_subject,
  no_match,   // what is left matches no filter
  caught_up,  // nothing is left
};

enum class park_reason : uint8_t { max_deliver = 1, term = 2 };

// A message its consumer gave up on.
struct parked_message {
  seq_no seq;
  wall_ms parked_at;
  park_reason reason = park_reason::max_deliver;
};

struct parked_page {
  struct item {
    parked_message parked;
    std::optional<found_record> record;  // absent: cannot be read
  };
  std::vector<item> items;  // in order of sequence
  uint64_t total = 0;       // of all, not only of those listed
};

// Bounds narrow each other; none at all = every message.
struct purge_request {
  std::string stream;
  std::string subject;     // literal or pattern; empty = every subject
  uint64_t up_to_seq = 0;  // last sequence that may go; 0 = no bound
  uint64_t keep = 0;       // the newest that match and stay
};

struct consumer_info {
  consumer_config config;
  uint64_t ack_floor = 0;
  uint64_t last_delivered = 0;
  int64_t created_at_ms = 0;
  uint64_t redelivered_dropped = 0;  // given up after max_deliver attempts
  uint64_t pending = 0;              // delivered, not acknowledged; those held back too
  uint64_t held = 0;                 // of those: held back by max_ack_pending_per_subject
  uint64_t parked = 0;               // given up and kept
  uint64_t lag = 0;                  // last sequence - max(ack floor, first sequence - 1)
  uint64_t waiting = 0;              // fetches and subscriptions that wait for messages
  int64_t paused_until_ms = 0;       // 0 = not paused
  blocked_by blocked = blocked_by::nothing;
};

struct delivery {
  found_record record;
  uint32_t deliver_count = 1;
};

struct fetch_outcome {
  std::vector<delivery> deliveries;
  std::vector<seq_no> damaged;
};

// What WatchStreams tells (reference 003, WatchEventType).
enum class watch_kind : uint8_t {
  stream_created = 1,
  stream_deleted = 2,
  stream_updated = 3,
  consumer_created = 4,
  consumer_deleted = 5,
};

struct watch_event {
  watch_kind kind;
  wall_ms time;
  std::string stream;
  std::string consumer;  // consumer events only
};

}  // namespace weir
