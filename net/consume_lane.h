// consume_lane: one call of weir.v1.Broker.Consume. Three coroutines on the call's reactor: one reads what the client
// asks for and starts it, one takes messages within the credit, one writes.
//
// Lives in the handler's coroutine. One batch is in hand at a time; it is taken when the one before was written, so a
// client that does not read holds back itself only. Frames of the client are carried out side by side, started in the
// order they came, at most requests_max at a time; more are not read. The call ends when the client has sent its last,
// or the server stops, and what was read is carried out and confirmed; when the consumer is gone, or when a frame
// cannot be carried out: that is told in a last ConsumeBatch.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "net/call_context.h"
#include "net/in_hand.h"
#include "net/remote_subscription.h"
#include "net/wake_up.h"
#include "weir/v1/broker.pb.h"

namespace weir {

class consume_lane {
 public:
  consume_lane(reactor& here, const shard_map& shards, const broker_limits& limits, in_hand_account& in_hand,
               rpc_stream& call)
      : here_(here), shards_(shards), limits_(limits), in_hand_(in_hand), call_(call) {}
  consume_lane(const consume_lane&) = delete;

  task<result<void>> run();

 private:
  static constexpr size_t requests_max = 256;  // of the client, under way

  struct request_under_way {
    uint64_t frame = 0;
    bool done = false;
  };

  // What the client asks for. nullopt: it has sent its last.
  task<result<std::optional<v1::ConsumeRequest>>> read_request();
  task<result<void>> take_requests(v1::ConsumeRequest first);
  task<void> handle(v1::ConsumeRequest request, request_under_way& mine);
  // On the shard's thread.
  task<result<void>> carry_out(shard& there, const v1::ConsumeRequest& request) const;

  // Messages.
  bool has_credit() const { return credit_messages_ > 0 && credit_bytes_ > 0; }
  task<void> take_messages();
  task<void> write_frames();
  // False: the client is gone.
  task<bool> write_batch();
  task<void> write_last();
  // Nothing more is done for the client; it is told why.
  void fail_with(error why);
  void end();

  reactor& here_;
  const shard_map& shards_;
  const broker_limits& limits_;
  in_hand_account& in_hand_;
  rpc_stream& call_;

  std::string stream_;
  std::string consumer_;
  const shard_place* where_ = nullptr;
  remote_subscription* from_ = nullptr;

  int64_t credit_messages_ = 0;
  int64_t credit_bytes_ = 0;
  wake_up credit_given_;

  std::deque<request_under_way> requests_;
  gate handling_;
  wake_up request_done_;
  uint64_t confirmed_ = 0;
  uint64_t told_confirmed_ = 0;

  std::optional<fetch_outcome> in_hand_batch_;  // until it is written
  wake_up batch_written_;
  wake_up to_write_;
  std::optional<error> failure_;
  bool ending_ = false;  // nothing is written any more but what is decided already
};

}  // namespace weir
