#include "net/connection_watch.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>

#include "storage/check.h"

namespace weir {

connection_watch::connection_watch(asio::io_context& context, std::function<void(uint64_t)> on_end)
    : ends_(context, epoll_create1(EPOLL_CLOEXEC)), on_end_(std::move(on_end)) {
  wait();
}

connection_watch::~connection_watch() {
  stop();
}

void connection_watch::stop() {
  asio::error_code ignored;
  ends_.close(ignored);
  for (auto& [duplicate, token] : tokens_) close(duplicate);
  tokens_.clear();
}

result<void> connection_watch::add(int connection, uint64_t token) {
  int duplicate = fcntl(connection, F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) return fail(errc::resource_exhausted, "no descriptor left to watch a connection");
  epoll_event interest{};
  interest.events = EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLET;
  interest.data.fd = duplicate;
  if (epoll_ctl(ends_.native_handle(), EPOLL_CTL_ADD, duplicate, &interest) != 0) {
    close(duplicate);
    return fail(errc::resource_exhausted, "the kernel's limit of watched descriptors is reached");
  }
  tokens_.emplace(duplicate, token);
  return ok();
}

void connection_watch::wait() {
  ends_.async_wait(asio::posix::stream_descriptor::wait_read, [this](asio::error_code fault) {
    if (fault) return;  // stopped
    collect();
    wait();
  });
}

void connection_watch::collect() {
  std::array<epoll_event, 64> ended;
  int count = epoll_wait(ends_.native_handle(), ended.data(), static_cast<int>(ended.size()), 0);
  for (int n = 0; n < count; ++n) {
    auto found = tokens_.find(ended[static_cast<size_t>(n)].data.fd);
    WEIR_CHECK(found != tokens_.end());
    uint64_t token = found->second;
    // Closing alone would leave it in the set: the socket is still open under gRPC's descriptor.
    epoll_ctl(ends_.native_handle(), EPOLL_CTL_DEL, found->first, nullptr);
    close(found->first);
    tokens_.erase(found);
    on_end_(token);
  }
}

}  // namespace weir
