// The stream RPCs of waymaker.streams.WaymakerStreamsService: CreateStream, DeleteStream, GetStreamInfo, ListStreams,
// UpdateStream, WatchStreams. Translation only.
//
// One per reactor, on its thread; borrows the map and the hub, which outlive it.
#pragma once

#include "net/dispatcher.h"
#include "net/shard_map.h"
#include "net/streams_convert.h"
#include "net/watch_hub.h"

namespace weir {

class streams_service {
 public:
  streams_service(reactor& here, const shard_map& shards, watch_hub& events)
      : here_(here), shards_(shards), events_(events) {}
  void attach(dispatcher& calls);

 private:
  task<result<streams_pb::CreateStreamResponse>> create(const streams_pb::CreateStreamRequest& request, call_context&);
  task<result<streams_pb::DeleteStreamResponse>> remove(const streams_pb::DeleteStreamRequest& request, call_context&);
  task<result<streams_pb::GetStreamInfoResponse>> get(const streams_pb::GetStreamInfoRequest& request, call_context&);
  task<result<streams_pb::ListStreamsResponse>> list(const streams_pb::ListStreamsRequest& request, call_context&);
  task<result<streams_pb::UpdateStreamResponse>> update(const streams_pb::UpdateStreamRequest& request, call_context&);
  task<result<void>> watch(const streams_pb::WatchStreamsRequest& request, rpc_stream& call);

  reactor& here_;
  const shard_map& shards_;
  watch_hub& events_;
};

}  // namespace weir
