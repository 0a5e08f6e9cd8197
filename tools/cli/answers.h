// What every command of the weir program does with its call: a deadline before, one line on standard error after.
#pragma once

#include <fmt/core.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "tools/channel.h"
#include "tools/cli/print.h"

namespace weir {

inline constexpr int exit_failed = 1;

// `wait`: what the call itself may take, beside being answered.
inline void set_deadline(grpc::ClientContext& context, std::chrono::milliseconds wait = {}) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30) + wait);
}

inline bool reached(const grpc::Status& status) {
  if (!status.ok()) fmt::print(stderr, "weir: {}\n", to_text(status));
  return status.ok();
}

template <class Response>
bool accepted(const grpc::Status& status, const Response& response) {
  if (!reached(status)) return false;
  if (!response.success()) fmt::print(stderr, "weir: {}: {}\n", response.result_code(), response.message());
  return response.success();
}

inline void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

inline void put_json(const google::protobuf::Message& message) {
  put(to_json(message) + "\n");
}

}  // namespace weir
