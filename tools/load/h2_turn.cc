#include "tools/load/h2_turn.h"

#include <poll.h>
#include <sys/prctl.h>

namespace weir {
namespace {

constexpr uint64_t ns_per_s = 1'000'000'000;

timespec time_left(uint64_t until_ns) {
  uint64_t now = until_ns == 0 ? 0 : now_ns();
  uint64_t left = until_ns > now ? until_ns - now : 0;
  return {static_cast<time_t>(left / ns_per_s), static_cast<long>(left % ns_per_s)};
}

}  // namespace

void h2_turn(const std::vector<h2_peer>& peers, uint64_t until_ns) {
  std::vector<pollfd> waits;
  waits.reserve(peers.size());
  bool waiting = true;
  for (const h2_peer& peer : peers) {
    peer.over->flush_some();
    waiting = waiting && !peer.over->has_bad_news();
    // poll() skips a negative descriptor.
    int watched = peer.over->is_broken() ? -1 : peer.over->descriptor();
    waits.push_back({watched, static_cast<short>(peer.over->has_output() ? POLLIN | POLLOUT : POLLIN), 0});
  }
  timespec wait = time_left(waiting ? until_ns : 0);
  int ready = ::ppoll(waits.data(), waits.size(), &wait, nullptr);
  for (size_t n = 0; n < peers.size(); ++n) {
    bool readable = ready > 0 && (waits[n].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
    if (readable || peers[n].over->has_bad_news()) peers[n].over->receive_here(*peers[n].sink);
    peers[n].over->flush_some();
  }
}

void ask_for_exact_timers() {
  (void)::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

}  // namespace weir
