// The client side of a load: connections to one broker and a fixed number of calls that are used again and again.
//
// One owner, one thread; all calls complete on one queue, read by next_done(). A call belongs to its user between
// free_call() and start(), and again from next_done() until release(). Destroyed only when no call is under way.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "waymaker/streams.grpc.pb.h"

namespace weir {

using steady_time = std::chrono::steady_clock::time_point;

struct publish_call {
  size_t stream = 0;  // of the run
  waymaker::streams::PublishRequest request;
  waymaker::streams::PublishResponse response;
  grpc::Status status;
  uint64_t number = 0;  // of the message, from 0
  uint64_t due_ns = 0;  // when it should have been sent (now_ns); latency counts from here

  // What gRPC wants anew for each attempt.
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<waymaker::streams::PublishResponse>> reader;
  waymaker::streams::WaymakerStreamsService::Stub* stub = nullptr;
};

class connections {
 public:
  connections(const std::string& server, size_t channels, size_t calls);
  connections(const connections&) = delete;
  connections& operator=(const connections&) = delete;
  ~connections();

  waymaker::streams::WaymakerStreamsService::Stub& first() { return *stubs_.front(); }

  bool has_free() const { return !free_.empty(); }
  publish_call& free_call();
  void start(publish_call& call);
  // The next answered call, or null when `until` passed first.
  publish_call* next_done(steady_time until);
  void release(publish_call& call);
  size_t under_way() const { return under_way_; }
  // Every call under way ends soon, with CANCELLED.
  void cancel();

 private:
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<waymaker::streams::WaymakerStreamsService::Stub>> stubs_;
  std::vector<publish_call> calls_;
  std::vector<publish_call*> free_;
  size_t under_way_ = 0;
};

}  // namespace weir
