// The message RPCs of waymaker.streams.WaymakerStreamsService: Publish, Fetch, Ack, ReadLatestAtSubject,
// ListSubjectsByPrefix, ScanExactAtSubject. Translation only; Publish and the answers with records work on bytes.
//
// One per reactor, on its thread; borrows the map, which outlives it.
#pragma once

#include "net/dispatcher.h"
#include "net/shard_map.h"
#include "net/streams_convert.h"

namespace weir {

class messages_service {
 public:
  messages_service(reactor& here, const shard_map& shards) : here_(here), shards_(shards) {}
  void attach(dispatcher& calls);

 private:
  task<result<reply>> publish(byte_span bytes, call_context&);
  task<result<reply>> fetch(byte_span bytes, call_context&);
  task<result<streams_pb::AckResponse>> ack(const streams_pb::AckRequest& request, call_context&);
  task<result<reply>> read_latest(byte_span bytes, call_context&);
  task<result<streams_pb::ListSubjectsByPrefixResponse>> list_subjects(
      const streams_pb::ListSubjectsByPrefixRequest& request, call_context&);
  task<result<reply>> scan(byte_span bytes, call_context&);

  reactor& here_;
  const shard_map& shards_;
};

}  // namespace weir
