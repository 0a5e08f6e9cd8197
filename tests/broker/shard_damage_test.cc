// Damaged bytes under a shard: what cannot be read is said to be so, everything else is served.
#include <algorithm>

#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

// Flips one bit of the first place where the text stands in a file below the directory. False: it stands nowhere.
bool damage(sim_disk& where, const std::string& dir, const std::string& text) {
  const auto names = where.list(dir);
  if (!names) return false;
  for (const std::string& name : *names) {
    const std::string path = dir + "/" + name;
    if (name.ends_with('/')) {
      if (damage(where, path.substr(0, path.size() - 1), text)) return true;
      continue;
    }
    const std::vector<uint8_t> bytes = where.contents(path);
    const auto at = std::search(bytes.begin(), bytes.end(), text.begin(), text.end());
    if (at == bytes.end()) continue;
    where.flip_bit(path, static_cast<uint64_t>(at - bytes.begin()), 3);
    return true;
  }
  return false;
}

void settle_to_blocks(shard_fixture& world) {
  for (int i = 0; i < 6; ++i) world.publish("s", "a." + std::to_string(i), "payload-" + std::to_string(i) + "-end");
  REQUIRE(world.restart());
}

TEST_CASE("damage: a damaged record fails alone, its neighbours are delivered, and the consumer goes on behind it") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  settle_to_blocks(world);
  REQUIRE(damage(world.disk(), "shard-0/streams", "payload-2-end"));

  const auto latest = world.run(world.now->read_latest("s", "a.2"));
  REQUIRE_FALSE(latest);
  CHECK(latest.err().code == errc::data_loss);
  CHECK(latest.err().message.find("message 3") != std::string::npos);
  CHECK(world.latest("s", "a.1") == "payload-1-end");

  const auto scan = world.run(world.now->scan_subject({"s", "a.2", 0, 0}));
  REQUIRE(scan);
  CHECK(scan->records.empty());
  CHECK(scan->damaged == std::vector<seq_no>{seq_no(3)});

  const auto got = world.run(world.now->fetch("s", "c", 10));
  REQUIRE(got);
  CHECK(got->damaged == std::vector<seq_no>{seq_no(3)});
  std::vector<uint64_t> seqs;
  for (const delivery& one : got->deliveries) seqs.push_back(one.record.seq.raw());
  CHECK(seqs == std::vector<uint64_t>{1, 2, 4, 5, 6});
  for (const uint64_t seq : seqs) world.ack("s", "c", seq);
  CHECK(world.consumer("s", "c").ack_floor == 6);
  CHECK(world.fetch("s", "c") == shown{});
  CHECK(world.info("s").damaged_records == 1);
  CHECK(world.publish("s", "a.2", "again") == 7);
  CHECK(world.latest("s", "a.2") == "again");
}

TEST_CASE("damage: a pending message that became unreadable is not delivered again and does not hold the floor") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  for (int i = 0; i < 3; ++i) world.publish("s", "a", "payload-" + std::to_string(i) + "-end");
  CHECK(world.fetch("s", "c") == shown{"1", "2", "3"});
  REQUIRE(world.restart());
  REQUIRE(damage(world.disk(), "shard-0/streams", "payload-0-end"));
  world.advance_ms(1'000);
  const auto got = world.run(world.now->fetch("s", "c", 10));
  REQUIRE(got);
  CHECK(got->damaged == std::vector<seq_no>{seq_no(1)});
  CHECK(got->deliveries.size() == 2);
  CHECK(world.consumer("s", "c").pending == 2);
  CHECK(world.consumer("s", "c").ack_floor == 1);
}

TEST_CASE("damage: with both snapshots unreadable streams come back from their blocks, with names and messages") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.block_size = 4; });
  settle_to_blocks(world);
  REQUIRE(world.run(world.now->stop()));
  world.now.reset();
  const auto names = world.disk().list("shard-0");
  REQUIRE(names);
  int spoiled = 0;
  for (const std::string& name : *names) {
    if (!name.starts_with("snapshot-")) continue;
    world.disk().flip_bit("shard-0/" + name, 20, 1);
    ++spoiled;
  }
  REQUIRE(spoiled > 0);
  REQUIRE(world.open());
  CHECK(*world.run(world.now->list_streams()) == shown{"s"});
  CHECK(world.info("s").stats.msg_count == 6);
  CHECK(world.info("s").config.block_size == 4);
  CHECK(world.latest("s", "a.5") == "payload-5-end");
  CHECK_FALSE(world.now->recovery().quarantined.empty());
}

}  // namespace
}  // namespace weir
