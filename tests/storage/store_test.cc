// The store: what was acknowledged is there after any restart, from snapshots, journal and blocks in every combination.
#include "storage/store.h"

#include <doctest/doctest.h>

#include "storage/block_format.h"
#include "tests/sim/test_seed.h"
#include "tests/storage/store_world.h"

namespace weir {
namespace {

constexpr stream_id one{1};
constexpr stream_id two{2};

log_options small_blocks(uint64_t records = 50) {
  log_options options;
  options.block_records = records;
  options.label = "a label";
  return options;
}

void fill(store_world& world, stream_id stream, size_t messages, uint64_t subjects = 3) {
  for (size_t i = 0; i < messages; ++i) {
    std::string subject = "s." + std::to_string(world.random() % subjects);
    std::string payload(world.random() % 60, static_cast<char>('a' + i % 26));
    REQUIRE(world.append(stream, subject, payload, wall_ms(static_cast<int64_t>(i))));
  }
}

void checkpoint(store_world& world) {
  auto done = world.run(world.it->checkpoint());
  REQUIRE(done);
}

size_t block_files(store_world& world, stream_id stream) {
  auto names = world.where.list(stream_dir("s0", stream));
  return names ? names->size() : 0;
}

TEST_CASE("store: what was appended is scanned, from memory and from blocks") {
  store_world world(1);
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks()));
  fill(world, one, 120);
  REQUIRE(world.sync());
  CHECK(world.log(one).last_visible() == seq_no(120));
  world.compare_all();
  checkpoint(world);
  CHECK(block_files(world, one) == 3);
  world.compare_all();
  fill(world, one, 30);
  world.compare_all();
}

TEST_CASE("store: nothing is visible before it is durable") {
  store_world world(2);
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks()));
  fill(world, one, 3);
  CHECK(world.log(one).last_visible() == seq_no(0));
  CHECK(world.log(one).stats().last == seq_no(3));
  REQUIRE(world.sync());
  CHECK(world.log(one).last_visible() == seq_no(3));
}

TEST_CASE("store: a clean restart shows everything, with and without checkpoints") {
  for (bool checkpointed : {false, true}) {
    store_world world(3);
    REQUIRE(world.open());
    REQUIRE(world.create(one, small_blocks()));
    REQUIRE(world.create(two, small_blocks(7)));
    fill(world, one, 100);
    fill(world, two, 40);
    REQUIRE(world.remove(one, {seq_no(5), seq_no(99)}));
    if (checkpointed) checkpoint(world);
    REQUIRE(world.remove_before(two, seq_no(20)));
    REQUIRE(world.remove(one, {seq_no(1), seq_no(50)}));
    REQUIRE(world.note(77));
    fill(world, one, 10);
    REQUIRE(world.close());
    REQUIRE(world.open());
    world.compare_all();
    CHECK(world.it->report().damaged_records == 0);
    CHECK(world.it->report().quarantined.empty());
    CHECK(world.it->report().notes.empty());
    fill(world, two, 5);
    world.compare_all();
  }
}

TEST_CASE("store: a killed process loses nothing that was acknowledged") {
  store_world world(4);
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks()));
  fill(world, one, 200);
  checkpoint(world);
  fill(world, one, 20);
  REQUIRE(world.sync());
  fill(world, one, 5);
  world.where.restart();
  world.abandon();
  REQUIRE(world.open());
  world.settle_on_observed();
  CHECK(world.model.logs[one].last >= seq_no(220));
  world.compare_all();
}

TEST_CASE("store: checkpoints free the journal and keep two snapshots") {
  store_world world(5);
  world.tracks = false;
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks(1000)));
  for (int i = 0; i < 40; ++i) {
    fill(world, one, 100);
    REQUIRE(world.sync());
  }
  // 4,000 records are several segments of 64 KiB; the store took checkpoints by itself.
  while (world.commits.pending() + world.pool.pending() != 0) world.step();
  auto names = world.where.list("s0");
  REQUIRE(names);
  auto snapshots =
      std::count_if(names->begin(), names->end(), [](const auto& n) { return n.starts_with("snapshot-"); });
  CHECK(snapshots == 2);
  CHECK(world.where.list("s0/journal")->size() <= 6);
  world.compare_all();
}

TEST_CASE("store: publishers that wait for segments go on when a late checkpoint has ended") {
  store_world world(14);
  world.tracks = false;
  world.config.journal.segments_max = 4;
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks(1000)));
  std::string payload(3000, 'x');
  record_fields fields{"s.1", wall_ms(1), {}, as_bytes(payload)};
  // The pool stands still: checkpoints begin and do not end, until all segments are in use.
  size_t appended = 0;
  for (size_t idle = 0; idle < 3; ++appended) {
    if (world.it->log_journal().has_room(world.log(one).append_bytes(fields))) {
      REQUIRE(world.append(one, "s.1", payload, wall_ms(1)));
      idle = 0;
      continue;
    }
    world.it->flush();
    idle += world.commits.pending() == 0 ? 1 : 0;
    world.commits.run_all();
  }
  REQUIRE(appended > 50);
  for (int i = 0; i < 100; ++i) REQUIRE(world.append(one, "s.2", payload, wall_ms(2)));
  world.compare_all();
  REQUIRE(world.close());
  REQUIRE(world.open());
  world.compare_all();
}

