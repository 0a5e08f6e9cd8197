// admin_http: the operator's port: GET /healthz, /readyz, /metrics; nothing else, nothing that changes anything.
//
// A strict reader of one GET request a connection (request head up to 8 KiB, within 5 s), then the connection closes.
// No HTTP library is among our dependencies, and this needs none: no bodies, no keep-alive, no chunks. One thread: the
// front's context.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>

#include "storage/result.h"

namespace weir {

struct http_answer {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class admin_http {
 public:
  // Answers a path, unknown ones too. Runs on the context's thread.
  using handler = std::function<asio::awaitable<http_answer>(std::string path)>;
  static constexpr size_t connections_max = 64;

  admin_http(asio::io_context& context, handler answer);

  // unavailable: cannot listen there; the message says why.
  result<void> open(const asio::ip::tcp::endpoint& address);
  asio::ip::tcp::endpoint address() const;
  void stop();

 private:
  asio::awaitable<void> accept_loop();
  asio::awaitable<void> serve(std::shared_ptr<asio::ip::tcp::socket> connection);
  asio::awaitable<http_answer> answer_to(std::string head);

  asio::io_context& context_;
  handler answer_;
  asio::ip::tcp::acceptor acceptor_;
  size_t open_ = 0;
};

}  // namespace weir
