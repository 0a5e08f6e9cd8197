// Block files: what is written part by part is read back by row, by subject and by record; damage is found and
// repaired.
#include <doctest/doctest.h>

#include <map>
#include <random>

#include "storage/block_reader.h"
#include "storage/block_salvage.h"
#include "storage/block_writer.h"
#include "storage/record.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

const std::string root = "s0";
constexpr stream_id stream{7};

struct message {
  std::string subject;
  wall_ms time;
  std::string bytes;  // as stored
};
using model = std::map<uint64_t, message>;

message make_message(uint64_t seq, std::mt19937_64& random, uint64_t subjects, size_t payload_max = 100) {
  message made;
  made.subject = "s." + std::to_string(random() % subjects);
  made.time = wall_ms(static_cast<int64_t>(1'000 + seq + random() % 10));
  std::string payload(random() % payload_max, static_cast<char>('a' + seq % 26));
  record_fields fields{made.subject, made.time, {}, as_bytes(payload)};
  made.bytes.resize(record_size(fields, seq_no(seq)));
  encode_record(reinterpret_cast<uint8_t*>(made.bytes.data()), fields, seq_no(seq), 3);
  return made;
}

void add(block_writer& writer, model& all, uint64_t seq, message made) {
  message& kept = all[seq] = std::move(made);
  REQUIRE(writer.add(as_bytes(kept.bytes), seq_no(seq), kept.subject, kept.time));
}

struct fixture {
  sim_disk where;
  model all;
  std::mt19937_64 random;
  uint64_t next = 11;
  block_ref current;
  size_t payload_max = 100;

  explicit fixture(uint64_t seed) : random(seed) { REQUIRE(where.make_dir(stream_dir(root, stream))); }

  // One more part of `rows` records; every `gap`-th sequence is left out.
  void add_part(size_t rows, uint64_t gap = 0, bool seal = false, uint64_t subjects = 5) {
    auto writer = current ? block_writer::append(where, root, current)
                          : block_writer::create(where, path(), block_header{stream, seq_no(next), "label"});
    REQUIRE(writer);
    for (size_t i = 0; i < rows; ++i, ++next) {
      if (gap != 0 && next % gap == 0) ++next;
      add(*writer, all, next, make_message(next, random, subjects, payload_max));
    }
    auto made = writer->finish(seal);
    REQUIRE(made);
    current = *made;
  }
  std::string path() const { return block_path(root, stream, seq_no(11)); }
  std::unique_ptr<file> open() {
    auto opened = where.open(path(), disk::mode::read);
    REQUIRE(opened);
    return std::move(*opened);
  }
};

// Everything a block says, as a model.
model read_back(file& from, const block& whole) {
  model found;
  for (const auto& part : whole.parts) {
    for (uint32_t g = 0; g < part->info.groups(); ++g) {
      auto group = load_group(from, *part, g, true);
      REQUIRE(group);
      auto records = load_records(from, group->rows);
      REQUIRE(records.size() == group->rows.size());
      for (size_t i = 0; i < records.size(); ++i) {
        const block_row& row = group->rows[i];
        REQUIRE(records[i].has_value());
        found[row.seq.raw()] = message{group->names[row.slot], row.time, std::string(as_text(records[i]->bytes()))};
      }
    }
  }
  return found;
}

bool same(const model& left, const model& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.subject == b.second.subject && a.second.time == b.second.time &&
           a.second.bytes == b.second.bytes;
  });
}

std::vector<uint64_t> subject_seqs(file& from, const block& whole, const std::string& subject, uint64_t first,
                                   uint64_t last) {
  std::vector<uint64_t> seqs;
  for (const auto& part : whole.parts) {
    auto rows = load_subject_rows(from, *part, subject, seq_no(first), seq_no(last), 1'000'000, false);
    REQUIRE(rows);
    for (const auto& row : *rows) seqs.push_back(row.seq.raw());
  }
  return seqs;
}

