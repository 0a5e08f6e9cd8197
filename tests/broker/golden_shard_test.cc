#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "tests/broker/golden_shard.h"
#include "tests/storage/source_dir.h"

namespace weir {
namespace {

TEST_CASE("golden: the data directory that format v1 of the broker left behind opens and shows what it held") {
  const std::string dir = std::string(WEIR_SOURCE_DIR) + "/tests/golden/broker-v1";
  std::ifstream source(dir + "/expected.txt", std::ios::binary);
  const std::string expected((std::istreambuf_iterator<char>(source)), std::istreambuf_iterator<char>());
  REQUIRE(expected.size() > 1000);
  sim_shard world;
  set_golden_sizes(world);
  read_in(world.disk(), "shard-0", dir + "/shard-0");
  REQUIRE(world.open());
  CHECK(world.now->recovery().damaged_records == 0);
  CHECK(world.now->recovery().quarantined.empty());
  CHECK(describe(world) == expected);
  REQUIRE(world.restart());
  CHECK(describe(world) == expected);
}

}  // namespace
}  // namespace weir
