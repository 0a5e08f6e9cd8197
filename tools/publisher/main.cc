// weir-publisher: publishes the lines of a file, or generated payloads, and reports throughput and latency; consumes
// them beside, if that is wanted. Exit code 0: everything acknowledged (and delivered); 1: anything failed; 2: bad
// arguments.
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "tools/channel.h"
#include "tools/load/clock.h"
#include "tools/publisher/batch_run.h"
#include "tools/publisher/connections.h"
#include "tools/publisher/consume_run.h"
#include "tools/publisher/options.h"
#include "tools/publisher/plot.h"
#include "tools/publisher/prepare.h"
#include "tools/publisher/report.h"
#include "tools/publisher/run.h"
#include "tools/publisher/source.h"
#include "tools/publisher/verify.h"

namespace weir {
namespace {

constexpr int exit_failed = 1;
constexpr int exit_bad_arguments = 2;

constexpr uint64_t delivery_patience_ns = 30'000'000'000;  // without any delivery, when publishing has ended
constexpr int interrupts_max = 3;
constexpr int exit_killed = 130;

// The only things that a signal handler can reach.
std::atomic<bool> interrupted{false};
std::atomic<int> interrupts{0};

// The first interrupt ends the run with its report, the third one ends the program.
void on_interrupt(int) {
  interrupted = true;
  if (++interrupts >= interrupts_max) ::_exit(exit_killed);
}

void listen_for_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

int fail_with(const std::string& why, int code) {
  fmt::print(stderr, "weir-publisher: {}\n", why);
  return code;
}

// Publishes everything, and consumes it beside if that is wanted.
result<run_totals> run(const publisher_options& options, connections& broker, payload_source& source) {
  message_feed feed(options, source);
  delivery_match match(static_cast<size_t>(options.streams), feed.step_ns());
  delivery_match* matched = options.consume ? &match : nullptr;
  tally counts(options, options.consume ? &match.consumed() : nullptr);
  batch_run batches(options, feed, counts, matched, interrupted);
  run_consumers consumers(broker.first());
  std::unique_ptr<consume_run> consuming;

  if (options.mode == publish_mode::batch) {
    if (const auto connected = batches.connect(); !connected) return connected.err();
  }
  if (options.consume) {
    if (const auto created = consumers.create(stream_names(options)); !created) return created.err();
    auto started = consume_run::start(options, consumers.name(), match);
    if (!started) return started.err();
    consuming = std::move(*started);
  }
  listen_for_interrupts();
  const uint64_t begun_ns = now_ns();
  feed.begin(begun_ns);
  counts.begin(begun_ns);
  match.begin(begun_ns);
  if (options.mode == publish_mode::batch) {
    batches.go();
  } else {
    publish_run(options, broker, feed, counts, matched, interrupted).go();
  }
  counts.end_progress();
  if (consuming) {
    std::string failure = consuming->finish(delivery_patience_ns, interrupted);
    counts.totals().consumer = match.take_totals();
    counts.totals().consumer->failure = std::move(failure);
  }
  return std::move(counts.totals());
}

int publish(const publisher_options& options) {
  auto source = open_source(options);
  if (!source) return fail_with(source.err().message, exit_bad_arguments);
  std::ofstream plot;
  if (!options.plot.empty()) {
    plot.open(options.plot);
    if (!plot) {
      return fail_with(
          fmt::format("--plot takes a file that can be written; '{}': {}", options.plot, std::strerror(errno)),
          exit_bad_arguments);
    }
  }
  const bool unary = options.mode == publish_mode::unary;
  connections broker(options.server, unary ? options.connections : 1, unary ? options.in_flight : 1);
  if (const auto ready = prepare_streams(broker.first(), options); !ready) {
    return fail_with(ready.err().message, exit_failed);
  }
  auto done = run(options, broker, **source);
  if (!done) return fail_with(done.err().message, exit_failed);
  run_totals& totals = *done;
  std::optional<verify_report> verified;
  if (options.verify) verified = verify(broker, options, totals.acknowledged_messages);
  const auto report = options.json ? json_report : text_report;
  fmt::print("{}", report(options, totals, verified));
  if (plot.is_open()) {
    plot << svg_plot(options, totals);
    plot.close();
    if (!plot) return fail_with(fmt::format("cannot write '{}'", options.plot), exit_failed);
  }
  return all_good(totals, verified) ? 0 : exit_failed;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::prepare_grpc();
  weir::publisher_options options;
  if (const auto done = weir::parse_options(argc, argv, options)) return *done;
  return weir::publish(options);
}
