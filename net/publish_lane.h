// publish_lane: one call of weir.v1.Broker.Publish. Frames are read, placed in the order they came, and answered in
// that order when they are safe: three coroutines side by side. What was read while the ones before were on their way
// to another core goes there together: on a busy call a crossing carries many frames.
//
// Lives in the handler's coroutine, on the call's reactor. What a frame holds is copied into the log when it is placed;
// from when it is read until its answer is written it counts against the limits, and over them nothing more is read: a
// client that sends without reading is held back by HTTP/2.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  struct read_frame {
    std::unique_ptr<decoded_batch> decoded;  // points into the message, and to the name
    std::unique_ptr<held_message> message;
    std::shared_ptr<const std::string> stream;
    size_t bytes = 0;
    const shard_place* where = nullptr;
    std::optional<result<batch_outcome>> outcome;  // once it was tried
  };
  struct placed_frame {
    uint64_t frame = 0;
    size_t bytes = 0;
    const shard_place* where = nullptr;
    result<batch_outcome> outcome;
  };

  // Until the last, or an error in what was sent.
  task<result<void>> read_frames();
  std::unique_ptr<decoded_batch> take_decoded();
  bool over_limits() const;

  task<void> place_frames();
  void take_going();
  // On the shard's reactor.
  task<result<void>> place_there(shard& there);
  void take_placed();

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

  std::shared_ptr<const std::string> stream_;  // of the last frame that named one
  std::deque<read_frame> unplaced_;
  std::vector<read_frame> going_;  // of one shard, being placed
  std::deque<placed_frame> unanswered_;
  std::vector<std::unique_ptr<decoded_batch>> spare_;  // kept for their memory
  size_t open_bytes_ = 0;                              // of all these
  result<void> refused_;                               // a frame was refused so that the call ends
  bool told_limits_ = false;
  bool read_all_ = false;    // no more frames come
  bool placed_all_ = false;  // none of them
  bool over_ = false;        // nobody takes answers any more
  wake_up frame_read_;
  wake_up frame_placed_;
  wake_up frame_answered_;

  // How far the shard that was asked last has come.
  const shard_place* asked_ = nullptr;
  durability safe_level_ = durability::memory;
  lsn safe_end_;
};

}  // namespace weir
