// weir-server: the program around server.h. Exit codes: 0 after a clean stop, 1 for what the machine or the data
// directory refuses, 2 for a wrong option.
#include <malloc.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <future>

#include "net/server.h"

namespace weir {
namespace {

void set_up_log(const std::string& level) {
  auto log = std::make_shared<spdlog::logger>("weir", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  log->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  log->set_level(spdlog::level::from_str(level));
  spdlog::set_default_logger(log);
}

// As many descriptors as allowed; two go to each connection.
void raise_descriptor_limit(size_t connections_max) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2 * connections_max + 1'000) {
    spdlog::warn("the limit of {} descriptors is reached before connections-max = {}", limit.rlim_cur, connections_max);
  }
}

int run(const server_options& options) {
  set_up_log(options.log_level);
  prepare_grpc(options.poller);
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit(options.connections.connections_max);
  std::promise<int> asked;
  std::future<int> asked_to_stop = asked.get_future();
  bool told = false;
  auto started = server::start(options, [&](int signal) {
    if (!told) asked.set_value(signal);
    told = true;
  });
  if (!started) {
    std::fprintf(stderr, "weir-server: %s\n", started.err().message.c_str());
    return started.err().code == errc::invalid_argument ? 2 : 1;
  }
  server& running = **started;
  if (options.insecure) spdlog::warn("--insecure: anybody who can reach the port may do anything, unencrypted");
  std::printf("weir-server ready listen=%s admin=%s data=%s\n", running.listen_address().c_str(),
              running.admin_address().c_str(), running.data().c_str());
  std::fflush(stdout);
  spdlog::info("stopping on signal {}", asked_to_stop.get());
  result<void> stopped = running.stop();
  if (!stopped) {
    std::fprintf(stderr, "weir-server: %s\n", stopped.err().message.c_str());
    return 1;
  }
  spdlog::info("stopped");
  return 0;
}

// The memory of a burst is used again by the next one: every 4 KiB given back and taken anew cost a page fault.
void keep_freed_memory() {
  constexpr int kept_bytes = 64 << 20;
  constexpr int mapped_bytes_min = 16 << 20;
  mallopt(M_TRIM_THRESHOLD, kept_bytes);
  mallopt(M_MMAP_THRESHOLD, mapped_bytes_min);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::keep_freed_memory();
  auto parsed = weir::parse_command_line(argc, argv);
  if (!parsed) {
    std::fprintf(stderr, "weir-server: %s\n", parsed.err().message.c_str());
    return 2;
  }
  if (parsed->what != weir::command::kind::run) {
    std::fputs(parsed->text.c_str(), stdout);
    return 0;
  }
  return weir::run(parsed->options);
}
