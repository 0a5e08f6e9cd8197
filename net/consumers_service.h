// The consumer RPCs of waymaker.streams.WaymakerStreamsService: CreateConsumer, DeleteConsumer, ListConsumers,
// GetConsumerInfo. Translation only.
//
// One per reactor, on its thread; borrows the map, which outlives it.
#pragma once

#include "net/dispatcher.h"
#include "net/shard_map.h"
#include "net/streams_convert.h"

namespace weir {

class consumers_service {
 public:
  consumers_service(reactor& here, const shard_map& shards) : here_(here), shards_(shards) {}
  void attach(dispatcher& calls);

 private:
  task<result<streams_pb::CreateConsumerResponse>> create(const streams_pb::CreateConsumerRequest& request,
                                                          call_context&);
  task<result<streams_pb::DeleteConsumerResponse>> remove(const streams_pb::DeleteConsumerRequest& request,
                                                          call_context&);
  task<result<streams_pb::ListConsumersResponse>> list(const streams_pb::ListConsumersRequest& request, call_context&);
  task<result<streams_pb::GetConsumerInfoResponse>> get(const streams_pb::GetConsumerInfoRequest& request,
                                                        call_context&);

  reactor& here_;
  const shard_map& shards_;
};

}  // namespace weir
