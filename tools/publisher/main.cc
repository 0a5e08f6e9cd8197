// weir-publisher: publishes the lines of a file, or generated payloads, to one stream, and reports throughput and
// latency. Exit code 0: everything acknowledged; 1: anything failed; 2: bad arguments.
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "tools/channel.h"
#include "tools/publisher/connections.h"
#include "tools/publisher/options.h"
#include "tools/publisher/report.h"
#include "tools/publisher/run.h"
#include "tools/publisher/source.h"
#include "tools/publisher/verify.h"

namespace weir {
namespace {

constexpr int exit_failed = 1;
constexpr int exit_bad_arguments = 2;

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

int publish(const publisher_options& options) {
  auto source = open_source(options);
  if (!source) {
    fmt::print(stderr, "weir-publisher: {}\n", source.err().message);
    return exit_bad_arguments;
  }
  connections broker(options.server, options.connections, options.in_flight);
  if (const auto ready = prepare_stream(broker, options); !ready) {
    fmt::print(stderr, "weir-publisher: {}\n", ready.err().message);
    return exit_failed;
  }
  listen_for_interrupts();
  run_totals totals = publish_run(options, broker, **source, interrupted).go();
  std::optional<verify_report> verified;
  if (options.verify) verified = verify(broker, options, totals.acknowledged_messages);
  const auto report = options.json ? json_report : text_report;
  fmt::print("{}", report(options, totals, verified));
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
