#include "tools/publisher/feed.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>

namespace weir {
namespace {

constexpr double ns_per_s = 1e9;
constexpr uint64_t source_pause_ns = 10'000'000;  // before a pipe is looked at again
constexpr std::string_view placeholder = "{n}";

}  // namespace

message_feed::message_feed(const publisher_options& options, payload_source& source)
    : options_(options),
      source_(source),
      placeholder_(options.subject.find(placeholder)),
      step_ns_(options.rate > 0 ? ns_per_s / options.rate : 0) {}

void message_feed::begin(uint64_t at_ns) {
  begun_ns_ = at_ns;
  source_again_ns_ = at_ns;
  if (options_.duration_s > 0) ends_ns_ = at_ns + static_cast<uint64_t>(options_.duration_s * ns_per_s);
}

uint64_t message_feed::due_ns(uint64_t number, uint64_t sent_ns) const {
  return step_ns_ > 0 ? begun_ns_ + static_cast<uint64_t>(static_cast<double>(number) * step_ns_) : sent_ns;
}

void message_feed::end_if_over(uint64_t at_ns) {
  if (options_.count > 0 && fed_ == options_.count) {
    feeding_ = false;
  } else if (at_ns >= ends_ns_ || (step_ns_ > 0 && due_ns(fed_, 0) >= ends_ns_)) {
    feeding_ = false;
    // Latency cannot speak for messages that were never sent: they are counted instead.
    const auto due = static_cast<uint64_t>(options_.duration_s * options_.rate);
    const uint64_t wanted = options_.count > 0 ? std::min(options_.count, due) : due;
    overdue_ = wanted > fed_ ? wanted - fed_ : 0;
  }
}

bool message_feed::next(uint64_t at_ns, std::string& payload, fed_message& out) {
  if (feeding_) end_if_over(at_ns);
  if (!feeding_ || at_ns < again_ns(at_ns)) return false;
  const source_state state = source_.next(payload);
  if (state != source_state::ready) {
    if (state == source_state::later) {
      source_again_ns_ = at_ns + source_pause_ns;
    } else {
      feeding_ = false;
      source_failed_ = state == source_state::failed;
    }
    return false;
  }
  out = {fed_, due_ns(fed_, at_ns)};
  ++fed_;
  return true;
}

uint64_t message_feed::again_ns(uint64_t at_ns) const {
  return std::min(std::max(source_again_ns_, due_ns(fed_, at_ns)), ends_ns_);
}

const std::string& message_feed::failure() const {
  static const std::string none;
  return source_failed_ ? source_.failure() : none;
}

void message_feed::make_subject(uint64_t number, std::string& subject) const {
  subject = options_.subject;
  if (has_one_subject()) return;
  subject.replace(placeholder_, placeholder.size(), fmt::format("{}", number % options_.subjects));
}

}  // namespace weir
