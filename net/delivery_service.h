// How messages reach consumers and are settled: Fetch, Subscribe, Ack, Nak, Term and InProgress of
// waymaker.streams.WaymakerStreamsService, AckMany of weir.v1.Admin, Consume of weir.v1.Broker (consume_lane.h).
// Translation, and the flow control of Subscribe.
//
// A Subscribe has one batch in hand: the next one is taken when the transport took the last message of the one before,
// so a client that does not read holds back itself only. What all subscriptions of a reactor have in hand is bounded,
// too (in_hand.h).
//
// One per reactor, on its thread; borrows the map and the limits, which outlive it.
#pragma once

#include "net/dispatcher.h"
#include "net/in_hand.h"
#include "net/remote_subscription.h"
#include "net/streams_convert.h"
#include "weir/v1/admin.pb.h"

namespace weir {

class delivery_service {
 public:
  // in_hand_bytes_max: of the messages taken for subscriptions and not yet written.
  delivery_service(reactor& here, const shard_map& shards, const broker_limits& limits, size_t in_hand_bytes_max)
      : here_(here), shards_(shards), limits_(limits), in_hand_(in_hand_bytes_max) {}
  void attach(dispatcher& calls);

 private:
  task<result<reply>> fetch(byte_span bytes, call_context& call);
  task<result<fetch_outcome>> fetch_waiting(const streams_pb::FetchRequest& request, call_context& call);
  task<result<void>> subscribe(const streams_pb::SubscribeRequest& request, rpc_stream& call);
  task<result<void>> push(const streams_pb::SubscribeRequest& request, rpc_stream& call, remote_subscription& from);
  // False: the client is gone.
  task<result<bool>> push_batch(fetch_outcome& taken, rpc_stream& call, remote_subscription& from);
  task<result<void>> consume(rpc_stream& call);

  task<result<streams_pb::AckResponse>> ack(const streams_pb::AckRequest& request, call_context&);
  task<result<streams_pb::NakResponse>> nak(const streams_pb::NakRequest& request, call_context&);
  task<result<streams_pb::TermResponse>> term(const streams_pb::TermRequest& request, call_context&);
  task<result<streams_pb::InProgressResponse>> in_progress(const streams_pb::InProgressRequest& request, call_context&);
  task<result<v1::AckManyResponse>> ack_many(const v1::AckManyRequest& request, call_context&);

  reactor& here_;
  const shard_map& shards_;
  const broker_limits& limits_;
  in_hand_account in_hand_;
};

}  // namespace weir
