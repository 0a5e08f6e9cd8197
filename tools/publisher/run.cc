#include "tools/publisher/run.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <thread>

#include "tools/channel.h"
#include "tools/payload_hash.h"

namespace weir {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto tick = 100ms;           // how late an interrupt or the progress line may be
constexpr auto retry_pause = 100ms;    // before a message is sent again
constexpr auto source_pause = 10ms;    // before a pipe is looked at again
constexpr auto answers_wait = 30s;     // without any answer, when the run ends
constexpr auto interrupted_wait = 5s;  // the same after an interrupt
constexpr auto timer_slack = 2ms;      // gRPC's timers are that coarse: nearer than this, spin
constexpr auto prepare_deadline = 10s;
constexpr size_t answers_per_turn = 64;
constexpr size_t examples_max = 5;
constexpr std::string_view placeholder = "{n}";

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

weir::v1::Durability to_durability(const std::string& name) {
  if (name == "memory") return weir::v1::DURABILITY_MEMORY;
  if (name == "written") return weir::v1::DURABILITY_WRITTEN;
  if (name == "fsync") return weir::v1::DURABILITY_FSYNC;
  return weir::v1::DURABILITY_DEFAULT;
}

steady_clock::duration seconds(double count) {
  return std::chrono::duration_cast<steady_clock::duration>(std::chrono::duration<double>(count));
}

double in_seconds(steady_clock::duration span) {
  return std::chrono::duration<double>(span).count();
}

}  // namespace

result<void> prepare_stream(connections& broker, const publisher_options& options) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + prepare_deadline);
  grpc::Status status;
  std::string code;
  std::string text;
  if (options.create) {
    waymaker::streams::CreateStreamRequest request;
    request.mutable_config()->set_name(options.stream);
    request.mutable_config()->set_durability(to_durability(options.durability));
    request.mutable_config()->set_ephemeral(options.durability == "memory");
    waymaker::streams::CreateStreamResponse response;
    status = broker.first().CreateStream(&context, request, &response);
    if (response.success() || response.result_code() == "already_exists") return ok();
    code = response.result_code();
    text = response.message();
  } else {
    waymaker::streams::GetStreamInfoRequest request;
    request.set_name(options.stream);
    waymaker::streams::GetStreamInfoResponse response;
    status = broker.first().GetStreamInfo(&context, request, &response);
    if (response.success()) return ok();
    code = response.result_code();
    text = response.message();
  }
  if (!status.ok()) return fail(errc::unavailable, fmt::format("{}: {}", options.server, to_text(status)));
  return fail(errc::invalid_config, fmt::format("stream '{}': {}: {}", options.stream, code, text));
}

publish_run::publish_run(const publisher_options& options, connections& broker, payload_source& source,
                         const std::atomic<bool>& interrupt)
    : options_(options),
      broker_(broker),
      source_(source),
      interrupt_(interrupt),
      placeholder_(options.subject.find(placeholder)),
      progress_(!options.quiet && ::isatty(STDERR_FILENO) == 1) {}

run_totals publish_run::go() {
  started_ = steady_clock::now();
  next_due_ = started_;
  source_again_ = started_;
  progress_at_ = started_ + 1s;
  ends_ = options_.duration_s > 0 ? started_ + seconds(options_.duration_s) : steady_time::max();

  while (feeding_) {
    end_if_over();
    send_due();
    if (feeding_) take_answers();
  }
  wait_for_answers();
  if (progress_) fmt::print(stderr, "\r\033[K");
  return std::move(totals_);
}

void publish_run::wait_for_answers() {
  last_answer_ = steady_clock::now();
  bool cancelled = false;
  while (broker_.under_way() > 0 || !retries_.empty()) {
    if (interrupt_ && !aborted_) abort("interrupted");
    const auto patience = interrupt_ ? interrupted_wait : answers_wait;
    if (!cancelled && steady_clock::now() - last_answer_ > patience) {
      broker_.cancel();
      cancelled = true;
    }
    take_answers();
  }
}

void publish_run::send_due() {
  for (size_t burst = 0; burst < answers_per_turn && feeding_ && broker_.has_free(); ++burst) {
    if (!may_send() || !fill_and_start()) return;
  }
}

// Ends the run when its bounds are reached or somebody wants it to end.
void publish_run::end_if_over() {
  const steady_time now = steady_clock::now();
  if (interrupt_) {
    abort("interrupted");
  } else if (options_.count > 0 && totals_.sent == options_.count) {
    stop_feeding();
  } else if (now >= ends_ || (options_.rate > 0 && next_due_ >= ends_)) {
    stop_feeding();
    // Latency cannot speak for messages that were never sent: they are counted instead.
    const auto due = static_cast<uint64_t>(options_.duration_s * options_.rate);
    const uint64_t wanted = options_.count > 0 ? std::min(options_.count, due) : due;
    totals_.overdue = wanted > totals_.sent ? wanted - totals_.sent : 0;
  }
}

bool publish_run::may_send() {
  end_if_over();
  const steady_time now = steady_clock::now();
  return feeding_ && now >= source_again_ && (options_.rate == 0 || now >= next_due_);
}

