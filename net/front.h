// front: the one thread with sockets of its own: the client listener, the operator's HTTP port, signals.
//
// Owned by server. open() and run on main; its handlers run on its thread. It reaches the cores by letters only.
#pragma once

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/admin_http.h"
#include "net/core.h"
#include "net/listener.h"

namespace weir {

class front {
 public:
  front(std::vector<core*> cores, const listener_limits& limits);
  front(const front&) = delete;
  ~front();

  // unavailable: an address cannot be listened on.
  result<void> open(const asio::ip::tcp::endpoint& listen, const asio::ip::tcp::endpoint& admin);
  std::string listen_address() const;
  std::string admin_address() const;

  // Starts the thread. SIGTERM and SIGINT call `on_signal` there, each time one arrives.
  void start(std::function<void(int signal)> on_signal);
  void set_ready(bool ready) { ready_.store(ready); }
  // Accepts no more clients; the admin port goes on.
  void stop_listening();
  // Ends the thread.
  void stop();

 private:
  asio::awaitable<http_answer> answer(std::string path);
  asio::awaitable<std::vector<core_metrics>> gather(bool with_consumers);
  http_answer readiness(const std::vector<core_metrics>& cores) const;
  void wait_for_signal();

  std::vector<core*> cores_;
  asio::io_context context_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::signal_set signals_;
  std::function<void(int)> on_signal_;
  listener listener_;
  admin_http admin_;
  std::atomic<bool> ready_{false};
  std::thread thread_;
};

}  // namespace weir
