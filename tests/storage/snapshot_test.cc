// Snapshots: what is written is read back; anything else is refused.
#include "storage/snapshot.h"

#include <doctest/doctest.h>

#include <random>

#include "tests/sim/sim_disk.h"

namespace weir {
namespace {

struct example {
  snapshot all;
  example() {
    all.at = lsn(123'456);
    all.state = std::string(300, 's');
    for (uint64_t i = 1; i <= 3; ++i) {
      log_snapshot& log = all.logs.emplace_back();
      log.id = stream_id(i);
      log.options.block_records = 1000 * i;
      log.options.written_is_visible = i == 2;
      log.options.label = "label " + std::to_string(i);
      log.first = seq_no(10 * i);
      log.last = seq_no(1'000'000 * i);
      for (uint64_t seq = 500; seq < 90'000; seq += 7) log.removed.add(seq_no(seq));
      log.lost.add(seq_no(100'001), seq_no(100'020));
      log.blocks.push_back(block_snapshot{seq_no(5), seq_no(400), 8192, true});
      log.blocks.push_back(block_snapshot{seq_no(401), seq_no(900'000), 70'000, false});
    }
  }
};

bool same(const snapshot& left, const snapshot& right) {
  bool same = left.at == right.at && left.state == right.state && left.logs.size() == right.logs.size();
  for (size_t i = 0; same && i < left.logs.size(); ++i) {
    const log_snapshot& a = left.logs[i];
    const log_snapshot& b = right.logs[i];
    same = a.id == b.id && a.options.block_records == b.options.block_records && a.options.label == b.options.label &&
           a.options.written_is_visible == b.options.written_is_visible && a.first == b.first && a.last == b.last &&
           a.removed == b.removed && a.lost == b.lost && a.blocks.size() == b.blocks.size();
    for (size_t n = 0; same && n < a.blocks.size(); ++n) {
      same = a.blocks[n].base == b.blocks[n].base && a.blocks[n].last == b.blocks[n].last &&
             a.blocks[n].length == b.blocks[n].length && a.blocks[n].closed == b.blocks[n].closed;
    }
  }
  return same;
}

TEST_CASE("snapshot: what was written is read back") {
  sim_disk where;
  REQUIRE(make_dir_durable(where, "s0"));
  example e;
  REQUIRE(write_snapshot(where, "s0", e.all));
  auto read = read_snapshot(where, "s0", e.all.at);
  REQUIRE(read);
  CHECK(same(*read, e.all));
  where.crash(1);
  CHECK(read_snapshot(where, "s0", e.all.at));
}

TEST_CASE("snapshot: the newest is listed first; other names are not snapshots") {
  sim_disk where;
  REQUIRE(where.make_dir("s0"));
  example e;
  for (uint64_t at : {5u, 70u, 6u}) {
    e.all.at = lsn(at);
    REQUIRE(write_snapshot(where, "s0", e.all));
  }
  for (const char* name : {"s0/snapshot-12", "s0/snapshot-0000000000000000007x", "s0/other"}) {
    REQUIRE(where.open(name, disk::mode::create));
  }
  auto found = list_snapshots(where, "s0");
  REQUIRE(found);
  CHECK(*found == std::vector<lsn>{lsn(70), lsn(6), lsn(5)});
}

TEST_CASE("snapshot: a flipped bit or a missing end is damage, and so is another one's name") {
  example e;
  e.all.logs.resize(1);
  e.all.logs[0].removed.clear();
  std::string bytes = encode(e.all);
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
    // Bytes 12 to 15 are covered as well: nothing in the header may change unseen.
    REQUIRE_FALSE(decode_snapshot(as_bytes(damaged)));
  }
  for (size_t size = 0; size < bytes.size(); ++size) REQUIRE_FALSE(decode_snapshot(as_bytes(bytes).first(size)));
  sim_disk where;
  REQUIRE(where.make_dir("s0"));
  REQUIRE(write_snapshot(where, "s0", e.all));
  REQUIRE(where.rename(snapshot_path("s0", e.all.at), snapshot_path("s0", lsn(9))));
  CHECK_FALSE(read_snapshot(where, "s0", lsn(9)));
}

TEST_CASE("snapshot: a write that fails leaves no snapshot and nothing in its way") {
  for (sim_disk::op which : {sim_disk::op::write, sim_disk::op::sync, sim_disk::op::name}) {
    sim_disk where;
    REQUIRE(where.make_dir("s0"));
    example e;
    where.fail(which, which == sim_disk::op::name ? 2 : 1, false, errc::disk_full);
    auto failed = write_snapshot(where, "s0", e.all);
    REQUIRE_FALSE(failed);
    CHECK(failed.err().code == errc::disk_full);
    CHECK(list_snapshots(where, "s0")->empty());
    CHECK(where.list("s0")->empty());
    REQUIRE(write_snapshot(where, "s0", e.all));
    CHECK(read_snapshot(where, "s0", e.all.at));
  }
}

}  // namespace
}  // namespace weir