bool publish_run::fill_and_start() {
  publish_call& call = broker_.free_call();
  const source_state state = source_.next(*call.request.mutable_payload());
  const steady_time now = steady_clock::now();
  if (state != source_state::ready) {
    broker_.release(call);
    if (state == source_state::later) source_again_ = now + source_pause;
    if (state == source_state::end) stop_feeding();
    if (state == source_state::failed) {
      ++totals_.errors["input"];
      abort(source_.failure());
    }
    return false;
  }
  call.number = totals_.sent++;
  call.request.set_stream(options_.stream);
  make_subject(*call.request.mutable_subject());
  if (options_.rate > 0) {
    call.due = next_due_;
    next_due_ = started_ + seconds(static_cast<double>(totals_.sent) / options_.rate);
  } else {
    call.due = now;
  }
  broker_.start(call);
  return true;
}

void publish_run::make_subject(std::string& subject) const {
  subject = options_.subject;
  if (placeholder_ == std::string::npos) return;
  subject.replace(placeholder_, placeholder.size(), std::to_string((totals_.sent - 1) % options_.subjects));
}

void publish_run::take_answers() {
  const steady_time now = steady_clock::now();
  retry_due(now);
  show_progress(now);
  publish_call* call = broker_.next_done(wake_at(now));
  for (size_t taken = 0; call != nullptr && taken < answers_per_turn; ++taken) {
    take(*call, steady_clock::now());
    call = taken + 1 < answers_per_turn ? broker_.next_done(steady_time::min()) : nullptr;
  }
}

void publish_run::take(publish_call& call, steady_time now) {
  last_answer_ = now;
  if (call.status.ok() && call.response.success()) {
    ++totals_.acked;
    totals_.bytes += call.request.payload().size();
    totals_.latency_ns.record(static_cast<uint64_t>(std::chrono::nanoseconds(now - call.due).count()));
    totals_.seconds = in_seconds(now - started_);
    if (options_.verify) {
      const uint64_t hash = payload_hash(call.request.payload());
      totals_.acknowledged_messages.push_back({call.response.seq(), call.number, hash});
    }
    broker_.release(call);
  } else if (options_.retry && worth_retrying(call) && !aborted_ && now < ends_) {
    retries_.push({now + retry_pause, &call});
  } else if (call.status.ok()) {
    count_failure(call, call.response.result_code(), call.response.message());
  } else {
    count_failure(call, status_name(call.status), call.status.error_message());
  }
}

void publish_run::count_failure(publish_call& call, const std::string& code, const std::string& text) {
  ++totals_.failed;
  ++totals_.errors[code];
  if (totals_.examples.size() < examples_max) {
    totals_.examples.push_back(
        fmt::format("{} ({} bytes): {}: {}", source_.name_of(call.number), call.request.payload().size(), code, text));
  }
  totals_.seconds = in_seconds(steady_clock::now() - started_);
  broker_.release(call);
  if (totals_.failed >= options_.errors_max) abort(fmt::format("{} errors", totals_.failed));
}

// Once the run is aborted or over, nothing is sent again: what waits for its retry has failed.
void publish_run::retry_due(steady_time now) {
  const bool over = aborted_ || now >= ends_;
  while (!retries_.empty() && (over || retries_.top().at <= now)) {
    publish_call& call = *retries_.top().call;
    retries_.pop();
    if (over) {
      take(call, now);
    } else {
      ++totals_.retried;
      broker_.start(call);
    }
  }
}

void publish_run::abort(std::string why) {
  feeding_ = false;
  aborted_ = true;
  totals_.interrupted = totals_.interrupted || interrupt_;
  if (totals_.stopped.empty()) totals_.stopped = std::move(why);
}

steady_time publish_run::wake_at(steady_time now) const {
  steady_time at = std::min(now + tick, ends_);
  if (!retries_.empty()) at = std::min(at, retries_.top().at);
  if (!feeding_ || !broker_.has_free()) return std::max(at, now + 1ms);
  if (source_again_ > now) return std::min(at, source_again_);
  if (options_.rate == 0) return now;
  if (next_due_ - now > timer_slack) return std::min(at, next_due_ - timer_slack);
  std::this_thread::yield();
  return now;
}

void publish_run::show_progress(steady_time now) {
  if (!progress_ || now < progress_at_) return;
  const double span = in_seconds(now - progress_at_) + 1;
  const auto acked = static_cast<double>(totals_.acked - progress_acked_);
  const auto bytes = static_cast<double>(totals_.bytes - progress_bytes_);
  fmt::print(stderr, "\r\033[K{:6.1f} s  sent {}  acked {}  failed {}  {:.0f} msg/s  {:.1f} MB/s",
             in_seconds(now - started_), totals_.sent, totals_.acked, totals_.failed, acked / span, bytes / span / 1e6);
  progress_at_ = now + 1s;
  progress_acked_ = totals_.acked;
  progress_bytes_ = totals_.bytes;
}

}  // namespace weir
