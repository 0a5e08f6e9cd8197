#include "net/admin_service.h"

#include "net/consumers_convert.h"
#include "net/record_wire.h"
#include "net/streams_convert.h"
#include "net/typed.h"

namespace weir {
namespace {

template <class Numbers>
std::vector<seq_no> to_seqs(const Numbers& given) {
  std::vector<seq_no> seqs;
  seqs.reserve(static_cast<size_t>(given.size()));
  for (uint64_t seq : given) seqs.emplace_back(seq);
  return seqs;
}

std::string_view to_text(park_reason why) {
  return why == park_reason::term ? "term" : "max_deliver";
}

result<void> to_proto(const parked_page::item& item, v1::ParkedMessage& out) {
  if (item.record) {
    result<record_view> view = parse_record(item.record->bytes.bytes());
    if (!view) return std::move(view).err();
    std::string encoded;
    append_reencoded(encoded, v1::ParkedMessage::kMessageFieldNumber << 3 | 2, *view, 0);
    if (!out.ParseFromString(encoded)) return fail(errc::internal, "a stored record is no message");
  }
  out.mutable_message()->set_seq(item.parked.seq.raw());
  out.set_parked_at_ms(item.parked.parked_at.raw());
  out.set_reason(std::string(to_text(item.parked.reason)));
  return ok();
}

}  // namespace

void admin_service::attach(dispatcher& calls) {
  const std::string service = "/weir.v1.Admin/";
  calls.implement(service + "GetMessage", raw(*this, &admin_service::get_message));
  calls.implement(service + "DeleteMessage", typed(*this, &admin_service::delete_message));
  calls.implement(service + "Purge", typed(*this, &admin_service::purge));
  calls.implement(service + "ListParked", typed(*this, &admin_service::list_parked));
  calls.implement(service + "RequeueParked", typed(*this, &admin_service::requeue_parked));
  calls.implement(service + "PurgeParked", typed(*this, &admin_service::purge_parked));
  calls.implement(service + "PauseConsumer", typed(*this, &admin_service::pause));
  calls.implement(service + "ResetConsumer", typed(*this, &admin_service::reset));
  calls.implement(service + "UpdateConsumer", typed(*this, &admin_service::update));
}

task<result<reply>> admin_service::get_message(byte_span bytes, call_context&) {
  v1::GetMessageRequest request;
  result<void> parsed = parse_message(bytes, request);
  if (!parsed) co_return std::move(parsed).err();
  auto look = [&](shard& there) { return there.get_message(request.stream(), seq_no(request.seq())); };
  result<std::optional<found_record>> found = co_await shards_.ask(here_, request.stream(), look);
  if (!found) {
    result<v1::GetMessageResponse> refused = failed<v1::GetMessageResponse>(found.err());
    if (!refused) co_return std::move(refused).err();
    co_return serialize(*refused);
  }
  reply out;
  out.head = success_head;
  message_run run(out);
  if (*found) {
    result<void> added = run.add_reencoded(**found, 0);
    if (!added) co_return std::move(added).err();
  }
  run.finish();
  co_return out;
}

task<result<v1::DeleteMessageResponse>> admin_service::delete_message(const v1::DeleteMessageRequest& request,
                                                                      call_context&) {
  auto drop = [&](shard& there) { return there.delete_message(request.stream(), seq_no(request.seq())); };
  result<bool> dropped = co_await shards_.ask(here_, request.stream(), drop);
  if (!dropped) co_return failed<v1::DeleteMessageResponse>(dropped.err());
  auto response = succeeded<v1::DeleteMessageResponse>();
  response.set_was_present(*dropped);
  co_return response;
}

task<result<v1::PurgeResponse>> admin_service::purge(const v1::PurgeRequest& request, call_context&) {
  purge_request wanted{request.stream(), request.subject(), request.up_to_seq(), request.keep()};
  auto drop = [&](shard& there) { return there.purge(wanted); };
  result<uint64_t> dropped = co_await shards_.ask(here_, request.stream(), drop);
  if (!dropped) co_return failed<v1::PurgeResponse>(dropped.err());
  auto response = succeeded<v1::PurgeResponse>();
  response.set_purged(*dropped);
  co_return response;
}

task<result<v1::ListParkedResponse>> admin_service::list_parked(const v1::ListParkedRequest& request, call_context&) {
  auto look = [&](shard& there) {
    return there.list_parked(request.stream(), request.consumer(), seq_no(request.from_seq()), request.limit());
  };
  result<parked_page> found = co_await shards_.ask(here_, request.stream(), look);
  if (!found) co_return failed<v1::ListParkedResponse>(found.err());
  auto response = succeeded<v1::ListParkedResponse>();
  response.set_total(found->total);
  for (const parked_page::item& item : found->items) {
    result<void> added = to_proto(item, *response.add_parked());
    if (!added) co_return std::move(added).err();
  }
  co_return response;
}

task<result<v1::RequeueParkedResponse>> admin_service::requeue_parked(const v1::RequeueParkedRequest& request,
                                                                      call_context&) {
  auto requeue = [&](shard& there) {
    return there.requeue_parked(request.stream(), request.consumer(), to_seqs(request.seqs()));
  };
  result<uint64_t> requeued = co_await shards_.ask(here_, request.stream(), requeue);
  if (!requeued) co_return failed<v1::RequeueParkedResponse>(requeued.err());
  auto response = succeeded<v1::RequeueParkedResponse>();
  response.set_requeued(*requeued);
  co_return response;
}

task<result<v1::PurgeParkedResponse>> admin_service::purge_parked(const v1::PurgeParkedRequest& request,
                                                                  call_context&) {
  auto drop = [&](shard& there) {
    return there.purge_parked(request.stream(), request.consumer(), to_seqs(request.seqs()));
  };
  result<uint64_t> dropped = co_await shards_.ask(here_, request.stream(), drop);
  if (!dropped) co_return failed<v1::PurgeParkedResponse>(dropped.err());
  auto response = succeeded<v1::PurgeParkedResponse>();
  response.set_purged(*dropped);
  co_return response;
}

task<result<v1::PauseConsumerResponse>> admin_service::pause(const v1::PauseConsumerRequest& request, call_context&) {
  auto hold = [&](shard& there) {
    return there.pause_consumer(request.stream(), request.consumer(), wall_ms(request.pause_until_ms()));
  };
  result<void> held = co_await shards_.ask(here_, request.stream(), hold);
  if (!held) co_return failed<v1::PauseConsumerResponse>(held.err());
  co_return succeeded<v1::PauseConsumerResponse>();
}

task<result<v1::ResetConsumerResponse>> admin_service::reset(const v1::ResetConsumerRequest& request, call_context&) {
  reset_target to;
  if (request.has_seq()) to.seq = request.seq();
  if (request.has_time_ms()) to.time = wall_ms(request.time_ms());
  if (!to.seq && !to.time) {
    const error missing = fail(errc::invalid_argument, "a reset takes seq or time_ms, and neither is given");
    co_return failed<v1::ResetConsumerResponse>(missing);
  }
  auto move = [&](shard& there) { return there.reset_consumer(request.stream(), request.consumer(), to); };
  result<void> moved = co_await shards_.ask(here_, request.stream(), move);
  if (!moved) co_return failed<v1::ResetConsumerResponse>(moved.err());
  co_return succeeded<v1::ResetConsumerResponse>();
}

task<result<v1::UpdateConsumerResponse>> admin_service::update(const v1::UpdateConsumerRequest& request,
                                                               call_context&) {
  auto change = [&](shard& there) { return there.update_consumer(from_proto(request)); };
  result<consumer_info> changed = co_await shards_.ask(here_, request.stream(), change);
  if (!changed) co_return failed<v1::UpdateConsumerResponse>(changed.err());
  auto response = succeeded<v1::UpdateConsumerResponse>();
  to_proto(changed->config, *response.mutable_config());
  co_return response;
}

}  // namespace weir
