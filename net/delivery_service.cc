#include "net/delivery_service.h"

#include <algorithm>

#include "net/consume_lane.h"
#include "net/record_wire.h"
#include "net/typed.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

// Ends that are no failure of the call.
std::string_view stop_reason(const error& failure) {
  if (failure.code == errc::no_such_stream) return "stream deleted";
  if (failure.code == errc::no_such_consumer) return "consumer deleted";
  return {};
}

error stopping() {
  return fail(errc::unavailable, "the server is stopping");
}

}  // namespace

void delivery_service::attach(dispatcher& calls) {
  const std::string service = "/waymaker.streams.WaymakerStreamsService/";
  calls.implement(service + "Fetch", raw(*this, &delivery_service::fetch));
  calls.implement_stream(service + "Subscribe", typed_stream(*this, &delivery_service::subscribe));
  calls.implement(service + "Ack", typed(*this, &delivery_service::ack));
  calls.implement(service + "Nak", typed(*this, &delivery_service::nak));
  calls.implement(service + "Term", typed(*this, &delivery_service::term));
  calls.implement(service + "InProgress", typed(*this, &delivery_service::in_progress));
  calls.implement_stream("/weir.v1.Broker/Consume", raw_stream(*this, &delivery_service::consume));
  calls.implement("/weir.v1.Admin/AckMany", typed(*this, &delivery_service::ack_many));
}

task<result<reply>> delivery_service::fetch(byte_span bytes, call_context& call) {
  pb::FetchRequest request;
  result<void> parsed = parse_message(bytes, request);
  if (!parsed) co_return std::move(parsed).err();
  auto take = [&](shard& there) { return there.fetch(request.stream(), request.consumer(), request.batch_size()); };
  const bool plain = request.max_wait_ms() == 0 && request.max_bytes() == 0;
  task<result<fetch_outcome>> work = plain ? shards_.ask(here_, request.stream(), take) : fetch_waiting(request, call);
  result<fetch_outcome> taken = co_await std::move(work);
  if (taken) co_return encode_fetched(*taken);
  result<pb::FetchResponse> refused = failed<pb::FetchResponse>(taken.err());
  if (!refused) co_return std::move(refused).err();
  co_return serialize(*refused);
}

task<result<fetch_outcome>> delivery_service::fetch_waiting(const pb::FetchRequest& request, call_context& call) {
  if (request.max_wait_ms() > duration_ms_max) {
    co_return fail(errc::invalid_argument, "max_wait_ms takes at most " + std::to_string(duration_ms_max) + ", not " +
                                               std::to_string(request.max_wait_ms()));
  }
  if (call.gone()) co_return stopping();
  const uint32_t messages_max = std::clamp(request.batch_size(), 1u, limits_.fetch_messages_max);
  const size_t bytes_max =
      request.max_bytes() == 0 ? limits_.fetch_bytes_max : std::min(request.max_bytes(), limits_.fetch_bytes_max);
  remote_subscription from(here_, shards_.of(request.stream()), request.stream(), request.consumer());
  call.on_gone([&from] { from.interrupt(); });
  result<fetch_outcome> taken = co_await from.next(messages_max, bytes_max, request.max_wait_ms());
  // What nobody waits for is due again; what is in an answer is on its way.
  if (taken && !call.gone()) from.sent(taken->deliveries.size());
  co_await from.close();
  if (call.gone()) co_return stopping();
  co_return taken;
}

task<result<void>> delivery_service::subscribe(const pb::SubscribeRequest& request, rpc_stream& call) {
  if (call.gone()) co_return ok();
  remote_subscription from(here_, shards_.of(request.stream()), request.stream(), request.consumer());
  call.on_gone([&from] { from.interrupt(); });
  result<void> outcome = co_await from.open();
  if (outcome) {
    task<result<void>> work = push(request, call, from);
    outcome = co_await std::move(work);
  }
  co_await from.close();
  co_return outcome;
}

task<result<void>> delivery_service::consume(rpc_stream& call) {
  consume_lane lane(here_, shards_, limits_, in_hand_, call);
  auto outcome = co_await lane.run();
  co_return outcome;
}

