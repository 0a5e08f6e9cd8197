// bench_rpc: what an RPC that does nothing costs on one reactor: rate with 256 in flight, latency with one, and the
// reactor's processor time per call, which is what limits a server when its clients have machines of their own.
#include <pthread.h>
#include <sched.h>

#include <cstdio>
#include <ctime>

#include "tests/bench/rpc_load.h"
#include "tests/net/test_host.h"

namespace {

double reactor_seconds(weir::test_host& host) {
  double used = 0;
  host.home().call([&] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    used = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  });
  return used;
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace

int main() {
  weir::prepare_grpc("poll");
  weir::test_host host;
  host.home().call([] { pin(0); });
  pin(1);
  for (unsigned in_flight : {256u, 1u}) {
    weir::load_config config;
    config.target = host.target();
    config.path = "/grpc.health.v1.Health/Check";
    config.in_flight = in_flight;
    double before = reactor_seconds(host);
    uint64_t calls_before = host.metrics().calls;
    weir::load_outcome outcome = run_load(config);
    double used = reactor_seconds(host) - before;
    auto calls = static_cast<double>(host.metrics().calls - calls_before);
    std::printf("empty RPC, %3u in flight: %.0f/s, p50 %.1f us, p99 %.1f us, reactor %.2f us/call (%.0f/s a core)\n",
                in_flight, outcome.rate(), outcome.percentile_us(50), outcome.percentile_us(99), used / calls * 1e6,
                calls / used);
    if (outcome.failed != 0) return 1;
  }
}