void check_subjects(file& from, const block& whole, const model& all, std::mt19937_64& random) {
  for (int i = 0; i < 10; ++i) {
    std::string subject = "s." + std::to_string(random() % 7);
    uint64_t first = random() % (whole.last().raw() + 5);
    uint64_t last = first + random() % 500;
    std::vector<uint64_t> expected;
    for (const auto& [seq, made] : all) {
      if (seq >= first && seq <= last && made.subject == subject) expected.push_back(seq);
    }
    REQUIRE(subject_seqs(from, whole, subject, first, last) == expected);
  }
}

TEST_CASE("block: parts appended one by one, merged and sealed read back the same") {
  auto seeds = test_seeds(12, 100);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    fixture f(seed);
    int parts = 1 + static_cast<int>(seed * 3 % 40);
    for (int i = 0; i < parts; ++i)
      f.add_part(1 + f.random() % 200, seed % 3 == 0 ? 0 : 2 + seed % 5, i == parts - 1 && seed % 2 == 0);
    auto file = f.open();
    auto loaded = load_block(*file, stream, seq_no(11), f.current->length);
    REQUIRE(loaded);
    CHECK(loaded->rows() == f.all.size());
    CHECK(loaded->closed == (seed % 2 == 0));
    CHECK(loaded->parts.size() == f.current->parts.size());
    if (seed % 2 == 0) CHECK(loaded->parts.size() == 1);
    CHECK(loaded->parts.size() <= 14);
    CHECK(same(read_back(*file, *loaded), f.all));
    check_subjects(*file, *loaded, f.all, f.random);
    auto header = decode_block_header(f.where.contents(f.path()));
    REQUIRE(header);
    CHECK(header->header.label == "label");
  }
}

constexpr size_t long_payload = 30'000;

TEST_CASE("block: parts of several MiB read back the same, wherever in a page they begin") {
  auto seeds = test_seeds(6, 60);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    fixture f(seed);
    for (int part = 0; part < 4; ++part) {
      f.payload_max = part % 2 == 0 ? long_payload : 100;
      f.add_part(1 + f.random() % 300, 0, part == 3);
    }
    auto file = f.open();
    auto loaded = load_block(*file, stream, seq_no(11), f.current->length);
    REQUIRE(loaded);
    CHECK(same(read_back(*file, *loaded), f.all));
  }
}

TEST_CASE("block: an append that fails at any write or sync leaves the block as it was") {
  for (uint64_t k = 1, failed = 1; failed != 0; ++k) {
    CAPTURE(k);
    fixture f(k);
    f.add_part(20);
    const model before = f.all;
    const uint64_t failures = f.where.failures();
    f.where.fail(sim_disk::op::change, k);
    {
      auto writer = block_writer::append(f.where, root, f.current);
      REQUIRE(writer);
      model added;
      bool fine = true;
      for (uint64_t i = 0; i < 300 && fine; ++i) {
        message& kept = added[i] = make_message(f.next + i, f.random, 5, long_payload);
        fine = writer->add(as_bytes(kept.bytes), seq_no(f.next + i), kept.subject, kept.time) ? true : false;
      }
      if (fine) fine = writer->finish(false) ? true : false;
      failed = f.where.failures() - failures;
      CHECK(fine == (failed == 0));
      if (!fine) writer->abandon();
    }
    f.where.heal();
    auto file = f.open();
    auto loaded = load_block(*file, stream, seq_no(11), f.current->length);
    REQUIRE(loaded);
    CHECK(same(read_back(*file, *loaded), before));
    f.payload_max = long_payload;
    f.add_part(100);
    file = f.open();
    loaded = load_block(*file, stream, seq_no(11), f.current->length);
    REQUIRE(loaded);
    CHECK(same(read_back(*file, *loaded), f.all));
    if (failed == 0) CHECK(k > 5);  // pieces, what was left and the sync
  }
}

TEST_CASE("block: the lowest and the highest rows of a subject come without the others") {
  fixture f(5);
  f.add_part(5000, 3, true);
  auto file = f.open();
  const block_part& part = *f.current->parts.front();
  auto first = load_subject_rows(*file, part, "s.3", seq_no(1), seq_no(1'000'000), 1, false);
  auto last = load_subject_rows(*file, part, "s.3", seq_no(1), seq_no(1'000'000), 2, true);
  auto all = subject_seqs(*file, *f.current, "s.3", 1, 1'000'000);
  REQUIRE(first);
  REQUIRE(last);
  REQUIRE(first->size() == 1);
  REQUIRE(last->size() == 2);
  CHECK((*first)[0].seq.raw() == all.front());
  CHECK((*last)[0].seq.raw() == all.back());
  CHECK((*last)[1].seq.raw() == all[all.size() - 2]);
  auto none = load_subject_rows(*file, part, "nobody", seq_no(1), seq_no(1'000'000), 1, false);
  REQUIRE(none);
  CHECK(none->empty());
}

