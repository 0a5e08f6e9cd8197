#include "tools/load/tcp_connect.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace weir {
namespace {

constexpr int silence_s_max = 60;

// A negative number if it cannot; errno says why.
int connect_to(const addrinfo& peer) {
  int made = ::socket(peer.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) return made;
  if (::connect(made, peer.ai_addr, peer.ai_addrlen) != 0) {
    int why = errno;
    ::close(made);
    errno = why;
    return -1;
  }
  int on = 1;
  timeval limit{silence_s_max, 0};
  (void)::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)::setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return made;
}

}  // namespace

result<int> connect_tcp(const std::string& target) {
  size_t colon = target.rfind(':');
  if (colon == std::string::npos) return fail(errc::invalid_argument, "not HOST:PORT: " + target);
  std::string host = target.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int failed = ::getaddrinfo(host.c_str(), target.c_str() + colon + 1, &wanted, &found);
  if (failed != 0) return fail(errc::unavailable, "cannot connect to " + target + ": " + ::gai_strerror(failed));
  int made = -1;
  for (const addrinfo* each = found; each != nullptr && made < 0; each = each->ai_next) made = connect_to(*each);
  std::string why = made < 0 ? std::strerror(errno) : "";
  ::freeaddrinfo(found);
  if (made < 0) return fail(errc::unavailable, "cannot connect to " + target + ": " + why);
  return made;
}

}  // namespace weir
