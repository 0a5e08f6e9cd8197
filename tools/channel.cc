#include "tools/channel.h"

#include <absl/synchronization/mutex.h>
#include <fmt/core.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace weir {
namespace {

constexpr int keepalive_ms = 20'000;
constexpr int keepalive_timeout_ms = 10'000;

constexpr std::array<std::string_view, 17> status_names = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

}  // namespace

void prepare_grpc() {
  // Debian's abseil looks for deadlocks on every lock: 20 % of a client's time, and nothing we need.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  ::setenv("GRPC_POLL_STRATEGY", "poll", 0);
  ::setenv("GRPC_VERBOSITY", "NONE", 0);  // every failure reaches the user through its status
}

std::shared_ptr<grpc::Channel> open_channel(const std::string& server) {
  grpc::ChannelArguments settings;
  settings.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  settings.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
  settings.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_timeout_ms);
  settings.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  settings.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  settings.SetMaxReceiveMessageSize(-1);
  settings.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), settings);
}

std::string status_name(const grpc::Status& status) {
  const auto code = static_cast<size_t>(status.error_code());
  return code < status_names.size() ? std::string(status_names[code]) : fmt::format("STATUS_{}", code);
}

std::string to_text(const grpc::Status& status) {
  return fmt::format("{}: {}", status_name(status), status.error_message());
}

}  // namespace weir
