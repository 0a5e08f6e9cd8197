// The hot messages by hand: waymaker.streams.PublishRequest, weir.v1.PublishAllRequest and weir.v1.PublishBatch in,
// PublishResponse and PublishBatchAck out.
//
// A decoded request points into the request's bytes; only headers that do not stand together are gathered in a string
// of its own. What protobuf accepts is accepted (fields in any order, the last of a repeated single field, unknown
// fields skipped); text is not checked for UTF-8 here, the broker does where it matters.
#pragma once

#include <deque>
#include <string>

#include "broker/shard.h"
#include "net/call_context.h"

namespace weir {

struct decoded_publish {
  publish_request request;
  std::string gathered_headers;  // what request.headers may point to: do not move
};

// False: not a PublishRequest.
bool decode_publish(byte_span bytes, decoded_publish& into);

// Stops after one message more than messages_max: then there are too many. False: not a PublishAllRequest.
bool decode_publish_all(byte_span bytes, size_t messages_max, std::deque<decoded_publish>& into);

// A frame of the fast lane. Its vectors keep their memory from frame to frame.
struct decoded_batch {
  std::string_view stream;
  uint64_t frame = 0;
  bool atomic = false;
  std::vector<publish_request> records;      // .stream is not set
  std::deque<std::string> gathered_headers;  // what a record's headers may point to
};

// Forgets what was decoded before. Stops after one record more than records_max: then there are too many. False: not a
// PublishBatch.
bool decode_publish_batch(byte_span bytes, size_t records_max, decoded_batch& into);

reply encode_published(const published& done);

// What a client should keep to; told once a call.
struct publish_limits {
  size_t frame_bytes_max = 0;
  uint32_t frame_messages_max = 0;
  size_t inflight_bytes_max = 0;
  uint32_t inflight_frames_max = 0;
};
// The answer to a frame of the fast lane. `limits` may be null.
reply encode_batch_ack(uint64_t frame, const result<batch_outcome>& outcome, const publish_limits* limits);

}  // namespace weir
