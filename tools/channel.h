// How our tools connect: plain HTTP/2 to one broker, dead peers noticed, no limit on the size of an answer.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

namespace weir {

// First thing in main, before any other gRPC call: settings that gRPC reads once.
void prepare_grpc();

// A connection of its own: two channels never share a socket.
std::shared_ptr<grpc::Channel> open_channel(const std::string& server);

// "UNAVAILABLE: failed to connect ..." for people; the name alone is `status_name`.
std::string to_text(const grpc::Status& status);
std::string status_name(const grpc::Status& status);

}  // namespace weir
