// The broker's own bytes: what its `state` journal entries, its snapshots and its stream labels hold.
//
// Opaque to storage, which checksums them. All numbers are LEB128 varints unless noted, texts and blocks carry their
// length in front. Blocks may grow at the end: a reader of this version skips what it does not know in a block; another
// version byte is refused. Decoders never crash and never allocate more than the bytes could mean.
//
//   entry     u8 version = 1, u8 kind, then by kind
//     1 stream_created    stream block
//     2 stream_deleted    nothing
//     3 stream_updated    stream block
//     4 consumer_state    consumer block: creation, or the whole state when a delta would be longer
//     5 consumer_deleted  number
//     6 consumer_progress number, next, dropped, runs (delivered since), count, count x seq (acknowledged), and, if any
//             was given up, dying, parked
//     7 consumer_settings consumer block of which only config and paused_until_ms count
//     8 message_extras    flag scheduled, first seq, count, count x { index (seq - first), text message id (empty:
//             none), signed time of the publish (0 without id), signed expires_at (0: never) }; one journal group with
//             the records it speaks of
//     9 ids_forgotten     flag scheduled, seq (ids of live messages below it), count, count x seq; one journal group
//             with the removal
//    10 schedule_created  stream id of the schedule's log
//   stream    block { signed created_at_ms, text name, count x filter text, u8 policy, max_age_ms, max_msgs, max_bytes
//             (0 = none), flag strict, block_size, max_msg_bytes, flag ephemeral, max_msgs_per_subject, u8 level, count
//             x metadata (text key, text value), flag discard_new, flag discard_new_per_subject, dedup_window_ms }; the
//             last three were added later
//   consumer  block { number, signed created_at_ms, text name, text filter, u8 policy, start_seq, signed start_time_ms,
//             ack_wait_ms, max_deliver, text deliver_group, text dead_letter_subject, next, last_delivered, dropped,
//             runs (pending), count x filter text (filter_subjects), flag unlimited_deliver, count x backoff ms,
//             max_ack_pending, max_ack_pending_per_subject, inactive_ms, signed paused_until_ms (0 = not), floor_min,
//             dying, parked }; of an older version it ends after the runs
//   runs      count, count x { signed (first - end of the run before), length, deliveries }; of 0 deliveries is what is
//             held back, or due as if for the first time
//   dying     count, count x { seq, u8 reason }: given up, the dead letter is still to be written
//   parked    count, count x { seq, signed parked_at_ms, u8 reason }
//   snapshot  u8 version = 2, next stream id, count x id of deleted streams whose log may still be there, count x
//             { stream id, stream block, next consumer number, count x consumer block, extras block }; version 1 is
//             read too and has no extras blocks
//   extras    block, empty if there is nothing to say { schedule's stream id (0: none), ids of messages, ids of
//             scheduled messages, count x { seq - the one before, signed expires_at - the one before } }
//   ids       count, count x { seq - the one before, signed time of the publish - the one before, text id }
//   label     u8 version = 1, stream block; of a schedule's log u8 version = 2, stream id, stream block
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "broker/state_blocks.h"
#include "storage/result.h"

namespace weir {

struct stream_created {
  stream_record stream;
};
struct stream_deleted {};
struct stream_updated {
  stream_record stream;
};
struct consumer_state {
  consumer_record consumer;
};
struct consumer_deleted {
  uint32_t number = 0;
};
struct consumer_progress {
  uint32_t number = 0;
  seq_no next;
  uint64_t dropped = 0;
  consumer_delta delta;
};
struct consumer_settings {
  consumer_record consumer;
};
// What the records of a run do not say themselves.
struct message_extras {
  struct item {
    uint32_t index = 0;  // in the run
    std::string id;
    wall_ms published_at;
    wall_ms expires_at;  // 0: never
  };
  bool scheduled = false;
  seq_no first;
  std::vector<item> items;
};
struct ids_forgotten {
  bool scheduled = false;
  seq_no below;
  std::vector<seq_no> seqs;  // rising
};
struct schedule_created {
  stream_id log;
};
using state_entry = std::variant<stream_created, stream_deleted, stream_updated, consumer_state, consumer_deleted,
                                 consumer_progress, consumer_settings, message_extras, ids_forgotten, schedule_created>;

struct stream_snapshot {
  stream_id id;
  stream_record stream;
  uint32_t next_consumer = 1;
  std::vector<consumer_record> consumers;
  std::string extras;  // encode_extras()
};
struct shard_snapshot {
  uint64_t next_stream = 1;
  std::vector<stream_id> leaving;
  std::vector<stream_snapshot> streams;
};

std::string encode_entry(const state_entry& entry);
// Replaces `out`: what consumer::unjournaled() says, as consumer_progress or consumer_state. The hot path of acks.
void encode_progress(std::string& out, const consumer& from);
consumer_record record_of(const consumer& from);
std::string encode_shard(const shard_snapshot& state);
std::string encode_label(const stream_record& stream);
std::string encode_schedule_label(stream_id of, const stream_record& stream);

// data_loss: not what an encoder wrote, or of another version.
result<state_entry> decode_entry(byte_span bytes);
result<shard_snapshot> decode_shard(byte_span bytes);
result<stream_record> decode_label(byte_span bytes);
// Whose schedule the log is; nothing: it is not one.
struct schedule_owner {
  stream_id id;
  stream_record stream;
};
std::optional<schedule_owner> decode_schedule_label(byte_span bytes);

}  // namespace weir
