#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "tests/broker/golden_delivery.h"
#include "tests/storage/source_dir.h"

namespace weir {
namespace {

TEST_CASE("golden: consumers, ids, ttl and schedules of format v2 open, show what they were, and go on") {
  const std::string dir = std::string(WEIR_SOURCE_DIR) + "/tests/golden/broker-v2";
  std::ifstream source(dir + "/expected.txt", std::ios::binary);
  const std::string expected((std::istreambuf_iterator<char>(source)), std::istreambuf_iterator<char>());
  REQUIRE(expected.size() > 1000);
  sim_shard world;
  set_golden_sizes(world);
  world.clock.advance_ms(golden_delivery_ms);
  read_in(world.disk(), "shard-0", dir + "/shard-0");
  REQUIRE(world.open());
  CHECK(world.now->recovery().damaged_records == 0);
  CHECK(world.now->recovery().quarantined.empty());
  CHECK(describe_delivery(world) == expected);
  REQUIRE(world.restart());
  CHECK(describe_delivery(world) == expected);

  publish_request again;
  again.stream = "events";
  again.subject = "key.1";
  again.message_id = "id-11";
  const auto repeated = world.run(world.now->publish(again));
  REQUIRE(repeated);
  CHECK(repeated->duplicate);
  again.message_id = "id-later";
  const auto scheduled = world.run(world.now->publish(again));
  REQUIRE(scheduled);
  CHECK(scheduled->scheduled);

  const auto before = world.run(world.now->get_stream("events"));
  REQUIRE(before);
  world.advance_ms(800'000);  // past the schedule and every ttl
  const auto after = world.run(world.now->get_stream("events"));
  REQUIRE(after);
  CHECK(before->scheduled == 3);
  CHECK(after->scheduled == 0);
  CHECK(after->stats.last_seq == before->stats.last_seq + 3);
  CHECK(after->stats.msg_count == before->stats.msg_count + 3 - 4);
}

}  // namespace
}  // namespace weir
