#include "net/listener.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/net/test_client.h"
#include "tests/net/test_host.h"

namespace weir {
namespace {

const std::string check_path = "/grpc.health.v1.Health/Check";

// A plain TCP connection to the server.
class plain_connection {
 public:
  explicit plain_connection(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  plain_connection(const plain_connection&) = delete;
  ~plain_connection() { close(socket_); }
  bool connected() const { return connected_; }
  // True if the server says something first (HTTP/2 settings), false if it closes.
  bool welcomed() const {
    pollfd wait{socket_, POLLIN, 0};
    char byte = 0;
    return poll(&wait, 1, 10'000) == 1 && recv(socket_, &byte, 1, 0) == 1;
  }

 private:
  int socket_;
  bool connected_;
};

void wait_for_connections(test_host& host, uint64_t open) {
  host.home().wait_until([&] { return host.connections().open == open; });
}

TEST_CASE("listener: connections go to the reactor that has the fewest, and are counted until they end") {
  test_host_config config;
  config.reactors = 2;
  test_host host(config);
  std::vector<std::unique_ptr<plain_connection>> open;
  for (int n = 0; n < 6; ++n) {
    open.push_back(std::make_unique<plain_connection>(host.port()));
    REQUIRE(open.back()->welcomed());
  }
  CHECK(host.connections_by_door() == std::vector<size_t>{3, 3});
  open.erase(open.begin());  // one of door 0
  wait_for_connections(host, 5);
  open.push_back(std::make_unique<plain_connection>(host.port()));
  REQUIRE(open.back()->welcomed());
  CHECK(host.connections_by_door() == std::vector<size_t>{3, 3});
  open.clear();
  wait_for_connections(host, 0);
  CHECK(host.connections().accepted == 7);
}

TEST_CASE("listener: a connection that the server closes is counted out too") {
  test_host_config config;
  config.rpc.handshake_ms_max = 100;  // a client that never says anything
  test_host host(config);
  plain_connection silent(host.port());
  REQUIRE(silent.connected());
  host.home().wait_until([&] { return host.connections().accepted == 1; });
  wait_for_connections(host, 0);
}

TEST_CASE("listener: over connections_max, or over that of an address, a connection is closed and others served") {
  for (bool per_address : {false, true}) {
    test_host_config config;
    (per_address ? config.connections.connections_per_address_max : config.connections.connections_max) = 2;
    test_host host(config);
    auto first = std::make_unique<plain_connection>(host.port());
    REQUIRE(first->welcomed());
    test_client client(host.target());
    CHECK(client.unary(check_path, "").status.ok());
    plain_connection third(host.port());
    CHECK_FALSE(third.welcomed());
    CHECK(client.unary(check_path, "").status.ok());
    listener_metrics seen = host.connections();
    CHECK((per_address ? seen.refused_address : seen.refused_total) == 1);
    first.reset();
    wait_for_connections(host, 1);
    plain_connection fourth(host.port());
    CHECK(fourth.welcomed());
  }
}

TEST_CASE("listener: survives running out of descriptors: refuses while there are none, serves again after") {
  test_host host;
  test_client client(host.target());
  REQUIRE(client.unary(check_path, "").status.ok());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  plain_connection waiting_later(host.port());
  REQUIRE(waiting_later.welcomed());
  // A client socket made now, connected when no descriptor is left for the server's side.
  int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(late >= 0);
  std::vector<int> hoard;
  rlimit small = before;
  small.rlim_cur = 256;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &small) == 0);
  while (true) {
    int taken = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (taken < 0) break;
    hoard.push_back(taken);
  }
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(host.port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(late, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  host.home().wait_until([&] { return host.connections().refused_descriptors > 0; });
  CHECK(client.unary(check_path, "").status.ok());  // who is connected is served
  for (int taken : hoard) close(taken);
  setrlimit(RLIMIT_NOFILE, &before);
  close(late);
  plain_connection after(host.port());
  CHECK(after.welcomed());
  test_client fresh(host.target());
  CHECK(fresh.unary(check_path, "").status.ok());
}

}  // namespace
}  // namespace weir
