#include "net/streams_service.h"

#include <algorithm>

#include "net/typed.h"

namespace weir {

namespace pb = waymaker::streams;

void streams_service::attach(dispatcher& calls) {
  const std::string service = "/waymaker.streams.WaymakerStreamsService/";
  calls.implement(service + "CreateStream", typed(*this, &streams_service::create));
  calls.implement(service + "DeleteStream", typed(*this, &streams_service::remove));
  calls.implement(service + "GetStreamInfo", typed(*this, &streams_service::get));
  calls.implement(service + "ListStreams", typed(*this, &streams_service::list));
  calls.implement(service + "UpdateStream", typed(*this, &streams_service::update));
  calls.implement_stream(service + "WatchStreams", typed_stream(*this, &streams_service::watch));
}

task<result<pb::CreateStreamResponse>> streams_service::create(const pb::CreateStreamRequest& request, call_context&) {
  result<stream_config> config = from_proto(request.config());
  if (!config) co_return failed<pb::CreateStreamResponse>(config.err());
  auto make = [&](shard& there) { return there.create_stream(*config); };
  result<stream_info> made = co_await shards_.ask(here_, config->name, make);
  if (!made) co_return failed<pb::CreateStreamResponse>(made.err());
  co_return succeeded<pb::CreateStreamResponse>();
}

task<result<pb::DeleteStreamResponse>> streams_service::remove(const pb::DeleteStreamRequest& request, call_context&) {
  auto drop = [&](shard& there) { return there.delete_stream(request.name()); };
  result<void> dropped = co_await shards_.ask(here_, request.name(), drop);
  if (!dropped) co_return failed<pb::DeleteStreamResponse>(dropped.err());
  co_return succeeded<pb::DeleteStreamResponse>();
}

task<result<pb::GetStreamInfoResponse>> streams_service::get(const pb::GetStreamInfoRequest& request, call_context&) {
  auto look = [&](shard& there) { return there.get_stream(request.name()); };
  result<stream_info> found = co_await shards_.ask(here_, request.name(), look);
  if (!found) co_return failed<pb::GetStreamInfoResponse>(found.err());
  auto response = succeeded<pb::GetStreamInfoResponse>();
  to_proto(found->config, *response.mutable_config());
  to_proto(found->stats, *response.mutable_stats());
  durability by_default = found->config.ephemeral ? durability::memory : durability::fsync;
  response.set_durability(static_cast<weir::v1::Durability>(found->config.level.value_or(by_default)));
  response.set_damaged_records(found->damaged_records);
  response.set_scheduled(found->scheduled);
  co_return response;
}

task<result<pb::ListStreamsResponse>> streams_service::list(const pb::ListStreamsRequest&, call_context&) {
  std::vector<std::string> names;
  auto look = [](shard& there) { return there.list_streams(); };
  for (const shard_place& place : shards_.all()) {
    result<std::vector<std::string>> some = co_await shard_map::ask_at(here_, place, look);
    if (!some) co_return std::move(some).err();
    names.insert(names.end(), some->begin(), some->end());
  }
  std::sort(names.begin(), names.end());
  pb::ListStreamsResponse response;
  for (std::string& name : names) response.add_names(std::move(name));
  co_return response;
}

task<result<pb::UpdateStreamResponse>> streams_service::update(const pb::UpdateStreamRequest& request, call_context&) {
  auto change = [&](shard& there) { return there.update_stream(from_proto(request)); };
  result<update_outcome> changed = co_await shards_.ask(here_, request.name(), change);
  if (!changed) co_return failed<pb::UpdateStreamResponse>(changed.err());
  auto response = succeeded<pb::UpdateStreamResponse>();
  to_proto(changed->config, *response.mutable_config());
  response.set_pruned(changed->pruned);
  co_return response;
}

task<result<void>> streams_service::watch(const pb::WatchStreamsRequest&, rpc_stream& call) {
  watch_hub::watcher events(events_);
  call.on_gone([&events] { events.end(); });
  bool open = co_await call.open();  // the client learns that it misses nothing from here on
  while (open) {
    std::optional<watch_hub::watcher::seen> next = co_await events.next();
    if (!next) break;
    pb::WatchEvent event;
    to_proto(next->event, next->missed_before, event);
    reply message = serialize(event);
    open = co_await call.write(message);
  }
  co_return ok();
}

}  // namespace weir
