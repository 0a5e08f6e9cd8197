// Publishing and looking without consuming: Publish, ReadLatestAtSubject, ListSubjectsByPrefix and ScanExactAtSubject
// of waymaker.streams.WaymakerStreamsService, PublishAll and Publish of weir.v1.Broker. Translation only; publishing
// and the answers with records work on bytes.
//
// One per reactor, on its thread; borrows the map and the limits, which outlive it.
#pragma once

#include "net/dispatcher.h"
#include "net/publish_wire.h"
#include "net/shard_map.h"
#include "net/streams_convert.h"

namespace weir {

class messages_service {
 public:
  messages_service(reactor& here, const shard_map& shards, const broker_limits& limits, const publish_limits& lane)
      : here_(here), shards_(shards), limits_(limits), lane_limits_(lane) {}
  void attach(dispatcher& calls);

 private:
  task<result<reply>> publish(byte_span bytes, call_context&);
  task<result<reply>> publish_all(byte_span bytes, call_context&);
  task<result<void>> publish_frames(rpc_stream& call);
  task<result<reply>> read_latest(byte_span bytes, call_context&);
  task<result<streams_pb::ListSubjectsByPrefixResponse>> list_subjects(
      const streams_pb::ListSubjectsByPrefixRequest& request, call_context&);
  task<result<reply>> scan(byte_span bytes, call_context&);

  reactor& here_;
  const shard_map& shards_;
  const broker_limits& limits_;
  const publish_limits lane_limits_;
};

}  // namespace weir
