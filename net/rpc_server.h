// rpc_server: the gRPC side of one reactor: a grpc::Server with one completion queue, one generic service, and a door
// through which the front thread hands it accepted connections. It has no listening socket of its own.
//
// Made by main before the reactor starts; its queue belongs to the reactor. hand_over() may be called from one other
// thread until shutdown(). shutdown() blocks, so it is called from main while the reactor runs; after it returned no
// call is open and the reactor may be stopped. Destroyed before the reactor (gRPC: servers before queues).
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace grpc {
class AsyncGenericService;
class CompletionQueue;
class Server;
class ServerCompletionQueue;
namespace experimental {
class ExternalConnectionAcceptor;
}
}  // namespace grpc

namespace weir {

// Limits and timeouts of the transport, all enforced by gRPC.
struct rpc_settings {
  size_t receive_bytes_max = 9u << 20;          // one message
  size_t metadata_bytes_max = 8u << 10;         // request headers
  unsigned streams_per_connection_max = 1'000;  // calls at a time
  unsigned handshake_ms_max = 5'000;
  unsigned keepalive_ms = 30'000;
  unsigned keepalive_timeout_ms = 10'000;
  unsigned ping_interval_ms_min = 10'000;  // of a client without data
  unsigned connection_idle_ms_max = 10 * 60 * 1'000;
  unsigned connection_age_ms_max = 60 * 60 * 1'000;  // then no new calls on it; open ones go on
};

// First thing of main(), before any gRPC object: the poller ("poll" or "epoll1"), abseil's deadlock detector off,
// protobuf's complaints about bad input silenced, gRPC's sent to our log at level debug.
void prepare_grpc(const std::string& poller);

class rpc_server {
 public:
  explicit rpc_server(const rpc_settings& settings);
  rpc_server(const rpc_server&) = delete;
  ~rpc_server();

  // For the reactor; once.
  std::unique_ptr<grpc::CompletionQueue> take_queue();
  grpc::ServerCompletionQueue& queue() { return *queue_; }
  grpc::AsyncGenericService& calls() { return *service_; }

  // Takes the descriptor of a connected, non-blocking socket.
  void hand_over(int connection);
  // No new connections and calls; what is open after a moment is cut. (gRPC would wait for clients that are connected,
  // idle and do not look at their connection; the open calls were waited for before.)
  void shutdown();

 private:
  std::unique_ptr<grpc::AsyncGenericService> service_;
  std::unique_ptr<grpc::ServerCompletionQueue> owned_queue_;
  grpc::ServerCompletionQueue* queue_ = nullptr;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> door_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace weir
