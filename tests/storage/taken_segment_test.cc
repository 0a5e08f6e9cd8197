// Segments of the journal that become block files as they are.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "storage/block_format.h"
#include "storage/journal_segment.h"
#include "storage/snapshot.h"
#include "tests/storage/store_world.h"

namespace weir {
namespace {

constexpr stream_id one{1};
constexpr stream_id two{2};

log_options options_of(uint64_t block_records = 1000) {
  log_options options;
  options.block_records = block_records;
  options.label = "a label";
  return options;
}

struct taking_world : store_world {
  explicit taking_world(uint64_t seed) : store_world(seed) {
    config.taken_bytes_min = 0;
    config.journal.segment_bytes = segment_bytes_min;
    config.journal.batch_bytes_max = 4 << 10;
  }

  void begin() {
    REQUIRE(open());
    REQUIRE(create(one, options_of()));
    REQUIRE(create(two, options_of()));
  }
  // Until everything that was begun has ended: the store takes its checkpoints by itself.
  void rest() {
    REQUIRE(sync());
    while (commits.pending() + pool.pending() != 0) turn();
  }
  void put(stream_id stream, size_t messages, size_t bytes = 500) {
    for (size_t i = 0; i < messages; ++i) {
      REQUIRE(append(stream, "s." + std::to_string(i % 3), std::string(bytes, 'p'), wall_ms(1)));
      rest();
    }
  }
  void checkpoint_now() { REQUIRE(run(it->checkpoint())); }

