// Reading ahead: what a reader of blocks finds read already, and that it changes nothing but the waiting.
#include <doctest/doctest.h>

#include "storage/block_format.h"
#include "storage/stream_log.h"
#include "tests/sim/test_seed.h"
#include "tests/storage/store_world.h"

namespace weir {
namespace {

constexpr stream_id one{1};
constexpr stream_id two{2};

struct fixture {
  store_world world;
  explicit fixture(uint64_t seed, uint64_t cache_bytes = 8 << 20) : world(seed) {
    world.tracks = false;
    world.config.cache_bytes_max = cache_bytes;
    world.config.journal.segment_bytes = 4 << 20;
    world.config.journal.batch_bytes_max = 1 << 20;
    REQUIRE(world.open());
    log_options options;
    options.block_records = 4'000;
    REQUIRE(world.create(one, options));
  }
  stream_log& log() { return world.log(one); }
  void append(uint64_t messages, size_t payload_max, stream_id to = one) {
    for (uint64_t i = 0; i < messages; ++i) {
      const std::string subject = "s." + std::to_string(world.random() % 4);
      const std::string payload(world.random() % payload_max, 'p');
      REQUIRE(world.append(to, subject, payload, wall_ms(static_cast<int64_t>(i))));
      if (i % 1'000 == 999) REQUIRE(world.sync());
    }
    REQUIRE(world.sync());
  }
  void settle() {
    auto done = world.run(world.it->checkpoint());
    REQUIRE(done);
  }
  scan_request next_of(seq_no from, size_t records) {
    scan_request request;
    request.from = from;
    request.to = log().stats().last;
    request.records_max = records;
    return request;
  }
};

task<void> keep(task<result<scan_result>> work, std::optional<scan_result>& found) {
  auto made = co_await std::move(work);
  REQUIRE(made);
  found = std::move(*made);
}

TEST_CASE("read ahead: who reads on does not wait for the disk again") {
  for (const size_t payload_max : {100u, 4'000u}) {
    CAPTURE(payload_max);
    fixture f(1);
    f.append(10'000, payload_max);
    f.settle();
    size_t scans = 0;
    size_t waits = 0;
    for (seq_no at(1); at <= f.log().stats().last; ++scans) {
      std::optional<scan_result> found;
      gate reading;
      reading.spawn(keep(f.log().scan(f.next_of(at, 100)), found));
      if (!found) ++waits;
      while (!found) f.world.pool.step();
      REQUIRE(found->records.size() == 100);
      at = found->next;
      f.world.pool.run_all();  // what was begun for the next one
    }
    CHECK(scans == 100);
    CHECK(waits <= 4);  // until it is known to read on
  }
}

TEST_CASE("read ahead: a reader whose pieces leave the cache before it comes does with few of them") {
  fixture f(1, 2 << 20);
  REQUIRE(f.world.create(two, log_options()));
  f.append(10'000, 1'000);
  f.append(10'000, 1'000, two);
  f.settle();
  const auto others_read = [&] {  // more than the cache holds
    for (int i = 0; i < 16; ++i) {
      const seq_no from(1 + f.world.random() % 9'000);
      auto found = f.world.run(f.world.log(two).scan(f.next_of(from, 1'000)));
      REQUIRE(found);
      f.world.pool.run_all();
    }
  };
  uint64_t looks = 0;
  uint64_t reads = 0;
  for (seq_no at(1); at <= f.log().stats().last; ++looks) {
    const uint64_t before = f.world.where.count(sim_disk::op::read);
    auto found = f.world.run(f.log().scan(f.next_of(at, 20)));
    REQUIRE(found);
    at = found->next;
    f.world.pool.run_all();
    reads += f.world.where.count(sim_disk::op::read) - before;
    others_read();
  }
  CHECK(looks == 500);
  CHECK(reads < 3 * looks);  // every look would read its own piece and one for nobody
}

TEST_CASE("read ahead: one look somewhere reads nothing more") {
  fixture f(1);
  f.append(3'000, 1'000);
  f.settle();
  for (const size_t records : {1u, 20u}) {
    auto found = f.world.run(f.log().scan(f.next_of(seq_no(1'500), records)));
    REQUIRE(found);
    CHECK(found->records.size() == records);
    CHECK(f.world.pool.pending() == 0);
  }
}

// Removes some, adds some, writes what is in memory to blocks.
void change(fixture& f, std::mt19937_64& random) {
  switch (random() % 8) {
    case 0: {
      const seq_no seq(1 + random() % f.log().stats().last.raw());
      if (f.log().is_live(seq)) REQUIRE(f.world.remove(one, {seq}));
      break;
    }
    case 1:
      REQUIRE(f.world.remove_before(one, seq_no(f.log().stats().first.raw() + random() % 100)));
      break;
    case 2:
      f.append(1 + random() % 200, 1'000);
      break;
    case 3:
      f.settle();
      break;
    default:
      break;
  }
}

TEST_CASE("read ahead: several readers of a log that changes read what it holds") {
  auto seeds = test_seeds(6, 100);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    fixture f(seed);
    std::mt19937_64& random = f.world.random;
    f.append(6'000, 1'000);
    f.settle();
    std::vector<seq_no> readers(3, seq_no(1));
    for (int step = 0; step < 300; ++step) {
      seq_no& at = readers[random() % readers.size()];
      const scan_request request = f.next_of(at, 1 + random() % 500);
      std::optional<scan_result> found;
      gate reading;
      reading.spawn(keep(f.log().scan(request), found));
      while (!found) f.world.pool.step(random());
      auto expected = f.world.model.logs[one].live.lower_bound(request.from);
      for (const found_record& each : found->records) {
        REQUIRE(expected != f.world.model.logs[one].live.end());
        CHECK(each.seq == expected->first);
        ++expected;
      }
      const bool none_skipped = expected == f.world.model.logs[one].live.end() || expected->first >= found->next;
      CHECK(none_skipped);
      CHECK(found->damaged.empty());
      at = found->next > f.log().stats().last ? seq_no(1) : found->next;
      change(f, random);
    }
  }
}

TEST_CASE("read ahead: a damaged index ahead is met, repaired and costs nothing") {
  fixture f(3);
  f.append(4'000, 300);
  f.settle();
  const std::string path = block_path("s0", one, seq_no(1));
  const uint64_t size = f.world.where.contents(path).size();
  for (uint64_t at = size - 20'000; at < size - 200; at += 1'000) f.world.where.flip_bit(path, at, 1);
  seq_no at(1);
  uint64_t records = 0;
  while (at <= f.log().stats().last) {
    auto found = f.world.run(f.log().scan(f.next_of(at, 300)));
    REQUIRE(found);
    CHECK(found->damaged.empty());
    records += found->records.size();
    at = found->next;
  }
  CHECK(records == 4'000);
}

TEST_CASE("read ahead: a log that is dropped meanwhile ends well") {
  fixture f(4);
  f.append(4'000, 1'000);
  f.settle();
  for (const uint64_t at : {1u, 301u}) REQUIRE(f.world.run(f.log().scan(f.next_of(seq_no(at), 300))));
  REQUIRE(f.world.pool.pending() != 0);
  REQUIRE(f.world.drop(one));
  f.world.pool.run_all();
  REQUIRE(f.world.sync());
  REQUIRE(f.world.close());
}

}  // namespace
}  // namespace weir
