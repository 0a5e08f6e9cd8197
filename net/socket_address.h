// HOST:PORT as people write it, and sockets that listen there. IPv6 hosts stand in brackets: [::1]:7460.
#pragma once

#include <asio/ip/tcp.hpp>
#include <string>

#include "storage/result.h"

namespace weir {

struct host_port {
  std::string host;
  uint16_t port = 0;
};

// invalid_argument if the text is not HOST:PORT.
result<host_port> parse_host_port(const std::string& text);

// The first address of the host; blocks for a name that is not a number. invalid_argument if there is none.
result<asio::ip::tcp::endpoint> resolve(const std::string& text);

// "127.0.0.1:7460", "[::1]:7460".
std::string to_string(const asio::ip::tcp::endpoint& address);

}  // namespace weir
