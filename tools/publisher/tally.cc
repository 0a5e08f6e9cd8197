#include "tools/publisher/tally.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

#include "tools/load/clock.h"

namespace weir {
namespace {

constexpr double ns_per_s = 1e9;
constexpr uint64_t progress_every_ns = 1'000'000'000;
constexpr size_t examples_max = 5;

}  // namespace

tally::tally(const publisher_options& options, const std::atomic<uint64_t>* consumed)
    : options_(options), consumed_(consumed), progress_(!options.quiet && ::isatty(STDERR_FILENO) == 1) {}

void tally::begin(uint64_t at_ns) {
  begun_ns_ = at_ns;
  shown_ns_ = at_ns;
  totals_.over_time.begin(at_ns);
}

void tally::acked(uint64_t due_ns, uint64_t at_ns, uint64_t count, uint64_t payload_bytes) {
  const uint64_t latency_ns = at_ns > due_ns ? at_ns - due_ns : 0;
  totals_.acked += count;
  totals_.bytes += payload_bytes;
  totals_.latency_ns.record(latency_ns, count);
  totals_.over_time.record(at_ns, latency_ns, count);
  totals_.seconds = static_cast<double>(at_ns - begun_ns_) / ns_per_s;
}

void tally::failed(const std::string& code, const std::string& what, const std::string& why, uint64_t count) {
  totals_.failed += count;
  totals_.errors[code] += count;
  if (totals_.examples.size() < examples_max) totals_.examples.push_back(fmt::format("{}: {}: {}", what, code, why));
  totals_.seconds = static_cast<double>(now_ns() - begun_ns_) / ns_per_s;
}

void tally::show_progress(uint64_t at_ns, uint64_t sent) {
  if (!progress_ || at_ns < shown_ns_ + progress_every_ns) return;
  const double span = static_cast<double>(at_ns - shown_ns_) / ns_per_s;
  const auto acked = static_cast<double>(totals_.acked - shown_acked_);
  const auto bytes = static_cast<double>(totals_.bytes - shown_bytes_);
  const std::string consumed = consumed_ == nullptr ? "" : fmt::format("  consumed {}", consumed_->load());
  fmt::print(stderr, "\r\033[K{:6.1f} s  sent {}  acked {}  failed {}{}  {:.0f} msg/s  {:.1f} MB/s",
             static_cast<double>(at_ns - begun_ns_) / ns_per_s, sent, totals_.acked, totals_.failed, consumed,
             acked / span, bytes / span / 1e6);
  shown_ns_ = at_ns;
  shown_acked_ = totals_.acked;
  shown_bytes_ = totals_.bytes;
}

void tally::end_progress() {
  if (progress_) fmt::print(stderr, "\r\033[K");
}

}  // namespace weir