TEST_CASE("store: removed before it settles, a record is never written to a block") {
  store_world world(6);
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks(1000)));
  fill(world, one, 100);
  REQUIRE(world.remove_before(one, seq_no(101)));
  checkpoint(world);
  CHECK(block_files(world, one) == 0);
  REQUIRE(world.close());
  REQUIRE(world.open());
  CHECK(world.log(one).stats().last == seq_no(100));
  world.compare_all();
}

TEST_CASE("store: a block without live records is deleted once no snapshot needs it") {
  store_world world(7);
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks(50)));
  fill(world, one, 200);
  checkpoint(world);
  CHECK(block_files(world, one) == 4);
  REQUIRE(world.remove_before(one, seq_no(120)));
  REQUIRE(world.run(world.log(one).become_exact()));
  checkpoint(world);
  CHECK(block_files(world, one) == 4);  // the older snapshot still names them
  fill(world, one, 1);
  checkpoint(world);
  CHECK(block_files(world, one) == 3);  // 101-150, 151-200, 201
  world.compare_all();
  REQUIRE(world.close());
  REQUIRE(world.open());
  world.compare_all();
}

TEST_CASE("store: a dropped log is gone after a restart and so are its files, later") {
  store_world world(8);
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks()));
  REQUIRE(world.create(two, small_blocks()));
  fill(world, one, 100);
  fill(world, two, 100);
  checkpoint(world);
  REQUIRE(world.drop(one));
  CHECK(world.it->log(one) == nullptr);
  REQUIRE(world.sync());
  world.where.restart();
  world.abandon();
  REQUIRE(world.open());
  world.compare_all();
  CHECK(block_files(world, one) == 2);
  checkpoint(world);
  REQUIRE(world.note(1));
  checkpoint(world);
  CHECK_FALSE(world.where.exists(stream_dir("s0", one)));
  world.compare_all();
}

TEST_CASE("store: an ephemeral log takes no disk and is empty after a restart") {
  store_world world(9);
  world.tracks = false;
  REQUIRE(world.open());
  log_options options = small_blocks();
  options.ephemeral = true;
  REQUIRE(world.create(one, options));
  REQUIRE(world.sync());
  uint64_t entries = world.it->log_journal().stats().entries;
  fill(world, one, 5000);
  CHECK(world.log(one).last_visible() == seq_no(5000));
  std::vector<seq_no> seqs;
  for (uint64_t seq = 1; seq < 4990; ++seq) seqs.push_back(seq_no(seq));
  world.remove(one, seqs);  // copies the rest together
  world.compare_all();
  CHECK(world.it->log_journal().stats().entries == entries);
  checkpoint(world);
  CHECK(block_files(world, one) == 0);
  REQUIRE(world.close());
  REQUIRE(world.open());
  CHECK(world.log(one).stats().last == seq_no(0));
}

TEST_CASE("store: a key-value log of which every key is overwritten stays exact without reading blocks") {
  store_world world(10);
  REQUIRE(world.open());
  REQUIRE(world.create(one, small_blocks(100)));
  for (int round = 0; round < 6; ++round) {
    for (int key = 0; key < 80; ++key) {
      std::string subject = "k." + std::to_string(key);
      const subject_info* known = world.log(one).find_subject(subject);
      seq_no old = known != nullptr ? known->first : seq_no();
      REQUIRE(world.append(one, subject, std::to_string(round), wall_ms(round)));
      if (old != seq_no()) REQUIRE(world.remove(one, {old}));
      REQUIRE(world.log(one).exact());
      REQUIRE(world.log(one).find_subject(subject)->count == 1);
    }
    uint64_t reads = world.where.count(sim_disk::op::read);
    if (round % 2 == 1) checkpoint(world);
    if (round % 2 == 0) CHECK(world.where.count(sim_disk::op::read) == reads);
  }
  world.compare_all();
  REQUIRE(world.close());
  REQUIRE(world.open());
  world.compare_all();
}

TEST_CASE("store: a written log shows a record when the write returned") {
  store_world world(11);
  REQUIRE(world.open());
  log_options options = small_blocks();
  options.written_is_visible = true;
  REQUIRE(world.create(one, options));
  REQUIRE(world.sync());
  fill(world, one, 3);
  uint64_t syncs = world.it->log_journal().stats().syncs;
  while (world.log(one).last_visible() != seq_no(3)) world.turn();
  CHECK(world.it->log_journal().stats().syncs == syncs);
}

TEST_CASE("store: a directory of others is refused, one of another format too") {
  store_world world(12);
  REQUIRE(world.where.make_dir("s0"));
  REQUIRE(world.where.open("s0/precious.txt", disk::mode::create));
  auto opened = world.open();
  REQUIRE_FALSE(opened);
  CHECK(opened.err().code == errc::foreign_directory);
  CHECK(world.where.list("s0")->size() == 1);
}

TEST_CASE("store: a damaged or deleted SHARD file is written again") {
  for (bool deleted : {false, true}) {
    store_world world(13);
    REQUIRE(world.open());
    REQUIRE(world.create(one, small_blocks()));
    fill(world, one, 10);
    REQUIRE(world.close());
    if (deleted) {
      REQUIRE(world.where.remove("s0/SHARD"));
    } else {
      world.where.flip_bit("s0/SHARD", 30, 2);
    }
    REQUIRE(world.open());
    world.compare_all();
    CHECK(world.it->report().notes.size() == 1);
    CHECK(world.it->report().quarantined.size() == (deleted ? 0 : 1));
    REQUIRE(world.close());
    REQUIRE(world.open());
    CHECK(world.it->report().notes.empty());
  }
}

}  // namespace
}  // namespace weir
