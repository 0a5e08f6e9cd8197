// The commands about consumers.
#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include "tools/cli/answers.h"
#include "tools/cli/commands.h"

namespace weir {

using namespace waymaker::streams;

int commands::consumers(const std::string& stream) {
  grpc::ClientContext context;
  set_deadline(context);
  ListConsumersRequest request;
  request.set_stream(stream);
  ListConsumersResponse response;
  if (!accepted(stub_->ListConsumers(&context, request, &response), response)) return exit_failed;
  if (json_) {
    put_json(response);
  } else {
    for (const ConsumerStatePb& consumer : response.consumers()) put(to_text(consumer));
  }
  return 0;
}

bool commands::ensure_consumer(const std::string& stream, const std::string& consumer) {
  grpc::ClientContext context;
  set_deadline(context);
  CreateConsumerRequest request;
  request.set_stream(stream);
  request.mutable_config()->set_name(consumer);
  CreateConsumerResponse response;
  const grpc::Status status = stub_->CreateConsumer(&context, request, &response);
  return (status.ok() && response.result_code() == "already_exists") || accepted(status, response);
}

bool commands::ack(const std::string& stream, const std::string& consumer, uint64_t seq) {
  grpc::ClientContext context;
  set_deadline(context);
  AckRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  request.set_seq(seq);
  AckResponse response;
  return accepted(stub_->Ack(&context, request, &response), response);
}

int commands::fetch(const std::string& stream, const fetch_options& options) {
  if (options.create && !ensure_consumer(stream, options.consumer)) return exit_failed;
  grpc::ClientContext context;
  set_deadline(context, std::chrono::milliseconds(options.wait_ms));
  FetchRequest request;
  request.set_stream(stream);
  request.set_consumer(options.consumer);
  request.set_batch_size(static_cast<uint32_t>(options.batch));
  request.set_max_wait_ms(options.wait_ms);
  FetchResponse response;
  if (!accepted(stub_->Fetch(&context, request, &response), response)) return exit_failed;
  for (const MessagePb& message : response.messages()) json_ ? put_json(message) : put(to_text(message));
  std::fflush(stdout);  // what is acknowledged has been shown
  for (const MessagePb& message : response.messages()) {
    if (options.ack && !ack(stream, options.consumer, message.seq())) return exit_failed;
  }
  for (const uint64_t seq : response.damaged_seqs()) fmt::print(stderr, "weir: message {} is damaged\n", seq);
  return response.damaged_seqs().empty() ? 0 : exit_failed;
}

int commands::subscribe(const std::string& stream, const fetch_options& options) {
  if (options.create && !ensure_consumer(stream, options.consumer)) return exit_failed;
  grpc::ClientContext context;
  SubscribeRequest request;
  request.set_stream(stream);
  request.set_consumer(options.consumer);
  const auto events = stub_->Subscribe(&context, request);
  SubscribeEvent event;
  while (events->Read(&event)) {
    if (event.has_stopped()) fmt::print(stderr, "weir: {}\n", event.stopped().reason());
    if (!event.has_message()) continue;
    json_ ? put_json(event.message()) : put(to_text(event.message()));
    std::fflush(stdout);  // what is acknowledged has been shown
    if (options.ack && !ack(stream, options.consumer, event.message().seq())) {
      context.TryCancel();
      return exit_failed;
    }
  }
  return reached(events->Finish()) ? 0 : exit_failed;
}

int commands::consumer(const std::string& stream, const std::string& consumer) {
  grpc::ClientContext context;
  set_deadline(context);
  GetConsumerInfoRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  GetConsumerInfoResponse response;
  if (!accepted(stub_->GetConsumerInfo(&context, request, &response), response)) return exit_failed;
  json_ ? put_json(response) : put(details(response.consumer()));
  return 0;
}

int commands::parked(const std::string& stream, const parked_options& options) {
  grpc::ClientContext context;
  set_deadline(context);
  v1::ListParkedRequest request;
  request.set_stream(stream);
  request.set_consumer(options.consumer);
  request.set_from_seq(options.from_seq);
  request.set_limit(static_cast<uint32_t>(options.limit));
  v1::ListParkedResponse response;
  if (!accepted(admin_->ListParked(&context, request, &response), response)) return exit_failed;
  if (json_) {
    put_json(response);
    return 0;
  }
  for (const v1::ParkedMessage& one : response.parked()) {
    put(fmt::format("parked {} ({}) ", time_text(one.parked_at_ms()), one.reason()) + to_text(one.message()));
  }
  put(fmt::format("{} of {} parked messages\n", response.parked_size(), response.total()));
  return 0;
}

int commands::requeue(const std::string& stream, const parked_options& options) {
  grpc::ClientContext context;
  set_deadline(context);
  v1::RequeueParkedRequest request;
  request.set_stream(stream);
  request.set_consumer(options.consumer);
  request.mutable_seqs()->Assign(options.seqs.begin(), options.seqs.end());
  v1::RequeueParkedResponse response;
  if (!accepted(admin_->RequeueParked(&context, request, &response), response)) return exit_failed;
  json_ ? put_json(response) : put(fmt::format("requeued {} messages\n", response.requeued()));
  return 0;
}

int commands::discard(const std::string& stream, const parked_options& options) {
  grpc::ClientContext context;
  set_deadline(context);
  v1::PurgeParkedRequest request;
  request.set_stream(stream);
  request.set_consumer(options.consumer);
  request.mutable_seqs()->Assign(options.seqs.begin(), options.seqs.end());
  v1::PurgeParkedResponse response;
  if (!accepted(admin_->PurgeParked(&context, request, &response), response)) return exit_failed;
  json_ ? put_json(response) : put(fmt::format("discarded {} parked messages\n", response.purged()));
  return 0;
}

int commands::pause(const std::string& stream, const std::string& consumer, uint64_t until_ms) {
  grpc::ClientContext context;
  set_deadline(context);
  v1::PauseConsumerRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  request.set_pause_until_ms(static_cast<int64_t>(until_ms));
  v1::PauseConsumerResponse response;
  if (!accepted(admin_->PauseConsumer(&context, request, &response), response)) return exit_failed;
  if (json_) {
    put_json(response);
  } else {
    put(until_ms == 0 ? "goes on\n" : fmt::format("paused until {}\n", time_text(request.pause_until_ms())));
  }
  return 0;
}

}  // namespace weir
