// The two hot messages by hand: waymaker.streams PublishRequest in, PublishResponse and FetchResponse out.
//
// A decoded request points into the request's bytes; only headers that do not stand together are gathered in a string
// of its own. What protobuf accepts is accepted (fields in any order, the last of a repeated single field, unknown
// fields skipped); text is not checked for UTF-8 here, the broker does where it matters.
#pragma once

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

reply encode_published(seq_no seq);

// Messages of a response under construction: small records are copied together, large ones sent from where they lie.
class message_run {
 public:
  explicit message_run(reply& out) : out_(out), text_(&out.head) {}
  message_run(const message_run&) = delete;

  // One element `messages` (field 4) of the response, as stored.
  void add_stored(const slice& record);
  // For bytes of the caller's own; valid until the next call.
  std::string& text() { return *text_; }
  // Call once, at the end.
  void finish();

 private:
  void close_text();

  reply& out_;
  std::string* text_;  // where copies go: the head, later `more_`
  std::string more_;
};

}  // namespace weir
