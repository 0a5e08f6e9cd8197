// listener: accepts the connections of the gRPC port and gives each to the reactor that has the fewest.
//
// gRPC's own listener stops for ever when descriptors run out, and has no caps; this one answers by closing: over
// connections_max, over connections_per_address_max, or without a descriptor left (a spare one is kept to take the
// connection off the queue). One thread: the front's. stop() before the servers behind the doors shut down.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/connection_watch.h"
#include "net/rpc_server.h"
#include "storage/result.h"

namespace weir {

struct listener_limits {
  size_t connections_max = 8'000;
  size_t connections_per_address_max = 1'000;
};

struct listener_metrics {
  uint64_t accepted = 0;
  uint64_t refused_total = 0;        // over connections_max
  uint64_t refused_address = 0;      // over connections_per_address_max
  uint64_t refused_descriptors = 0;  // none left
  uint64_t open = 0;
};

class listener {
 public:
  listener(asio::io_context& context, std::vector<rpc_server*> doors, const listener_limits& limits);
  ~listener();

  // unavailable: cannot listen there; the message says why.
  result<void> open(const asio::ip::tcp::endpoint& address);
  asio::ip::tcp::endpoint address() const;
  void stop();
  const listener_metrics& metrics() const { return metrics_; }
  const std::vector<size_t>& connections_by_door() const { return by_door_; }

 private:
  struct connection {
    std::string address;
    size_t door;
  };

  void wait();
  void accept_all();
  void accept_one(int socket, const asio::ip::tcp::endpoint& from);
  void out_of_descriptors();
  void ended(uint64_t token);

  std::vector<rpc_server*> doors_;
  const listener_limits limits_;
  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  connection_watch watch_;
  int spare_ = -1;
  uint64_t next_token_ = 1;
  std::unordered_map<uint64_t, connection> open_;
  std::unordered_map<std::string, size_t> by_address_;
  std::vector<size_t> by_door_;
  listener_metrics metrics_;
};

}  // namespace weir
