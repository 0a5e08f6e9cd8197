#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "tests/net/held_call.h"
#include "tests/net/test_client.h"
#include "tests/net/test_host.h"

namespace weir {
namespace {

const std::string check_path = "/grpc.health.v1.Health/Check";
const std::string watch_path = "/grpc.health.v1.Health/Watch";

TEST_CASE(
    "shutdown: under load from many clients, two reactors stop, and every call ends with OK or a status that says so") {
  for (int round = 0; round < 5; ++round) {
    test_host_config config;
    config.reactors = 2;
    auto host = std::make_unique<test_host>(config);
    std::atomic<int> good{0};
    std::atomic<int> warm{0};
    std::mutex lock;
    std::vector<std::string> odd;
    std::atomic<bool> stopping{false};
    std::vector<std::thread> clients;
    for (int n = 0; n < 4; ++n) {
      clients.emplace_back([&] {
        test_client client(host->target());
        int mine = 0;
        while (true) {
          answer got = client.unary(check_path, "");
          if (got.status.ok()) {
            if (mine++ == 50) ++warm;
            client.fail_fast();
            ++good;
            continue;
          }
          // CANCELLED is gRPC's word for calls that come after its shutdown began and before the client was told.
          bool expected = got.status.error_code() == grpc::UNAVAILABLE || got.status.error_code() == grpc::CANCELLED;
          if (!stopping || !expected) {
            std::lock_guard hold(lock);
            odd.push_back(got.status.error_message() + " " + std::to_string(got.status.error_code()));
          }
          break;
        }
      });
    }
    test_stream watch(host->target(), watch_path);
    REQUIRE(watch.write(""));
    REQUIRE(watch.read());
    host->home().wait_until([&] { return warm == 4; });
    // A client looks at its connection only while it waits for something.
    grpc::Status watch_status;
    std::thread watcher([&] {
      while (watch.read()) {
      }
      watch_status = watch.finish();
    });
    stopping = true;
    host->stop();
    watcher.join();
    CHECK(watch_status.error_code() == grpc::UNAVAILABLE);
    for (std::thread& one : clients) one.join();
    CHECK(good > 200);
    for (const std::string& status : odd) FAIL_CHECK(status);
  }
}

TEST_CASE("shutdown: a call in flight is finished, not cut") {
  held_call held;
  test_host_config config;
  config.prepare = [&](dispatcher& calls) { calls.implement("/waymaker.kv.WaymakerKvService/Put", held.handler()); };
  test_host host(config);
  answer got;
  std::thread client([&] {
    test_client connected(host.target());
    got = connected.unary("/waymaker.kv.WaymakerKvService/Put", "");
  });
  host.home().wait_until([&] { return held.entered == 1; });
  std::thread stopper([&] { host.stop(); });
  host.home().wait_until([&] { return host.calls().stopping(); });
  host.home().call([&] { held.resume(); });
  stopper.join();
  client.join();
  CHECK(got.status.ok());
  CHECK(got.only() == "late");
}

TEST_CASE("shutdown: a handler that outlasts the grace time is cancelled, and its late answer harms nothing") {
  held_call held;
  test_host_config config;
  config.prepare = [&](dispatcher& calls) { calls.implement("/waymaker.kv.WaymakerKvService/Put", held.handler()); };
  test_host host(config);
  answer got;
  std::thread client([&] {
    test_client connected(host.target());
    got = connected.unary("/waymaker.kv.WaymakerKvService/Put", "");
  });
  host.home().wait_until([&] { return held.entered == 1; });
  std::thread stopper([&] { host.stop(std::chrono::milliseconds(50)); });
  client.join();  // cancelled by the server
  CHECK_FALSE(got.status.ok());
  host.home().call([&] { held.resume(); });
  stopper.join();
}

}  // namespace
}  // namespace weir
