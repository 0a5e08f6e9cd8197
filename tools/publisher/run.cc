#include "tools/publisher/run.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <thread>

#include "tools/channel.h"
#include "tools/load/clock.h"
#include "tools/payload_hash.h"

namespace weir {
namespace {

constexpr uint64_t ns_per_ms = 1'000'000;
constexpr uint64_t tick_ns = 100 * ns_per_ms;                // how late an interrupt or the progress line may be
constexpr uint64_t retry_pause_ns = 100 * ns_per_ms;         // before a message is sent again
constexpr uint64_t answers_wait_ns = 30'000 * ns_per_ms;     // without any answer, when the run ends
constexpr uint64_t interrupted_wait_ns = 5'000 * ns_per_ms;  // the same after an interrupt
constexpr uint64_t timer_slack_ns = 2 * ns_per_ms;           // gRPC's timers are that coarse: nearer than this, spin
constexpr size_t answers_per_turn = 64;

// Codes after which the same message may still be stored: the broker's `later` and `unknown`.
constexpr std::array<std::string_view, 5> retry_codes = {"disk_full", "resource_exhausted", "unavailable",
                                                         "storage_failed", "internal"};

bool worth_retrying(const publish_call& call) {
  if (call.status.ok()) {
    const auto& code = call.response.result_code();
    return std::find(retry_codes.begin(), retry_codes.end(), code) != retry_codes.end();
  }
  return call.status.error_code() == grpc::StatusCode::UNAVAILABLE;
}

steady_time to_time(uint64_t ns) {
  return steady_time(std::chrono::nanoseconds(ns));
}

}  // namespace

publish_run::publish_run(const publisher_options& options, connections& broker, message_feed& feed, tally& counts,
                         delivery_match* match, const std::atomic<bool>& interrupt)
    : options_(options),
      broker_(broker),
      feed_(feed),
      counts_(counts),
      match_(match),
      interrupt_(interrupt),
      streams_(stream_names(options)) {}

void publish_run::go() {
  while (feed_.feeding()) {
    feed_.end_if_over(now_ns());
    if (interrupt_) abort("interrupted");
    send_due();
    if (feed_.feeding()) take_answers();
  }
  wait_for_answers();
  counts_.totals().sent = feed_.fed();
  counts_.totals().overdue = feed_.overdue();
}

void publish_run::wait_for_answers() {
  last_answer_ns_ = now_ns();
  bool cancelled = false;
  while (broker_.under_way() > 0 || !retries_.empty()) {
    if (interrupt_ && !aborted_) abort("interrupted");
    const uint64_t patience_ns = interrupt_ ? interrupted_wait_ns : answers_wait_ns;
    if (!cancelled && now_ns() - last_answer_ns_ > patience_ns) {
      broker_.cancel();
      cancelled = true;
    }
    take_answers();
  }
}

void publish_run::send_due() {
  for (size_t burst = 0; burst < answers_per_turn && feed_.feeding() && broker_.has_free(); ++burst) {
    if (!fill_and_start(now_ns())) return;
  }
}

bool publish_run::fill_and_start(uint64_t at_ns) {
  publish_call& call = broker_.free_call();
  fed_message fed;
  if (!feed_.next(at_ns, *call.request.mutable_payload(), fed)) {
    broker_.release(call);
    if (!feed_.failure().empty()) {
      ++counts_.totals().errors["input"];
      abort(feed_.failure());
    }
    return false;
  }
  call.number = fed.number;
  call.due_ns = options_.rate > 0 ? fed.due_ns : now_ns();  // making a payload is no latency
  call.stream = static_cast<size_t>(fed.number % streams_.size());
  call.request.set_stream(streams_[call.stream]);
  feed_.make_subject(fed.number, *call.request.mutable_subject());
  broker_.start(call);
  return true;
}

void publish_run::take_answers() {
  const uint64_t now = now_ns();
  retry_due(now);
  counts_.show_progress(now, feed_.fed());
  publish_call* call = broker_.next_done(to_time(wake_at(now)));
  for (size_t taken = 0; call != nullptr && taken < answers_per_turn; ++taken) {
    take(*call, now_ns());
    call = taken + 1 < answers_per_turn ? broker_.next_done(steady_time::min()) : nullptr;
  }
}

void publish_run::take(publish_call& call, uint64_t at_ns) {
  last_answer_ns_ = at_ns;
  if (call.status.ok() && call.response.success()) {
    counts_.acked(call.due_ns, at_ns, 1, call.request.payload().size());
    if (match_ != nullptr) match_->acknowledged(call.stream, call.response.seq(), 1, call.due_ns);
    if (options_.verify) {
      const uint64_t hash = payload_hash(call.request.payload());
      counts_.totals().acknowledged_messages.push_back({call.response.seq(), call.number, hash, call.stream});
    }
    broker_.release(call);
  } else if (options_.retry && worth_retrying(call) && !aborted_ && !feed_.time_is_up(at_ns)) {
    retries_.push({at_ns + retry_pause_ns, &call});
  } else if (call.status.ok()) {
    count_failure(call, call.response.result_code(), call.response.message());
  } else {
    count_failure(call, status_name(call.status), call.status.error_message());
  }
}

void publish_run::count_failure(publish_call& call, const std::string& code, const std::string& text) {
  const size_t size = call.request.payload().size();
  counts_.failed(code, fmt::format("{} ({} bytes)", feed_.name_of(call.number), size), text);
  broker_.release(call);
  if (counts_.too_many_errors()) abort(fmt::format("{} errors", counts_.totals().failed));
}

// Once the run is aborted or over, nothing is sent again: what waits for its retry has failed.
void publish_run::retry_due(uint64_t at_ns) {
  const bool over = aborted_ || feed_.time_is_up(at_ns);
  while (!retries_.empty() && (over || retries_.top().at_ns <= at_ns)) {
    publish_call& call = *retries_.top().call;
    retries_.pop();
    if (over) {
      take(call, at_ns);
    } else {
      ++counts_.totals().retried;
      broker_.start(call);
    }
  }
}

void publish_run::abort(std::string why) {
  run_totals& totals = counts_.totals();
  feed_.stop();
  aborted_ = true;
  totals.interrupted = totals.interrupted || interrupt_;
  if (totals.stopped.empty()) totals.stopped = std::move(why);
}

uint64_t publish_run::wake_at(uint64_t at_ns) const {
  uint64_t until = at_ns + tick_ns;
  if (!retries_.empty()) until = std::min(until, retries_.top().at_ns);
  if (!feed_.feeding() || !broker_.has_free()) return std::max(until, at_ns + ns_per_ms);
  const uint64_t again = feed_.again_ns(at_ns);
  if (again <= at_ns) return at_ns;
  if (again - at_ns > timer_slack_ns) return std::min(until, again - timer_slack_ns);
  std::this_thread::yield();
  return at_ns;
}

}  // namespace weir