TEST_CASE("block: a subject among a hundred thousand is found by reading a few pages") {
  fixture f(6);
  f.add_part(100'000, 0, true, 1'000'000);
  auto file = f.open();
  uint64_t reads = f.where.count(sim_disk::op::read);
  const std::string subject = f.all[5'000].subject;
  auto found = load_subject_rows(*file, *f.current->parts.front(), subject, seq_no(5'000), seq_no(5'000), 1, false);
  REQUIRE(found);
  REQUIRE(found->size() == 1);
  CHECK((*found)[0].seq == seq_no(5'000));
  CHECK(f.where.count(sim_disk::op::read) - reads <= 8);
}

TEST_CASE("block: leftovers of an unfinished append are ignored and overwritten") {
  fixture f(7);
  f.add_part(100);
  block_ref before = f.current;
  model known = f.all;
  uint64_t next = f.next;
  f.add_part(300);
  auto file = f.open();
  auto loaded = load_block(*file, stream, seq_no(11), before->length);
  REQUIRE(loaded);
  CHECK(same(read_back(*file, *loaded), known));
  f.current = before;
  f.all = known;
  f.next = next;
  f.add_part(20, 2);
  loaded = load_block(*file, stream, seq_no(11), std::nullopt);
  REQUIRE(loaded);
  CHECK(same(read_back(*file, *loaded), f.all));
}

// What a damaged copy of the file still says; wrong bytes fail the test.
model survivors(const fixture& f, sim_disk& where) {
  model found;
  auto opened = where.open(f.path(), disk::mode::read);
  REQUIRE(opened);
  auto loaded = load_block(**opened, stream, seq_no(11), f.current->length);
  bool damaged = !loaded;
  for (size_t i = 0; !damaged && i < loaded->parts.size(); ++i) {
    const auto& part = loaded->parts[i];
    damaged = !for_each_subject(**opened, *part, [](std::string_view, const block_slot&) {});
    for (uint32_t g = 0; !damaged && g < part->info.groups(); ++g) {
      auto group = load_group(**opened, *part, g, true);
      damaged = !group;
      if (damaged) break;
      auto records = load_records(**opened, group->rows);
      for (size_t r = 0; r < records.size(); ++r) {
        const block_row& row = group->rows[r];
        if (records[r])
          found[row.seq.raw()] = message{group->names[row.slot], row.time, std::string(as_text(records[r]->bytes()))};
      }
    }
  }
  if (!damaged) return found;
  auto repaired = salvage_block(where, root, stream, seq_no(11), f.current->last());
  REQUIRE(repaired);
  REQUIRE(where.exists(repaired->quarantined));
  auto again = where.open(f.path(), disk::mode::read);
  REQUIRE(again);
  auto whole = load_block(**again, stream, seq_no(11), std::nullopt);
  REQUIRE(whole);
  CHECK(whole->closed);
  return read_back(**again, *whole);
}

TEST_CASE("block: a flipped bit anywhere costs at most the one record it hits") {
  fixture f(8);
  f.add_part(60);
  f.add_part(40, 4);
  uint64_t size = f.where.contents(f.path()).size();
  uint64_t stride = test_stride(7);
  for (uint64_t byte = 0; byte < size; byte += stride) {
    CAPTURE(byte);
    auto copy = f.where.copy();
    copy->flip_bit(f.path(), byte, static_cast<unsigned>(byte % 8));
    model found = survivors(f, *copy);
    REQUIRE(found.size() + 1 >= f.all.size());
    for (const auto& [seq, made] : found) {
      REQUIRE(f.all.contains(seq));
      REQUIRE(made.bytes == f.all[seq].bytes);
      REQUIRE(made.subject == f.all[seq].subject);
      REQUIRE(made.time == f.all[seq].time);
    }
    if (byte < 4096) REQUIRE(found.size() == f.all.size());
  }
}

TEST_CASE("block: a file cut at any length keeps every whole record before the cut") {
  fixture f(9);
  f.add_part(50);
  f.add_part(30);
  auto file = f.open();
  std::map<uint64_t, uint64_t> end_of;  // seq to where its record ends
  for (const auto& part : f.current->parts) {
    auto group = load_group(*file, *part, 0, false);
    REQUIRE(group);
    for (const auto& row : group->rows) end_of[row.seq.raw()] = row.offset + row.length;
  }
  uint64_t size = f.where.contents(f.path()).size();
  for (uint64_t cut = size - 1; cut > 4096; cut -= test_stride(37)) {
    CAPTURE(cut);
    auto copy = f.where.copy();
    copy->cut(f.path(), cut);
    auto repaired = salvage_block(*copy, root, stream, seq_no(11), f.current->last());
    REQUIRE(repaired);
    for (const auto& [seq, end] : end_of) REQUIRE(repaired->present.contains(seq_no(seq)) == (end <= cut));
    if (cut < 50) break;
  }
}

TEST_CASE("block: a message inside the payload of a damaged or cut one is not taken for one") {
  for (bool cut : {false, true}) {
    sim_disk where;
    REQUIRE(where.make_dir(stream_dir(root, stream)));
    std::mt19937_64 random(3);
    message forged = make_message(12, random, 1);
    auto writer =
        block_writer::create(where, block_path(root, stream, seq_no(11)), block_header{stream, seq_no(11), ""});
    REQUIRE(writer);
    record_fields fields{"s.0", wall_ms(5), {}, as_bytes(forged.bytes)};
    std::string outer(record_size(fields, seq_no(11)), '\0');
    encode_record(reinterpret_cast<uint8_t*>(outer.data()), fields, seq_no(11), 3);
    REQUIRE(writer->add(as_bytes(outer), seq_no(11), "s.0", wall_ms(5)));
    message honest = make_message(13, random, 1);
    REQUIRE(writer->add(as_bytes(honest.bytes), seq_no(13), honest.subject, honest.time));
    auto made = writer->finish(true);
    REQUIRE(made);
    std::string path = block_path(root, stream, seq_no(11));
    if (cut) {
      where.cut(path, 4096 + outer.size() - 1);
    } else {
      where.flip_bit(path, 4096 + outer.size() - 8, 1);
    }
    auto saved = salvage_block(where, root, stream, seq_no(11), seq_no(13));
    REQUIRE(saved);
    CHECK(saved->present.count() == (cut ? 0u : 1u));
    CHECK(saved->present.contains(seq_no(13)) == !cut);
  }
}

TEST_CASE("block: garbage is never a block, and never a crash") {
  std::mt19937_64 random(10);
  for (int i = 0; i < 300; ++i) {
    sim_disk where;
    REQUIRE(where.make_dir(stream_dir(root, stream)));
    std::string bytes(random() % 20'000, '\0');
    for (char& each : bytes) each = static_cast<char>(random() % 3 == 0 ? 0x22 : random());
    auto made = where.open(block_path(root, stream, seq_no(11)), disk::mode::create);
    REQUIRE(made);
    REQUIRE((*made)->write_at(0, as_bytes(bytes)));
    CHECK_FALSE(load_block(**made, stream, seq_no(11), std::nullopt));
    auto repaired = salvage_block(where, root, stream, seq_no(11), seq_no(1'000'000));
    REQUIRE(repaired);
    CHECK_FALSE(repaired->made);
    CHECK(where.exists(repaired->quarantined));
  }
}

TEST_CASE("block: a label longer than a page is kept") {
  block_header header{stream, seq_no(3), std::string(10'000, 'x')};
  std::string bytes = encode(header);
  CHECK(bytes.size() == 12'288);
  auto read = decode_block_header(as_bytes(bytes));
  REQUIRE(read);
  CHECK(read->header.label == header.label);
  CHECK(read->size == bytes.size());
}

}  // namespace
}  // namespace weir
