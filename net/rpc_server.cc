#include "net/rpc_server.h"

#include <absl/synchronization/mutex.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

#include "storage/check.h"

namespace weir {
namespace {

constexpr auto goodbye = std::chrono::milliseconds(200);  // for clients to take note

void limit_transport(grpc::ServerBuilder& builder, const rpc_settings& settings) {
  auto set = [&builder](const char* name, size_t value) { builder.AddChannelArgument(name, static_cast<int>(value)); };
  builder.SetMaxReceiveMessageSize(static_cast<int>(settings.receive_bytes_max));
  builder.SetMaxSendMessageSize(-1);  // our own answers have limits of their own
  set(GRPC_ARG_MAX_METADATA_SIZE, settings.metadata_bytes_max);
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, settings.streams_per_connection_max);
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, settings.handshake_ms_max);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, settings.keepalive_ms);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, settings.keepalive_timeout_ms);
  set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, settings.ping_interval_ms_min);
  set(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, settings.connection_idle_ms_max);
  set(GRPC_ARG_MAX_CONNECTION_AGE_MS, settings.connection_age_ms_max);
  set(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A compressed request could grow a thousandfold in memory.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
}

// gRPC calls many things errors that are a client's fault, one line each: only for those who ask.
void log_of_grpc(gpr_log_func_args* line) {
  spdlog::debug("grpc: {} ({}:{})", line->message, line->file, line->line);
}

}  // namespace

void prepare_grpc(const std::string& poller) {
  // Its false alarms abort the process, and it costs 7 % (Debian builds abseil without NDEBUG).
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // Bad requests are the client's business (parse_fault.h), not a line in our log each.
  google::protobuf::SetLogHandler(nullptr);
  setenv("GRPC_POLL_STRATEGY", poller.c_str(), 1);
  gpr_set_log_function(&log_of_grpc);
  // A reference that stays: when the last one goes, gRPC may wait ten seconds for sockets that are still closing.
  grpc_init();
}

rpc_server::rpc_server(const rpc_settings& settings) : service_(std::make_unique<grpc::AsyncGenericService>()) {
  grpc::ServerBuilder builder;
  limit_transport(builder, settings);
  owned_queue_ = builder.AddCompletionQueue();
  queue_ = owned_queue_.get();
  builder.RegisterAsyncGenericService(service_.get());
  using from = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  door_ = builder.experimental().AddExternalConnectionAcceptor(from::FROM_FD, grpc::InsecureServerCredentials());
  server_ = builder.BuildAndStart();
  WEIR_CHECK(server_ != nullptr);
}

rpc_server::~rpc_server() = default;

std::unique_ptr<grpc::CompletionQueue> rpc_server::take_queue() {
  return std::move(owned_queue_);
}

void rpc_server::hand_over(int connection) {
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters accepted;
  accepted.fd = connection;
  door_->HandleNewConnection(&accepted);
}

void rpc_server::shutdown() {
  server_->Shutdown(std::chrono::system_clock::now() + goodbye);
}

}  // namespace weir