  std::vector<std::string> blocks(stream_id stream) {
    const std::string dir = stream_dir("s0", stream);
    std::vector<std::string> paths;
    if (!where.exists(dir)) return paths;
    const auto names = where.list(dir);
    for (const std::string& name : *names) paths.push_back(dir + "/" + name);
    return paths;
  }
  bool is_taken(const std::string& block) { return block_header_offset(where.contents(block)) != 0; }
  std::vector<std::string> taken(stream_id stream) {
    std::vector<std::string> all = blocks(stream);
    std::erase_if(all, [&](const std::string& each) { return !is_taken(each); });
    return all;
  }
  scan_result scan_all(stream_id stream) {
    scan_request request;
    request.from = seq_no(1);
    request.to = seq_no(10'000);
    auto found = run(log(stream).scan(request));
    REQUIRE(found);
    return std::move(*found);
  }
  void power_cut(uint64_t seed) {
    where.crash(seed);
    abandon();
    REQUIRE(open());
    settle_on_observed();
  }
};

// A taken block of log one, with records of log two in its segment; both logs have as many records as sequences.
void mixed(taking_world& world) {
  world.begin();
  for (int i = 0; i < 60; ++i) {
    world.put(one, 1, 460 + static_cast<size_t>(i));
    if (i % 8 == 3) world.put(two, 1, 10);
  }
  world.checkpoint_now();
  REQUIRE(world.taken(one).size() >= 2);
}

TEST_CASE("taken segment: what is mostly one log's becomes its block, and only what others have in it is copied") {
  taking_world world(1);
  mixed(world);
  CHECK(world.taken(two).empty());
  CHECK(world.blocks(two).size() == 1);
  const std::string first = world.taken(one).front();
  CHECK(first == block_path("s0", one, seq_no(1)));
  const auto bytes = world.where.contents(first);
  CHECK(as_text(byte_span(bytes).first(8)) == "WEIRJRN1");
  CHECK(block_header_offset(bytes) == segment_bytes_min);
  const auto header = decode_block_header(byte_span(bytes).subspan(segment_bytes_min));
  REQUIRE(header);
  CHECK(header->header.stream == one);
  CHECK(header->header.base == seq_no(1));
  CHECK(header->header.label == "a label");
  world.compare_all();
  // Once the journal lets go of it, the block is the only one that has it.
  for (int i = 0; i < 4; ++i) {
    world.put(one, 30);
    world.checkpoint_now();
  }
  CHECK(*world.where.names_of(first) == 1);
  CHECK(world.where.contents(first) == bytes);
  world.compare_all();
}

TEST_CASE("taken segment: with half of a segment nobody takes it") {
  taking_world world(2);
  world.begin();
  for (int i = 0; i < 60; ++i) world.put(i % 2 == 0 ? one : two, 1);
  world.checkpoint_now();
  CHECK(world.taken(one).empty());
  CHECK(world.taken(two).empty());
  world.compare_all();
}

TEST_CASE("taken segment: records that are gone do not count, so a queue that is emptied takes nothing") {
  taking_world world(3);
  world.begin();
  for (uint64_t i = 1; i <= 60; ++i) {
    world.put(one, 1);
    if (i % 3 != 0) REQUIRE(world.remove(one, {seq_no(i)}));
  }
  world.checkpoint_now();
  CHECK(world.taken(one).empty());
  CHECK(world.blocks(one).size() > 0);
  world.compare_all();
}

TEST_CASE("taken segment: small segments are copied") {
  taking_world world(4);
  world.config.taken_bytes_min = segment_bytes_min + 1;
  world.begin();
  world.put(one, 60);
  world.checkpoint_now();
  CHECK(world.taken(one).empty());
  world.compare_all();
}

TEST_CASE("taken segment: it holds more messages than a block should; later ones go behind it or into the next") {
  taking_world world(5);
  REQUIRE(world.open());
  REQUIRE(world.create(one, options_of(60)));
  while (world.taken(one).empty()) world.put(one, 1, 300);
  const auto before = world.blocks(one);
  REQUIRE(before.size() == 1);
  // Fewer than 60: what comes next is appended.
  world.put(one, 3, 10);
  world.checkpoint_now();
  CHECK(world.blocks(one) == before);
  world.compare_all();
  world.put(one, 200, 70);
  world.checkpoint_now();
  CHECK(world.taken(one).size() >= 2);
  world.compare_all();
  REQUIRE(world.close());
  REQUIRE(world.open());
  world.compare_all();
}

// A segment that is nearly full, and no checkpoint yet.
void fill_unsettled(taking_world& world) {
  world.begin();
  for (int i = 0; i < 21; ++i) REQUIRE(world.append(one, "s.1", std::string(440, 'x'), wall_ms(1)));
  REQUIRE(world.sync());
  while (world.commits.pending() + world.pool.pending() != 0) world.step();
  REQUIRE(world.blocks(one).empty());
  for (int i = 0; i < 2; ++i) REQUIRE(world.append(one, "s.1", std::string(440, 'x'), wall_ms(1)));
}

TEST_CASE("taken segment: where a file cannot have two names everything is copied") {
  uint64_t copied = 0;
  for (uint64_t k = 1; k <= 4; ++k) {
    CAPTURE(k);
    taking_world world(6);
    fill_unsettled(world);
    world.where.fail(sim_disk::op::name, k);  // one of them is the link
    const auto done = world.run(world.it->checkpoint());
    world.where.heal();
    copied += done && world.taken(one).empty() && !world.blocks(one).empty() ? 1 : 0;
    if (!world.it->failed()) {
      world.compare_all();
      world.put(one, 60);
    }
    world.power_cut(k);
    world.compare_all();
    CHECK(world.it->report().damaged_records == 0);
  }
  CHECK(copied == 1);
}

TEST_CASE("taken segment: after a failed sync it is copied, and never written over or synced as a block again") {
  uint64_t copied = 0;
  for (uint64_t k = 1; k <= 6; ++k) {
    CAPTURE(k);
    taking_world world(7);
    fill_unsettled(world);
    world.where.fail(sim_disk::op::sync, k);
    const auto done = world.run(world.it->checkpoint());
    world.where.heal();
    if (!world.it->failed()) {
      world.compare_all();
      world.checkpoint_now();
      copied += !done && world.taken(one).empty() ? 1 : 0;
      world.put(one, 100);
      world.compare_all();
    }
    world.power_cut(k);
    world.compare_all();
    CHECK(world.it->report().damaged_records == 0);
  }
  CHECK(copied > 0);
}

TEST_CASE("taken segment: a restart knows which segments are blocks and does not write over them") {
  taking_world world(8);
  mixed(world);
  for (int round = 0; round < 6; ++round) {
    const auto blocks = world.taken(one);
    std::vector<std::vector<uint8_t>> before;
    for (const std::string& each : blocks) before.push_back(world.where.contents(each));
    if (round % 2 == 0) {
      REQUIRE(world.close());
      REQUIRE(world.open());
    } else {
      world.power_cut(static_cast<uint64_t>(round));
    }
    CHECK(world.it->report().notes.empty());
    world.put(one, 70);
    world.checkpoint_now();
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto now = world.where.contents(blocks[i]);
      REQUIRE(now.size() >= before[i].size());
      CHECK(std::equal(before[i].begin(), before[i].end(), now.begin()));
    }
    world.compare_all();
  }
}

TEST_CASE("taken segment: what a restart replayed is taken over like what was just written") {
  taking_world world(9);
  fill_unsettled(world);
  world.where.restart();
  world.abandon();
  REQUIRE(world.open());
  world.settle_on_observed();
  REQUIRE(world.blocks(one).empty());
  while (world.model.logs[one].last < seq_no(23)) REQUIRE(world.append(one, "s.1", std::string(440, 'y'), wall_ms(1)));
  world.checkpoint_now();
  CHECK(world.taken(one).size() == 1);
  world.compare_all();
}

TEST_CASE("taken segment: the journal leaves alone what somebody gave a second name, and makes itself another") {
  for (const bool can_allocate : {true, false}) {
    taking_world world(10);
    world.where.can_allocate = can_allocate;
    world.begin();
    world.put(one, 1);
    // As a backup by hard links does it, of a running server.
    std::map<std::string, std::vector<uint8_t>> kept;
    const auto names = world.where.list("s0/journal");
    for (const std::string& name : *names) {
      if (!free_segment_number(name)) continue;
      REQUIRE(world.where.link("s0/journal/" + name, "kept-" + name));
      kept["kept-" + name] = world.where.contents("kept-" + name);
    }
    REQUIRE(kept.size() > 0);
    world.put(one, 100);
    REQUIRE_FALSE(world.it->failed());
    for (const auto& [path, bytes] : kept) CHECK(world.where.contents(path) == bytes);
    world.compare_all();
    world.power_cut(1);
    world.compare_all();
    CHECK(world.it->report().damaged_records == 0);
  }
}

TEST_CASE("taken segment: where nobody counts the names of a file everything is copied") {
  taking_world world(16);
  world.where.counts_names = false;
  world.begin();
  world.put(one, 150);
  world.checkpoint_now();
  CHECK(world.taken(one).empty());
  CHECK(world.blocks(one).size() > 0);
  world.compare_all();
  world.power_cut(2);
  world.put(one, 150);
  world.compare_all();
}

TEST_CASE("taken segment: the file goes with the last message that is in it") {
  taking_world world(11);
  world.begin();
  world.put(one, 120);
  world.checkpoint_now();
  const uint64_t before = world.where.used();
  REQUIRE(world.remove_before(one, world.model.logs[one].last));
  for (int i = 0; i < 4; ++i) {
    world.put(two, 1);
    world.checkpoint_now();
  }
  CHECK(world.taken(one).size() <= 1);
  CHECK(world.where.used() < before - 3 * segment_bytes_min);
  world.compare_all();
}

TEST_CASE("taken segment: a full disk leaves the records where they are, and the next checkpoint settles them") {
  // No room for the header, for the index, for the snapshot.
  for (const uint64_t room : {100, 4500, 5000}) {
    CAPTURE(room);
    taking_world world(12);
    fill_unsettled(world);
    world.where.set_capacity(world.where.used() + room);
    const auto full = world.run(world.it->checkpoint());
    REQUIRE_FALSE(full);
    CHECK(full.err().code == errc::disk_full);
    CHECK(world.blocks(one).empty() == (room < 5000));
    world.compare_all();
    world.where.set_capacity(world.where.used() + (1 << 20));
    world.it->tick();
    world.checkpoint_now();
    world.put(one, 60);
    world.compare_all();
    world.power_cut(1);
    world.compare_all();
  }
}

// Damage

void lose_snapshots(sim_disk& where) {
  const auto snapshots = list_snapshots(where, "s0");
  REQUIRE(snapshots);
  for (lsn at : *snapshots) where.cut(snapshot_path("s0", at), 10);
}

TEST_CASE("taken segment: without snapshots the block still says whose it is") {
  taking_world world(13);
  world.begin();
  world.put(one, 200);
  world.checkpoint_now();
  world.put(one, 40);
  world.checkpoint_now();
  const model_log expected = world.model.logs[one];
  world.where.restart();
  world.abandon();
  // So much of the journal is gone that the creation of the log is gone too.
  REQUIRE_FALSE(world.where.exists("s0/journal/" + segment_name(1)));
  lose_snapshots(world.where);
  REQUIRE(world.open());
  CHECK(world.client.adopted.contains(one));
  CHECK(world.client.logs[one].label == "a label");
  CHECK(world.observed(world.log(one)) == expected);
}

// Breaks every page of the index, so that the block must be repaired from what stands in the segment.
void break_index(sim_disk& where, const std::string& block) {
  const auto bytes = where.contents(block);
  const uint64_t end = bytes.size() - block_format::trailer_bytes;
  const auto last = decode_trailer(byte_span(bytes).subspan(end), end);
  REQUIRE(last);
  for (uint64_t at = last->pages_at(); at < end; at += 64) where.flip_bit(block, at, 3);
}

TEST_CASE("taken segment: a repair saves the log's own records, and nobody else's") {
  for (const bool header_gone : {false, true}) {
    CAPTURE(header_gone);
    taking_world world(14);
    mixed(world);
    const std::string block = world.taken(one).front();
    const auto last_of_block = world.taken(one).size() > 1
                                   ? parse_block_name(world.taken(one)[1].substr(world.taken(one)[1].rfind('/') + 1))
                                   : std::nullopt;
    REQUIRE(last_of_block);
    world.where.restart();
    world.abandon();
    break_index(world.where, block);
    if (header_gone) world.where.overwrite(block, 0, std::vector<uint8_t>(segment_data_offset, 0xee));
    REQUIRE(world.open());
    const auto& report = world.it->report();
    REQUIRE(report.quarantined.size() >= 1);
    const scan_result found = world.scan_all(one);
    // Without the header of the segment nothing proves whose an entry is: the file is set aside, its records are lost.
    const uint64_t lost = header_gone ? last_of_block->raw() - 1 : 0;
    CHECK(report.damaged_records == lost);
    CHECK(found.damaged.size() == lost);
    CHECK(found.records.size() == world.model.logs[one].live.size() - lost);
    for (const found_record& each : found.records) {
      CHECK(as_text(decode_record(each.bytes.bytes())->payload) == world.model.logs[one].live[each.seq].payload);
    }
    CHECK(world.observed(world.log(two)) == world.model.logs[two]);
  }
}

TEST_CASE("taken segment: one damaged record is reported, its neighbours in the same entry are read") {
  taking_world world(15);
  world.begin();
  REQUIRE(world.move(one, {}, one, std::vector<std::string>(23, std::string(440, 'n')), 1));
  world.rest();
  world.put(one, 2, 400);
  world.checkpoint_now();
  REQUIRE(world.taken(one).size() == 1);
  world.where.restart();
  world.abandon();
  world.where.flip_bit(world.taken(one).front(), segment_data_offset + 5000, 1);
  REQUIRE(world.open());
  const scan_result found = world.scan_all(one);
  CHECK(found.damaged.size() == 1);
  CHECK(found.records.size() == world.model.logs[one].live.size() - 1);
}

}  // namespace
}  // namespace weir
