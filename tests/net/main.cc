// The test program of net: gRPC is set up as in the server before anything uses it.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include <csignal>

#include "net/rpc_server.h"

int main(int argc, char** argv) {
  // A test client that waits for nothing looks at its connection only so often; every 5 s by default.
  setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "100", 1);
  weir::prepare_grpc("poll");
  std::signal(SIGPIPE, SIG_IGN);
  spdlog::set_level(spdlog::level::warn);
  return doctest::Context(argc, argv).run();
}
