// Power cuts of the whole shard in the simulator (issue A, must hold 2): 8 publishers, half of them with frames of the
// fast lane, 20 streams, workers that acknowledge; the power goes at a random step, several times a seed.
#include <doctest/doctest.h>

#include <cstdio>

#include "tests/sim/loose_tasks.h"
#include "tests/sim/shard_ledger.h"
#include "tests/sim/taken_blocks.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

constexpr int publishers = 8;
constexpr int stream_count = 20;

std::vector<std::string> stream_names() {
  std::vector<std::string> names;
  for (int i = 0; i < stream_count; ++i) names.push_back("stream-" + std::to_string(i));
  return names;
}

void create_all(sim_shard& world, const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    stream_config config;
    config.name = names[i];
    config.block_size = 1 + i * 7;
    REQUIRE(world.run(world.now->create_stream(config)));
    consumer_config consumer;
    consumer.name = "worker";
    if (i < 4) REQUIRE(world.run(world.now->create_consumer(names[i], consumer)));
  }
}

// Runs the clients for so many steps, cuts the power, opens again.
void live_and_die(sim_shard& world, shard_ledger& ledger, const std::vector<std::string>& names,
                  const std::vector<std::string>& targets, std::mt19937_64& random) {
  bool stop = false;
  gate clients;
  for (int i = 0; i < publishers; ++i) {
    const auto publish = i % 2 == 0 ? publish_until : publish_frames_until;
    clients.spawn(publish(world, ledger, targets, i, random(), stop));
  }
  for (size_t i = 0; i < 4; ++i) clients.spawn(work_until(world, ledger, names[i], "worker", random(), stop));
  const uint64_t steps = 20 + random() % 1500;
  for (uint64_t i = 0; i < steps; ++i) {
    world.step(random);
    if (random() % 64 == 0) world.advance_time_ms(static_cast<int64_t>(random() % 2000));
  }
  stop = true;
  world.crash(random());
  CHECK(clients.running() == 0);
  const auto opened = world.open();
  const std::string problem = opened ? "" : opened.err().message;
  CAPTURE(problem);
  REQUIRE(opened);
}

TEST_CASE("power cut: every acknowledged message is there once, in order, without gaps; acknowledged work stays done") {
  const seed_range seeds = test_seeds(200, 2000);
  uint64_t stored = 0;
  uint64_t acked = 0;
  uint64_t taken = 0;
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    sim_shard world;
    world.storage.journal.segment_bytes = 64u << 10;
    world.storage.journal.batch_bytes_max = 16u << 10;
    const bool takes = seed % 2 == 1;
    if (takes) world.take_segments();
    REQUIRE(world.open());
    const std::vector<std::string> names = stream_names();
    create_all(world, names);
    shard_ledger ledger;
    const uint64_t cuts = 1 + random() % 3;
    for (uint64_t cut = 0; cut < cuts; ++cut) {
      live_and_die(world, ledger, names, takes ? mostly_first(names) : names, random);
      ledger.check_streams(world);
    }
    ledger.check_consumers(world);
    taken += taken_blocks(world.disk(), "shard-0");
    stored += ledger.stored_count();
    acked += ledger.acked_count();
  }
  std::printf("power cut: seeds %llu to %llu, %llu messages stored, %llu acknowledged by workers, %llu blocks taken\n",
              static_cast<unsigned long long>(seeds.first), static_cast<unsigned long long>(seeds.last - 1),
              static_cast<unsigned long long>(stored), static_cast<unsigned long long>(acked),
              static_cast<unsigned long long>(taken));
  CHECK(taken > 0);
  CHECK(stored > 0);
  CHECK(acked > 0);
}

}  // namespace
}  // namespace weir
