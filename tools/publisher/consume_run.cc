#include "tools/publisher/consume_run.h"

#include <fmt/core.h>

#include <algorithm>

namespace weir {
namespace {

constexpr uint64_t idle_wait_ns = 20'000'000;  // how late the end may be noticed
constexpr uint64_t gather_ns = 1'000'000;      // for more messages, before those that came are acknowledged
constexpr size_t calls_max = 500;              // of one connection at a time; brokers have a limit
constexpr uint64_t hurried_patience_ns = 5'000'000'000;

// The streams of connection `n`: each stream is on one connection, or, if there are more connections, on several.
std::vector<consumer_link::place> places_of(size_t n, size_t connections, const std::vector<std::string>& streams) {
  std::vector<consumer_link::place> places;
  if (connections >= streams.size()) {
    const size_t stream = n % streams.size();
    places.push_back({stream, streams[stream], connections == streams.size()});
  } else {
    for (size_t stream = n; stream < streams.size(); stream += connections) {
      places.push_back({stream, streams[stream], true});
    }
  }
  return places;
}

}  // namespace

result<std::unique_ptr<consume_run>> consume_run::start(const publisher_options& options, const std::string& consumer,
                                                        delivery_match& match) {
  std::unique_ptr<consume_run> made(new consume_run(match));
  const std::vector<std::string> streams = stream_names(options);
  const auto make = options.mode == publish_mode::batch ? make_lane_consumer : make_fetch_consumer;
  const size_t connections = std::max<size_t>(options.connections, (streams.size() - 1) / calls_max + 1);
  for (size_t n = 0; n < connections; ++n) {
    auto connection = h2_connection::connect(options.server);
    if (!connection) return connection.err();
    made->links_.push_back(make(std::move(*connection), match, consumer, places_of(n, connections, streams)));
  }
  made->thread_ = std::thread([self = made.get()] { self->loop(); });
  return made;
}

consume_run::~consume_run() {
  static const std::atomic<bool> now{true};
  if (thread_.joinable()) (void)finish(0, now);
}

std::string consume_run::finish(uint64_t patience_ns, const std::atomic<bool>& hurry) {
  patience_ns_ = patience_ns;
  hurry_ = &hurry;
  ending_ = true;
  thread_.join();
  return failure_;
}

bool consume_run::is_over(uint64_t at_ns, uint64_t changed_ns) {
  for (const auto& link : links_) {
    if (link->failure().empty()) continue;
    failure_ = link->failure();
    return true;
  }
  if (!ending_) return false;
  const bool settled = std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->settled(); });
  if (settled && match_.outstanding() == 0) return true;
  const uint64_t patience_ns = *hurry_ ? std::min(patience_ns_.load(), hurried_patience_ns) : patience_ns_.load();
  if (at_ns - changed_ns < patience_ns) return false;
  failure_ = fmt::format("nothing came for {:.0f} s", static_cast<double>(patience_ns) / 1e9);
  return true;
}

void consume_run::loop() {
  ask_for_exact_timers();
  std::vector<h2_peer> peers;
  for (const auto& link : links_) {
    peers.push_back(link->peer());
    link->begin();
  }
  uint64_t seen = 0;
  uint64_t changed_ns = now_ns();
  for (uint64_t now = changed_ns; !is_over(now, changed_ns); now = now_ns()) {
    const bool settled = std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->settled(); });
    h2_turn(peers, now + (settled ? idle_wait_ns : gather_ns));
    for (const auto& link : links_) link->work();
    if (!ending_ || seen != match_.consumed()) changed_ns = now_ns();
    seen = match_.consumed();
  }
}

}  // namespace weir
