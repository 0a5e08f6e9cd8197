#include "net/server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "net/socket_address.h"
#include "tests/net/test_server.h"

namespace weir {
namespace {

// Sends the text to HOST:PORT and returns all that comes back until the server closes.
std::string talk(const std::string& address, const std::string& text) {
  auto to = parse_host_port(address);
  REQUIRE(to);
  int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(to->port);
  inet_pton(AF_INET, to->host.c_str(), &where.sin_addr);
  REQUIRE(::connect(socket, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
  REQUIRE(send(socket, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  std::string got;
  char bytes[4096];
  for (ssize_t size = 0; (size = recv(socket, bytes, sizeof bytes, 0)) > 0;)
    got.append(bytes, static_cast<size_t>(size));
  close(socket);
  return got;
}

std::string get(const std::string& address, const std::string& path) {
  return talk(address, "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
}

server_options quick_options(const std::string& data) {
  server_options options;
  options.listen = "127.0.0.1:0";
  options.admin = "127.0.0.1:0";
  options.data = data;
  options.shards = 1;
  options.storage.journal.segment_bytes = 4u << 20;
  options.storage.journal.batch_bytes_max = 2u << 20;
  return options;
}

TEST_CASE("admin port: health, readiness and metrics of every shard, nothing else") {
  test_server host(2);
  std::string admin = host.running().admin_address();
  CHECK(get(admin, "/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(get(admin, "/readyz").ends_with("\r\n\r\nready\n"));
  std::string metrics = get(admin, "/metrics?any=query");
  CHECK(metrics.starts_with("HTTP/1.1 200 OK\r\n"));
  for (const char* line :
       {"weir_connections 0\n", "weir_rpc_calls_total{shard=\"0\"} 0\n", "weir_streams{shard=\"1\"} 0\n",
        "weir_journal_syncs_total{shard=\"1\"} ", "weir_shard_failed{shard=\"0\"} 0\n"}) {
    CHECK_MESSAGE(metrics.find(line) != std::string::npos, line);
  }
  CHECK(get(admin, "/").starts_with("HTTP/1.1 404 "));
  CHECK(talk(admin, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
  for (const char* bad : {"nonsense\r\n\r\n", "GET /metrics\r\n\r\n", "GET metrics HTTP/1.1\r\n\r\n", "\r\n\r\n",
                          "GET /a b HTTP/1.1\r\n\r\n", "GET / FTP/1.1\r\n\r\n"}) {
    CHECK_MESSAGE(talk(admin, bad).starts_with("HTTP/1.1 400 "), bad);
  }
  CHECK(talk(admin, std::string(10'000, 'x')).empty());  // a head without an end
  CHECK(get(admin, "/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("server: an address that is not loopback is refused unless --insecure is given") {
  temp_dir scratch;
  server_options options = quick_options(scratch.path() + "/data");
  options.listen = "0.0.0.0:0";
  auto refused = server::start(options);
  REQUIRE_FALSE(refused);
  CHECK(refused.err().code == errc::invalid_argument);
  CHECK(refused.err().message.find("--insecure") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(options.data));
  options.insecure = true;
  auto started = server::start(options);
  REQUIRE(started);
  CHECK((*started)->listen_address().starts_with("0.0.0.0:"));
}

TEST_CASE("server: a data directory in use and a port in use are refused, and leave nothing running") {
  temp_dir scratch;
  auto first = server::start(quick_options(scratch.path() + "/a"));
  REQUIRE(first);
  auto locked = server::start(quick_options(scratch.path() + "/a"));
  REQUIRE_FALSE(locked);
  CHECK(locked.err().code == errc::locked);
  server_options same_port = quick_options(scratch.path() + "/b");
  same_port.listen = (*first)->listen_address();
  auto taken = server::start(same_port);
  REQUIRE_FALSE(taken);
  CHECK(taken.err().code == errc::unavailable);
  CHECK(taken.err().message.find(same_port.listen) != std::string::npos);
  auto free_again = server::start(quick_options(scratch.path() + "/b"));
  CHECK(free_again);
}

TEST_CASE("server: a shard that cannot be opened ends the start with its error") {
  temp_dir scratch;
  { REQUIRE(server::start(quick_options(scratch.path() + "/data"))); }
  std::filesystem::permissions(scratch.path() + "/data", std::filesystem::perms::owner_all);
  std::filesystem::remove_all(scratch.path() + "/data/shard-0");
  { std::ofstream(scratch.path() + "/data/shard-0") << "not a folder"; }
  auto refused = server::start(quick_options(scratch.path() + "/data"));
  REQUIRE_FALSE(refused);
  CHECK_FALSE(refused.err().message.empty());
}

}  // namespace
}  // namespace weir
