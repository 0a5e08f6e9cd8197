#include "tools/publisher/prepare.h"

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>

#include "tools/channel.h"
#include "tools/load/clock.h"

namespace weir {
namespace {

using namespace std::chrono_literals;
using namespace waymaker::streams;

constexpr auto call_deadline = 10s;
constexpr uint64_t inactive_ms = 60'000;  // a consumer whose run was killed

void set_deadline(grpc::ClientContext& context) {
  context.set_deadline(std::chrono::system_clock::now() + call_deadline);
}

weir::v1::Durability to_durability(const std::string& name) {
  if (name == "memory") return weir::v1::DURABILITY_MEMORY;
  if (name == "written") return weir::v1::DURABILITY_WRITTEN;
  if (name == "fsync") return weir::v1::DURABILITY_FSYNC;
  return weir::v1::DURABILITY_DEFAULT;
}

template <class Response>
result<void> refusal(const std::string& server, const std::string& stream, const grpc::Status& status,
                     const Response& response) {
  if (!status.ok()) return fail(errc::unavailable, fmt::format("{}: {}", server, to_text(status)));
  return fail(errc::invalid_config,
              fmt::format("stream '{}': {}: {}", stream, response.result_code(), response.message()));
}

result<void> create_stream(WaymakerStreamsService::Stub& broker, const publisher_options& options,
                           const std::string& name) {
  grpc::ClientContext context;
  set_deadline(context);
  CreateStreamRequest request;
  request.mutable_config()->set_name(name);
  request.mutable_config()->set_durability(to_durability(options.durability));
  request.mutable_config()->set_ephemeral(options.durability == "memory");
  CreateStreamResponse response;
  const grpc::Status status = broker.CreateStream(&context, request, &response);
  if (response.success() || response.result_code() == "already_exists") return ok();
  return refusal(options.server, name, status, response);
}

result<void> look_for_stream(WaymakerStreamsService::Stub& broker, const publisher_options& options,
                             const std::string& name) {
  grpc::ClientContext context;
  set_deadline(context);
  GetStreamInfoRequest request;
  request.set_name(name);
  GetStreamInfoResponse response;
  const grpc::Status status = broker.GetStreamInfo(&context, request, &response);
  if (response.success()) return ok();
  return refusal(options.server, name, status, response);
}

}  // namespace

result<void> prepare_streams(WaymakerStreamsService::Stub& broker, const publisher_options& options) {
  for (const std::string& name : stream_names(options)) {
    const auto ready = options.create ? create_stream(broker, options, name) : look_for_stream(broker, options, name);
    if (!ready) return ready.err();
  }
  return ok();
}

std::string run_consumer_name() {
  return fmt::format("weir-publisher-{}-{}", ::getpid(), now_ns());
}

result<void> run_consumers::create(const std::vector<std::string>& streams) {
  name_ = run_consumer_name();
  for (const std::string& stream : streams) {
    grpc::ClientContext looking;
    set_deadline(looking);
    GetStreamInfoRequest about;
    about.set_name(stream);
    GetStreamInfoResponse info;
    grpc::Status status = broker_.GetStreamInfo(&looking, about, &info);
    if (!info.success()) return refusal("GetStreamInfo", stream, status, info);

    grpc::ClientContext creating;
    set_deadline(creating);
    CreateConsumerRequest request;
    request.set_stream(stream);
    request.mutable_config()->set_name(name_);
    request.mutable_config()->set_unlimited_deliver(true);
    request.mutable_config()->set_inactive_ms(inactive_ms);
    request.mutable_config()->mutable_delivery_policy()->set_type(DELIVERY_BY_START_SEQ);
    request.mutable_config()->mutable_delivery_policy()->set_start_seq(info.stats().last_seq() + 1);
    CreateConsumerResponse response;
    status = broker_.CreateConsumer(&creating, request, &response);
    if (!response.success()) return refusal("CreateConsumer", stream, status, response);
    created_.push_back(stream);
  }
  return ok();
}

run_consumers::~run_consumers() {
  for (const std::string& stream : created_) {
    grpc::ClientContext context;
    set_deadline(context);
    DeleteConsumerRequest request;
    request.set_stream(stream);
    request.set_consumer(name_);
    DeleteConsumerResponse response;
    if (!broker_.DeleteConsumer(&context, request, &response).ok()) return;
  }
}

}  // namespace weir
