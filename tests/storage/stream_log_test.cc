// One stream log: what its contract promises beyond what the model test compares.
#include "storage/stream_log.h"

#include <doctest/doctest.h>

#include "storage/block_format.h"
#include "tests/storage/store_world.h"

namespace weir {
namespace {

constexpr stream_id one{1};

struct fixture {
  store_world world{1};
  fixture() {
    REQUIRE(world.open());
    log_options options;
    options.block_records = 100;
    REQUIRE(world.create(one, options));
  }
  stream_log& log() { return world.log(one); }
  void append(uint64_t messages, const std::string& subject = "a", size_t payload = 20) {
    for (uint64_t i = 0; i < messages; ++i) {
      REQUIRE(world.append(one, subject, std::string(payload, 'p'), wall_ms(static_cast<int64_t>(100 + i))));
    }
  }
  void settle() {
    auto done = world.run(world.it->checkpoint());
    REQUIRE(done);
  }
  scan_result scan(scan_request request) {
    auto found = world.run(log().scan(request));
    REQUIRE(found);
    return std::move(*found);
  }
  scan_result scan_all() {
    scan_request request;
    request.from = seq_no(1);
    request.to = log().stats().last;
    return scan(request);
  }
  std::string block() const { return block_path("s0", one, seq_no(1)); }
};

TEST_CASE("stream_log: neighbouring records come as slices of shared chunks, from memory and from blocks") {
  fixture f;
  f.append(50);
  for (bool settled : {false, true}) {
    if (settled) f.settle();
    scan_result found = f.scan_all();
    REQUIRE(found.records.size() == 50);
    size_t chunks = 1;
    for (size_t i = 1; i < 50; ++i) {
      const slice& before = found.records[i - 1].bytes;
      const slice& here = found.records[i].bytes;
      if (!(before.owner() == here.owner())) ++chunks;
      if (settled) CHECK(before.data() + before.size() == here.data());
    }
    CHECK(chunks <= 2);
  }
}

TEST_CASE("stream_log: a second reader of a block finds its records in the cache") {
  fixture f;
  f.append(100);
  f.settle();
  f.scan_all();
  uint64_t reads = f.world.where.count(sim_disk::op::read);
  CHECK(f.scan_all().records.size() == 100);
  CHECK(f.world.where.count(sim_disk::op::read) == reads);
}

TEST_CASE("stream_log: a scan stops at bytes_max, but gives a first record of any size") {
  fixture f;
  f.append(3, "a", 2000);
  for (bool settled : {false, true}) {
    if (settled) f.settle();
    scan_request request;
    request.from = seq_no(1);
    request.to = seq_no(3);
    request.bytes_max = 10;
    scan_result found = f.scan(request);
    CHECK(found.records.size() == 1);
    CHECK(found.next == seq_no(2));
    request.bytes_max = 4500;
    found = f.scan(request);
    CHECK(found.records.size() == 2);
    CHECK(found.next == seq_no(3));
    request.records_max = 1;
    found = f.scan(request);
    CHECK(found.records.size() == 1);
    CHECK(found.next == seq_no(2));
    request = scan_request();
    request.from = seq_no(2);
    request.to = seq_no(3);
    found = f.scan(request);
    CHECK(found.records.size() == 2);
    CHECK(found.next == seq_no(4));
  }
}

TEST_CASE("stream_log: a record damaged on disk is reported, counted and skipped") {
  fixture f;
  f.append(20);
  f.settle();
  uint64_t size = f.scan_all().records[0].bytes.size();
  f.world.where.flip_bit(f.block(), 4096 + 4 * size + 10, 3);
  REQUIRE(f.world.close());
  REQUIRE(f.world.open());
  scan_result found = f.scan_all();
  CHECK(found.records.size() == 19);
  CHECK(found.damaged == std::vector<seq_no>{seq_no(5)});
  CHECK(found.next == seq_no(21));
  CHECK(f.log().damaged_count() == 1);
  CHECK(f.log().is_live(seq_no(5)));
  CHECK(f.world.remove(one, {seq_no(5)}));
  CHECK(f.scan_all().damaged.empty());
  CHECK(f.log().damaged_count() == 0);
}

TEST_CASE("stream_log: an index damaged while the store runs is repaired when it is met, and nothing is lost") {
  fixture f;
  f.append(60, "a");
  f.append(40, "b");
  f.settle();
  auto bytes = f.world.where.contents(f.block());
  // In the rows: behind the marker, which follows the records.
  auto marker = std::string(bytes.begin(), bytes.end()).find("WXPT");
  REQUIRE(marker != std::string::npos);
  f.world.where.flip_bit(f.block(), marker + 100, 1);
  f.world.compare_all();
  CHECK(f.world.it->report().quarantined.size() == 1);
  CHECK(f.log().damaged_count() == 0);
  REQUIRE(f.world.close());
  REQUIRE(f.world.open());
  f.world.compare_all();
}

TEST_CASE("stream_log: index and record damaged together cost the record, and the loss is remembered") {
  fixture f;
  f.append(100, "a");
  f.settle();
  uint64_t size = f.scan_all().records[0].bytes.size();
  REQUIRE(f.world.close());
  auto bytes = f.world.where.contents(f.block());
  auto marker = std::string(bytes.begin(), bytes.end()).find("WXPT");
  f.world.where.flip_bit(f.block(), marker + 100, 1);
  f.world.where.flip_bit(f.block(), 4096 + 9 * size + 30, 1);
  for (int round = 0; round < 3; ++round) {
    REQUIRE(f.world.open());
    scan_result found = f.scan_all();
    CHECK(found.records.size() == 99);
    CHECK(found.damaged == std::vector<seq_no>{seq_no(10)});
    CHECK(f.log().stats().count == 100);
    CHECK(f.log().damaged_count() == 1);
    auto when = f.world.run(f.log().time_of(seq_no(10)));
    REQUIRE_FALSE(when);
    CHECK(when.err().code == errc::data_loss);
    REQUIRE(f.world.close());
  }
}

TEST_CASE("stream_log: settled records removed one by one are accounted in the background") {
  fixture f;
  f.append(50, "a");
  f.append(50, "b");
  f.settle();
  REQUIRE(f.world.remove(one, {seq_no(3), seq_no(1), seq_no(100), seq_no(60)}));
  CHECK_FALSE(f.log().exact());
  CHECK(f.log().stats().count == 96);
  CHECK(f.log().stats().first == seq_no(2));
  REQUIRE(f.world.run(f.log().become_exact()));
  CHECK(f.log().find_subject("a")->first == seq_no(2));
  CHECK(f.log().find_subject("b")->last == seq_no(99));
  f.world.compare_all();
}

TEST_CASE("stream_log: what oldest() returned is removed without reading again") {
  fixture f;
  f.append(100);
  f.settle();
  auto oldest = f.world.run(f.log().oldest(seq_no(), 10));
  REQUIRE(oldest);
  REQUIRE(oldest->size() == 10);
  uint64_t bytes = f.log().stats().bytes;
  uint64_t reads = f.world.where.count(sim_disk::op::read);
  REQUIRE(f.world.remove_before(one, seq_no(9)));
  uint64_t gone = 0;
  for (int i = 0; i < 8; ++i) gone += (*oldest)[static_cast<size_t>(i)].bytes;
  CHECK(f.log().stats().bytes == bytes - gone);
  CHECK(f.world.where.count(sim_disk::op::read) == reads);
  f.world.compare_all();
}

TEST_CASE("stream_log: everything at once goes without reading anything") {
  fixture f;
  f.append(300);
  f.settle();
  f.append(10);
  uint64_t reads = f.world.where.count(sim_disk::op::read);
  CHECK(f.world.remove_before(one, seq_no(1'000'000)));
  CHECK(f.log().exact());
  CHECK(f.log().stats().count == 0);
  CHECK(f.log().stats().bytes == 0);
  CHECK(f.log().stats().first == seq_no(311));
  CHECK(f.log().subject_count() == 0);
  CHECK(f.world.where.count(sim_disk::op::read) == reads);
  f.append(1);
  CHECK(f.log().stats().first == seq_no(311));
  f.world.compare_all();
}

TEST_CASE("stream_log: the first at a time is the first in order of sequence, however times jump") {
  fixture f;
  for (int64_t time : {50, 10, 70, 20, 60}) REQUIRE(f.world.append(one, "a", "x", wall_ms(time)));
  for (bool settled : {false, true}) {
    if (settled) f.settle();
    auto at = [&](int64_t time) {
      auto found = f.world.run(f.log().first_at_or_after(wall_ms(time)));
      REQUIRE(found);
      return found->raw();
    };
    CHECK(at(0) == 1);
    CHECK(at(55) == 3);
    CHECK(at(70) == 3);
    CHECK(at(71) == 6);
  }
  REQUIRE(f.world.remove(one, {seq_no(3)}));
  auto found = f.world.run(f.log().first_at_or_after(wall_ms(55)));
  REQUIRE(found);
  CHECK(found->raw() == 5);
}

TEST_CASE("stream_log: when the journal fails, what was not durable is forgotten and the rest is served") {
  fixture f;
  f.append(30, "a");
  REQUIRE(f.world.sync());
  f.settle();
  f.append(5, "b");
  REQUIRE(f.world.sync());
  model_log durable = f.world.model.logs[one];
  f.append(5, "c");
  while (f.world.commits.pending() + f.world.pool.pending() != 0) f.world.step();
  f.world.where.fail(sim_disk::op::write, 1, true);
  CHECK_FALSE(f.world.sync());
  CHECK(f.world.it->failed());
  CHECK(f.log().find_subject("c") == nullptr);
  CHECK(f.log().last_visible() == seq_no(35));
  f.world.compare(f.log(), durable);
}

TEST_CASE("stream_log: a dropped log's reader under way ends well") {
  fixture f;
  f.append(100);
  f.settle();
  scan_request request;
  request.from = seq_no(1);
  request.to = seq_no(100);
  std::optional<result<scan_result>> found;
  gate running;
  auto scan = [](stream_log& of, scan_request what, std::optional<result<scan_result>>& to) -> task<void> {
    to.emplace(co_await of.scan(what));
  };
  running.spawn(scan(f.log(), request, found));
  CHECK(running.running() == 1);
  REQUIRE(f.world.drop(one));
  while (running.running() != 0) f.world.turn();
  REQUIRE(found);
  REQUIRE(*found);
  CHECK((*found)->records.size() == 100);
}

}  // namespace
}  // namespace weir
