#include <doctest/doctest.h>

#include "net/metrics_text.h"

namespace weir {
namespace {

core_metrics one_core() {
  core_metrics core;
  core.index = 3;
  core.shard.consumers = 5;
  core.shard.pending = 70;
  core.shard.dead_lettered = 2;
  consumer_metrics first{"orders", "odd \"name\" \\", 9, 7, 1, blocked_by::max_ack_pending_per_subject};
  consumer_metrics second{"orders", "busy", 4, 3, 0, blocked_by::nothing};
  core.consumers = {first, second};
  return core;
}

TEST_CASE("metrics: a consumer's numbers and why it gets nothing, its names quoted") {
  const std::string text = metrics_text({one_core()}, listener_metrics());
  for (const char* line : {"weir_pending{shard=\"3\"} 70\n", "weir_dead_lettered_total{shard=\"3\"} 2\n",
                           "weir_consumer_lag{stream=\"orders\",consumer=\"odd \\\"name\\\" \\\\\"} 9\n",
                           "weir_consumer_pending{stream=\"orders\",consumer=\"busy\"} 3\n",
                           "weir_consumer_parked{stream=\"orders\",consumer=\"odd \\\"name\\\" \\\\\"} 1\n",
                           "weir_consumer_blocked{stream=\"orders\",consumer=\"odd \\\"name\\\" "
                           "\\\\\",reason=\"max_ack_pending_per_subject\"} "
                           "1\n"}) {
    CHECK_MESSAGE(text.find(line) != std::string::npos, line);
  }
  CHECK(text.find("weir_consumer_blocked{stream=\"orders\",consumer=\"busy\"") == std::string::npos);
}

TEST_CASE("metrics: how many consumers have no lines of their own is said") {
  const std::string text = metrics_text({one_core()}, listener_metrics());
  CHECK(text.find("weir_consumers_unlisted{shard=\"3\"} 3\n") != std::string::npos);
}

}  // namespace
}  // namespace weir