task<result<void>> delivery_service::push(const pb::SubscribeRequest& request, rpc_stream& call,
                                          remote_subscription& from) {
  const uint32_t wanted = request.batch_size() == 0 ? default_subscribe_batch : request.batch_size();
  const uint32_t messages_max = std::min(wanted, limits_.subscribe_batch_max);
  std::optional<uint64_t> wait_ms;
  if (request.stop_when_empty()) wait_ms = 0;
  bool open = co_await call.open();  // the client learns that it waits now
  // Who has shown that he reads gets more at a time: of many who wait at once nobody knows it yet.
  size_t bytes_max = std::min(in_hand_account::batch_bytes_min, limits_.subscribe_bytes_max);
  for (; open && !call.gone(); bytes_max = std::min(2 * bytes_max, limits_.subscribe_bytes_max)) {
    result<fetch_outcome> taken = co_await from.next(messages_max, in_hand_.batch_bytes(bytes_max), wait_ms);
    if (call.gone()) break;
    if (!taken || (taken->deliveries.empty() && taken->damaged.empty())) {
      const std::string_view reason = taken ? "empty" : stop_reason(taken.err());
      if (reason.empty()) co_return std::move(taken).err();
      reply last = encode_stopped(reason);
      co_await call.write(last);
      break;
    }
    result<bool> pushed = co_await push_batch(*taken, call, from);
    if (!pushed) co_return std::move(pushed).err();
    open = *pushed;
  }
  co_return ok();
}

task<result<bool>> delivery_service::push_batch(fetch_outcome& taken, rpc_stream& call, remote_subscription& from) {
  bytes_in_hand held(in_hand_, taken);
  const size_t count = taken.deliveries.size();
  for (size_t n = 0; n < count; ++n) {
    result<reply> event = encode_event(taken.deliveries[n]);
    if (!event) co_return std::move(event).err();
    const bool more = n + 1 < count;
    bool written = co_await call.write(*event, more);
    if (!written) co_return false;
    from.sent(n + 1);
    held.let_go(taken.deliveries[n]);
  }
  co_return true;
}

task<result<pb::AckResponse>> delivery_service::ack(const pb::AckRequest& request, call_context&) {
  auto settle = [&](shard& there) { return there.ack(request.stream(), request.consumer(), seq_no(request.seq())); };
  result<void> settled = co_await shards_.ask(here_, request.stream(), settle);
  if (!settled) co_return failed<pb::AckResponse>(settled.err());
  co_return succeeded<pb::AckResponse>();
}

task<result<pb::NakResponse>> delivery_service::nak(const pb::NakRequest& request, call_context&) {
  auto settle = [&](shard& there) {
    return there.nak(request.stream(), request.consumer(), seq_no(request.seq()), request.delay_ms());
  };
  result<void> settled = co_await shards_.ask(here_, request.stream(), settle);
  if (!settled) co_return failed<pb::NakResponse>(settled.err());
  co_return succeeded<pb::NakResponse>();
}

task<result<pb::TermResponse>> delivery_service::term(const pb::TermRequest& request, call_context&) {
  auto settle = [&](shard& there) { return there.term(request.stream(), request.consumer(), seq_no(request.seq())); };
  result<void> settled = co_await shards_.ask(here_, request.stream(), settle);
  if (!settled) co_return failed<pb::TermResponse>(settled.err());
  co_return succeeded<pb::TermResponse>();
}

task<result<pb::InProgressResponse>> delivery_service::in_progress(const pb::InProgressRequest& request,
                                                                   call_context&) {
  auto settle = [&](shard& there) {
    return there.in_progress(request.stream(), request.consumer(), seq_no(request.seq()));
  };
  result<void> settled = co_await shards_.ask(here_, request.stream(), settle);
  if (!settled) co_return failed<pb::InProgressResponse>(settled.err());
  co_return succeeded<pb::InProgressResponse>();
}

task<result<v1::AckManyResponse>> delivery_service::ack_many(const v1::AckManyRequest& request, call_context&) {
  auto settle = [&](shard& there) {
    std::vector<seq_no> seqs;
    seqs.reserve(static_cast<size_t>(request.seqs_size()));
    for (uint64_t seq : request.seqs()) seqs.emplace_back(seq);
    return there.ack_many(request.stream(), request.consumer(), std::move(seqs), seq_no(request.up_to_seq()));
  };
  result<uint64_t> settled = co_await shards_.ask(here_, request.stream(), settle);
  if (!settled) co_return failed<v1::AckManyResponse>(settled.err());
  auto response = succeeded<v1::AckManyResponse>();
  response.set_acked(*settled);
  co_return response;
}

}  // namespace weir
