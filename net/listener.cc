#include "net/listener.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "net/socket_address.h"

namespace weir {
namespace {

constexpr auto descriptor_pause = std::chrono::milliseconds(50);
constexpr int accepts_a_turn_max = 64;

int open_spare() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace

listener::listener(asio::io_context& context, std::vector<rpc_server*> doors, const listener_limits& limits)
    : doors_(std::move(doors)),
      limits_(limits),
      acceptor_(context),
      pause_(context),
      watch_(context, [this](uint64_t token) { ended(token); }),
      spare_(open_spare()),
      by_door_(doors_.size(), 0) {}

listener::~listener() {
  stop();
  if (spare_ >= 0) close(spare_);
}

result<void> listener::open(const asio::ip::tcp::endpoint& address) {
  asio::error_code fault;
  acceptor_.open(address.protocol(), fault);
  if (!fault) acceptor_.set_option(asio::ip::tcp::acceptor::reuse_address(true), fault);
  if (!fault) acceptor_.bind(address, fault);
  if (!fault) acceptor_.listen(asio::socket_base::max_listen_connections, fault);
  if (!fault) acceptor_.native_non_blocking(true, fault);
  if (fault) {
    return fail(errc::unavailable, "cannot listen on " + to_string(address) + ": " + fault.message());
  }
  wait();
  return ok();
}

asio::ip::tcp::endpoint listener::address() const {
  return acceptor_.local_endpoint();
}

void listener::stop() {
  asio::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  watch_.stop();
}

void listener::wait() {
  acceptor_.async_wait(asio::ip::tcp::acceptor::wait_read, [this](asio::error_code fault) {
    if (fault || !acceptor_.is_open()) return;  // stopped
    accept_all();
  });
}

void listener::accept_all() {
  for (int n = 0; n < accepts_a_turn_max; ++n) {
    asio::ip::tcp::endpoint from;
    auto size = static_cast<socklen_t>(from.capacity());
    int socket = accept4(acceptor_.native_handle(), from.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket >= 0) {
      accept_one(socket, from);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return out_of_descriptors();
    } else if (errno == EAGAIN) {
      break;
    }
    // Anything else (ECONNABORTED, a network fault) belongs to that connection only.
  }
  wait();
}

void listener::accept_one(int socket, const asio::ip::tcp::endpoint& from) {
  std::string address = from.address().to_string();
  size_t& of_address = by_address_[address];
  uint64_t* refused = nullptr;
  if (open_.size() >= limits_.connections_max) refused = &metrics_.refused_total;
  if (of_address >= limits_.connections_per_address_max) refused = &metrics_.refused_address;
  uint64_t token = next_token_++;
  if (refused == nullptr && !watch_.add(socket, token)) refused = &metrics_.refused_descriptors;
  if (refused != nullptr) {
    ++*refused;
    if (of_address == 0) by_address_.erase(address);
    close(socket);
    return;
  }
  int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto door = static_cast<size_t>(std::min_element(by_door_.begin(), by_door_.end()) - by_door_.begin());
  ++of_address;
  ++by_door_[door];
  open_.emplace(token, connection{std::move(address), door});
  ++metrics_.accepted;
  metrics_.open = open_.size();
  doors_[door]->hand_over(socket);
}

// Takes one connection off the queue by means of the spare descriptor, so that its client learns at once; then pauses,
// for the queue may be long and the want of descriptors lasting.
void listener::out_of_descriptors() {
  ++metrics_.refused_descriptors;
  if (spare_ >= 0) {
    close(spare_);
    int socket = accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
    if (socket >= 0) close(socket);
    spare_ = open_spare();
  }
  pause_.expires_after(descriptor_pause);
  pause_.async_wait([this](asio::error_code fault) {
    if (fault || !acceptor_.is_open()) return;
    if (spare_ < 0) spare_ = open_spare();
    wait();
  });
}

void listener::ended(uint64_t token) {
  auto found = open_.find(token);
  if (found == open_.end()) return;
  auto of_address = by_address_.find(found->second.address);
  if (--of_address->second == 0) by_address_.erase(of_address);
  --by_door_[found->second.door];
  open_.erase(found);
  metrics_.open = open_.size();
}

}  // namespace weir
