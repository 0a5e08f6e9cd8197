// weir.v1.Admin: single messages, purging, parked messages, running consumers. (AckMany is in delivery_service.h.)
// Translation only.
//
// One per reactor, on its thread; borrows the map, which outlives it.
#pragma once

#include "net/dispatcher.h"
#include "net/shard_map.h"
#include "weir/v1/admin.pb.h"

namespace weir {

class admin_service {
 public:
  admin_service(reactor& here, const shard_map& shards) : here_(here), shards_(shards) {}
  void attach(dispatcher& calls);

 private:
  task<result<reply>> get_message(byte_span bytes, call_context&);
  task<result<v1::DeleteMessageResponse>> delete_message(const v1::DeleteMessageRequest& request, call_context&);
  task<result<v1::PurgeResponse>> purge(const v1::PurgeRequest& request, call_context&);
  task<result<v1::ListParkedResponse>> list_parked(const v1::ListParkedRequest& request, call_context&);
  task<result<v1::RequeueParkedResponse>> requeue_parked(const v1::RequeueParkedRequest& request, call_context&);
  task<result<v1::PurgeParkedResponse>> purge_parked(const v1::PurgeParkedRequest& request, call_context&);
  task<result<v1::PauseConsumerResponse>> pause(const v1::PauseConsumerRequest& request, call_context&);
  task<result<v1::ResetConsumerResponse>> reset(const v1::ResetConsumerRequest& request, call_context&);
  task<result<v1::UpdateConsumerResponse>> update(const v1::UpdateConsumerRequest& request, call_context&);

  reactor& here_;
  const shard_map& shards_;
};

}  // namespace weir
