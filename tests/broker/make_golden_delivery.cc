// Makes the golden data directory with all of delivery in it: make_golden_delivery DIRECTORY
//
// Run once for each format version, and the result is checked in (tests/golden/broker-v2).
#include <cstdio>
#include <fstream>

#include "tests/broker/golden_delivery.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_golden_delivery DIRECTORY\n");
    return 2;
  }
  const std::string dir = argv[1];
  weir::sim_shard world;
  weir::set_golden_sizes(world);
  WEIR_CHECK(world.open());
  weir::fill_golden_delivery(world);
  world.kill();
  weir::write_out(world.disk(), "shard-0", dir + "/shard-0");
  WEIR_CHECK(world.open());
  std::ofstream(dir + "/expected.txt", std::ios::binary) << weir::describe_delivery(world);
  return 0;
}
