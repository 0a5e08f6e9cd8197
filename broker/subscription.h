// One client that waits for the messages of one consumer: a Subscribe call, or a Fetch with max_wait_ms.
//
// Made by shard::subscribe(); lives on the shard's thread, every call is made there. Holds what it needs of the shard:
// next() resolves with `unavailable` once the shard stops. The last call is end(); dropping the reference ends it too.
//
// What next() handed out is pending and has no deadline until sent() says that it went on the wire (field-notes 2.16:
// ack_wait must not run while a message queues). What was handed out and not sent when it ends is due again at once,
// and that delivery does not count as an attempt. Source: reference 003, Subscribe.
#pragma once

#include <optional>

#include "broker/types.h"
#include "storage/result.h"
#include "storage/task.h"

namespace weir {

class subscription {
 public:
  virtual ~subscription() = default;

  // At least one message (or a damaged sequence), as soon as there is one; nothing if there is none within wait_ms
  // (0: at once; absent: waits for ever). One at a time. no_such_consumer, no_such_stream: deleted meanwhile.
  // unavailable: the shard stops, or end() was called.
  virtual task<result<fetch_outcome>> next(uint32_t messages_max, size_t bytes_max,
                                           std::optional<uint64_t> wait_ms) = 0;
  // So many of the last next()'s deliveries, counted from its first, went on the wire: their wait begins. Never falls
  // between two next().
  virtual void sent(size_t deliveries) = 0;
  // Resolves a waiting next(). Idempotent.
  virtual void end() = 0;
};

}  // namespace weir
