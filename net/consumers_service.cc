#include "net/consumers_service.h"

#include "net/consumers_convert.h"
#include "net/typed.h"

namespace weir {

namespace pb = waymaker::streams;

void consumers_service::attach(dispatcher& calls) {
  const std::string service = "/waymaker.streams.WaymakerStreamsService/";
  calls.implement(service + "CreateConsumer", typed(*this, &consumers_service::create));
  calls.implement(service + "DeleteConsumer", typed(*this, &consumers_service::remove));
  calls.implement(service + "ListConsumers", typed(*this, &consumers_service::list));
  calls.implement(service + "GetConsumerInfo", typed(*this, &consumers_service::get));
}

task<result<pb::CreateConsumerResponse>> consumers_service::create(const pb::CreateConsumerRequest& request,
                                                                   call_context&) {
  result<consumer_config> config = from_proto(request.config());
  if (!config) co_return failed<pb::CreateConsumerResponse>(config.err());
  auto make = [&](shard& there) { return there.create_consumer(request.stream(), *config); };
  result<consumer_info> made = co_await shards_.ask(here_, request.stream(), make);
  if (!made) co_return failed<pb::CreateConsumerResponse>(made.err());
  co_return succeeded<pb::CreateConsumerResponse>();
}

task<result<pb::DeleteConsumerResponse>> consumers_service::remove(const pb::DeleteConsumerRequest& request,
                                                                   call_context&) {
  auto drop = [&](shard& there) { return there.delete_consumer(request.stream(), request.consumer()); };
  result<void> dropped = co_await shards_.ask(here_, request.stream(), drop);
  if (!dropped) co_return failed<pb::DeleteConsumerResponse>(dropped.err());
  co_return succeeded<pb::DeleteConsumerResponse>();
}

task<result<pb::ListConsumersResponse>> consumers_service::list(const pb::ListConsumersRequest& request,
                                                                call_context&) {
  auto look = [&](shard& there) { return there.list_consumers(request.stream()); };
  result<std::vector<consumer_info>> found = co_await shards_.ask(here_, request.stream(), look);
  if (!found) co_return failed<pb::ListConsumersResponse>(found.err());
  auto response = succeeded<pb::ListConsumersResponse>();
  for (const consumer_info& one : *found) to_proto(one, *response.add_consumers());
  co_return response;
}

task<result<pb::GetConsumerInfoResponse>> consumers_service::get(const pb::GetConsumerInfoRequest& request,
                                                                 call_context&) {
  auto look = [&](shard& there) { return there.get_consumer(request.stream(), request.consumer()); };
  result<consumer_info> found = co_await shards_.ask(here_, request.stream(), look);
  if (!found) co_return failed<pb::GetConsumerInfoResponse>(found.err());
  auto response = succeeded<pb::GetConsumerInfoResponse>();
  to_proto(*found, *response.mutable_consumer());
  co_return response;
}

}  // namespace weir
