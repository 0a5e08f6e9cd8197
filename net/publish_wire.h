// The hot messages by hand: waymaker.streams.PublishRequest and weir.v1.PublishAllRequest in, PublishResponse out.
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

reply encode_published(const published& done);

}  // namespace weir
