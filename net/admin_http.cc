#include "net/admin_http.h"

#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <chrono>

#include "net/socket_address.h"

namespace weir {
namespace {

constexpr size_t head_bytes_max = 8u << 10;
constexpr auto request_time_max = std::chrono::seconds(5);
constexpr auto accept_pause = std::chrono::milliseconds(100);

const char* reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    default:
      return "Service Unavailable";
  }
}

std::string to_wire(const http_answer& answer) {
  return "HTTP/1.1 " + std::to_string(answer.status) + " " + reason(answer.status) +
         "\r\nContent-Type: " + answer.content_type + "\r\nContent-Length: " + std::to_string(answer.body.size()) +
         "\r\nConnection: close\r\n\r\n" + answer.body;
}

}  // namespace

admin_http::admin_http(asio::io_context& context, handler answer)
    : context_(context), answer_(std::move(answer)), acceptor_(context) {}

result<void> admin_http::open(const asio::ip::tcp::endpoint& address) {
  asio::error_code fault;
  acceptor_.open(address.protocol(), fault);
  if (!fault) acceptor_.set_option(asio::ip::tcp::acceptor::reuse_address(true), fault);
  if (!fault) acceptor_.bind(address, fault);
  if (!fault) acceptor_.listen(asio::socket_base::max_listen_connections, fault);
  if (fault) {
    return fail(errc::unavailable, "cannot listen on " + to_string(address) + ": " + fault.message());
  }
  asio::co_spawn(context_, accept_loop(), asio::detached);
  return ok();
}

asio::ip::tcp::endpoint admin_http::address() const {
  return acceptor_.local_endpoint();
}

void admin_http::stop() {
  asio::error_code ignored;
  acceptor_.close(ignored);
}

asio::awaitable<void> admin_http::accept_loop() {
  while (acceptor_.is_open()) {
    auto connection = std::make_shared<asio::ip::tcp::socket>(context_);
    asio::error_code fault;
    co_await acceptor_.async_accept(*connection, asio::redirect_error(asio::use_awaitable, fault));
    if (fault == asio::error::operation_aborted) co_return;
    if (fault) {  // out of descriptors, perhaps: not at full speed
      asio::steady_timer pause(context_, accept_pause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, fault));
    } else if (open_ < connections_max) {
      asio::co_spawn(context_, serve(std::move(connection)), asio::detached);
    }
  }
}

asio::awaitable<void> admin_http::serve(std::shared_ptr<asio::ip::tcp::socket> connection) {
  ++open_;
  asio::steady_timer deadline(context_, request_time_max);
  deadline.async_wait([connection](asio::error_code stopped) {
    asio::error_code ignored;
    if (!stopped) connection->close(ignored);
  });
  std::string head;
  asio::error_code fault;
  co_await asio::async_read_until(*connection, asio::dynamic_buffer(head, head_bytes_max), "\r\n\r\n",
                                  asio::redirect_error(asio::use_awaitable, fault));
  if (!fault) {
    http_answer answer = co_await answer_to(std::move(head));
    std::string bytes = to_wire(answer);
    co_await asio::async_write(*connection, asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, fault));
    connection->shutdown(asio::ip::tcp::socket::shutdown_send, fault);
  }
  deadline.cancel();
  --open_;
}

asio::awaitable<http_answer> admin_http::answer_to(std::string head) {
  std::string line = head.substr(0, head.find("\r\n"));
  size_t first = line.find(' ');
  size_t last = line.rfind(' ');
  http_answer refused;
  refused.status = 400;
  refused.body = "not an HTTP/1 request\n";
  if (first == std::string::npos || first == last || line.compare(last + 1, 7, "HTTP/1.") != 0) co_return refused;
  std::string path = line.substr(first + 1, last - first - 1);
  if (path.empty() || path[0] != '/' || path.find(' ') != std::string::npos) co_return refused;
  if (line.compare(0, first, "GET") != 0) {
    refused.status = 405;
    refused.body = "only GET\n";
    co_return refused;
  }
  path = path.substr(0, path.find('?'));
  http_answer answer = co_await answer_(std::move(path));
  co_return answer;
}

}  // namespace weir
