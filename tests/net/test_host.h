// The transport half of a server in the test's process: reactors with dispatchers, health and reflection, a listener on
// a free loopback port, no broker. A test attaches handlers of its own in `prepare`, before anything runs.
#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "net/dispatcher.h"
#include "net/health_service.h"
#include "net/listener.h"
#include "net/reactor.h"
#include "net/reflection_service.h"
#include "net/rpc_server.h"
#include "net/system_clock.h"

namespace weir {

struct test_host_config {
  unsigned reactors = 1;
  rpc_settings rpc;
  dispatcher_limits calls;
  listener_limits connections;
  std::function<void(dispatcher&)> prepare;
};

class test_host {
 public:
  explicit test_host(const test_host_config& config = {});
  ~test_host();

  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }
  uint16_t port() const { return port_; }
  reactor& home(size_t n = 0) { return *cores_[n].home; }
  dispatcher& calls(size_t n = 0) { return *cores_[n].calls; }
  dispatcher_metrics metrics(size_t n = 0);
  listener_metrics connections();
  std::vector<size_t> connections_by_door();
  void set_serving(bool serving);
  // The order of the real server; the destructor calls it too.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds(10));

 private:
  struct core {
    std::unique_ptr<reactor> home;
    std::unique_ptr<rpc_server> rpc;
    std::unique_ptr<dispatcher> calls;
    std::unique_ptr<health_service> health;
    std::unique_ptr<reflection_service> reflection;
  };
  void on_front(const std::function<void()>& work);

  system_clock clock_;
  std::vector<core> cores_;
  asio::io_context front_;
  std::unique_ptr<listener> listener_;
  uint16_t port_ = 0;
  std::thread front_thread_;
  bool stopped_ = false;
};

}  // namespace weir
