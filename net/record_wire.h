// Answers made of stored records, which are sent as they lie on disk: FetchResponse and its like, SubscribeEvent.
#pragma once

#include <string>
#include <string_view>

#include "broker/types.h"
#include "net/call_context.h"
#include "storage/result.h"

namespace weir {

// success and result_code "ok", how every response begins.
inline constexpr std::string_view success_head("\x08\x01\x12\x02ok", 6);

// Messages of a response under construction. Records that lie one after the other are sent from there as one piece, and
// so are large ones; small pieces are copied together.
class message_run {
 public:
  explicit message_run(reply& out) : out_(out), text_(&out.head) {}
  message_run(const message_run&) = delete;

  // One element of field 4 of the response, as stored.
  void add_stored(const slice& record);
  // The same with another delivery count; 0 = none. internal: the bytes cannot be taken apart.
  result<void> add_reencoded(const found_record& record, uint32_t deliver_count);
  // For bytes of the caller's own; valid until the next call.
  std::string& text();
  // Call once, at the end.
  void finish();

 private:
  void add_pending();
  void close_text();

  reply& out_;
  slice pending_;      // stored records that lie together, not yet added
  std::string* text_;  // where copies go: the head, later `more_`
  std::string more_;
};

// A successful waymaker.streams.FetchResponse; or a weir.v1.ConsumeBatch, with what it confirms (0: nothing).
result<reply> encode_fetched(const fetch_outcome& fetched, uint64_t confirmed = 0);

// waymaker.streams.SubscribeEvent with a message, or with its end.
result<reply> encode_event(const delivery& pushed);
reply encode_stopped(std::string_view reason);

}  // namespace weir
