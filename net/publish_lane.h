// publish_lane: one call of weir.v1.Broker.Publish. Frames are placed in the order they come, each when the one before
// is placed, and answered in that order when they are safe; meanwhile the next ones are read.
//
// Lives in the handler's coroutine, on the call's reactor. What a frame holds is copied into the log when it is placed;
// until its answer is written it counts against the limits, and over them nothing more is read: a client that sends
// without reading is held back by HTTP/2.
#pragma once

#include <deque>
#include <string>

#include "net/publish_wire.h"
#include "net/shard_map.h"
#include "net/wake_up.h"

namespace weir {

class publish_lane {
 public:
  publish_lane(reactor& here, const shard_map& shards, const publish_limits& limits, rpc_stream& call)
      : here_(here), shards_(shards), limits_(limits), call_(call) {}
  publish_lane(const publish_lane&) = delete;

  // Until the client has sent its last, or the server stops, and everything is answered; or until the client is gone.
  // An error ends the call.
  task<result<void>> run();

 private:
  struct placed_frame {
    uint64_t frame = 0;
    size_t bytes = 0;
    const shard_place* where = nullptr;
    result<batch_outcome> outcome;
  };

  task<result<void>> take_frames();
  task<result<batch_outcome>> place(const shard_place& where);
  bool over_limits() const;

  task<void> answer();
  // Waits until the oldest frame is safe, or fails.
  task<void> await_oldest();
  bool is_safe(const placed_frame& one) const;
  // Writes the answers that can be given now. False: the client is gone.
  task<bool> write_answers();

  reactor& here_;
  const shard_map& shards_;
  const publish_limits& limits_;
  rpc_stream& call_;

  std::string stream_;  // of the last frame that named one
  decoded_batch decoded_;
  std::deque<placed_frame> unanswered_;
  size_t unanswered_bytes_ = 0;
  bool told_limits_ = false;
  bool taken_all_ = false;  // no more frames come
  bool over_ = false;       // nobody takes answers any more
  wake_up frame_placed_;
  wake_up frame_answered_;

  // How far the shard that was asked last has come.
  const shard_place* asked_ = nullptr;
  durability safe_level_ = durability::memory;
  lsn safe_end_;
};

}  // namespace weir
