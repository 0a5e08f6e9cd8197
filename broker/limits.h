// Every limit and default of the broker, with its name. What is over a limit gets a clear error that names it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

// Defaults of the reference (003).
inline constexpr uint64_t default_block_size = 100'000;
inline constexpr uint64_t default_ack_wait_ms = 30'000;
inline constexpr uint32_t default_max_deliver = 5;
inline constexpr uint64_t default_scan_limit = 1'000;
inline constexpr uint32_t default_subscribe_batch = 16;
// Defaults of our additions.
inline constexpr uint64_t default_dedup_window_ms = 120'000;

// Fixed limits: they are in stored formats or in what a client may rely on.
inline constexpr size_t name_bytes_max = 255;
inline constexpr size_t subject_filters_max = 64;
inline constexpr uint64_t block_size_max = 10'000'000;
inline constexpr size_t metadata_entries_max = 64;
inline constexpr size_t metadata_bytes_max = 16 << 10;
inline constexpr uint64_t duration_ms_max = 100ull * 365 * 24 * 3600 * 1000;  // a hundred years: sums never overflow
inline constexpr size_t backoff_entries_max = 64;
inline constexpr size_t message_id_bytes_max = 255;

// Limits an operator may set (weir-server --config).
struct broker_limits {
  size_t payload_bytes_max = 8u << 20;
  size_t headers_max = 64;              // headers of one message
  size_t header_bytes_max = 16u << 10;  // keys and values of one message together
  size_t streams_max = 100'000;         // a shard
  size_t consumers_max = 1'000;         // a stream
  uint32_t fetch_messages_max = 10'000;
  // A response; a first message larger than this is still delivered. Below the 4 MiB that clients take by default.
  size_t fetch_bytes_max = (4u << 20) - (64u << 10);
  uint64_t pending_max = 1'000'000;       // of one consumer; also what max_ack_pending = 0 means
  size_t held_back_max = 10'000;          // of one consumer, by max_ack_pending_per_subject
  size_t parked_max = 100'000;            // of one consumer; more than that on work queues only
  size_t parked_listed_max = 1'000;       // a page
  uint32_t subscribe_batch_max = 1'024;   // messages a subscription has in hand
  size_t subscribe_bytes_max = 1u << 20;  // the same in bytes; a first message larger than this is still delivered
  uint32_t consume_batch_max = 4'096;     // messages of a ConsumeBatch
  size_t dedup_ids_max = 100'000;         // newest message ids remembered, a stream, and of its scheduled messages
  size_t scheduled_max = 1'000'000;       // messages to be delivered later, a stream
  size_t atomic_messages_max = 1'000;     // of one atomic publish
  size_t atomic_bytes_max = 4u << 20;     // as stored
  uint32_t batch_messages_max = 10'000;   // records of one frame of the fast lane
  uint64_t scan_messages_max = 10'000;
  size_t subjects_listed_max = 100'000;
  uint64_t retention_sweep_ms = 5'000;
  size_t metrics_consumers_max = 1'000;  // consumers with lines of their own in /metrics, a shard
  size_t watch_events_buffered = 1'024;  // a watcher further behind gets lagged_count
};

}  // namespace weir
