// The set of removed sequences beside std::set.
#include "storage/interval_set.h"

#include <doctest/doctest.h>

#include <random>
#include <set>

#include "tests/sim/test_seed.h"

namespace weir {
namespace {

TEST_CASE("interval_set: ranges merge, gaps stay, counts are of new numbers only") {
  interval_set set;
  CHECK(set.add(seq_no(5), seq_no(9)) == 5);
  CHECK(set.add(seq_no(12), seq_no(14)) == 3);
  CHECK(set.add(seq_no(8), seq_no(12)) == 2);
  CHECK(set.count() == 10);
  CHECK(set.next_absent(seq_no(5)) == seq_no(15));
  CHECK(set.next_absent(seq_no(4)) == seq_no(4));
  CHECK(set.next_present(seq_no(1)) == seq_no(5));
  CHECK_FALSE(set.next_present(seq_no(15)));
  CHECK(set.erase(seq_no(7), seq_no(13)) == 7);
  CHECK(set.contains(seq_no(6)));
  CHECK_FALSE(set.contains(seq_no(7)));
  CHECK(set.contains(seq_no(14)));
  CHECK(set.add(seq_no(3), seq_no(2)) == 0);
}

TEST_CASE("interval_set: a run over many pieces is found at both ends") {
  interval_set set;
  CHECK(set.add(seq_no(1), seq_no(1'000'000)) == 1'000'000);
  CHECK(set.next_absent(seq_no(1)) == seq_no(1'000'001));
  CHECK(set.count_in(seq_no(65'000), seq_no(200'000)) == 135'001);
  CHECK(set.erase(seq_no(0), seq_no(999'999)) == 999'999);
  CHECK(set.next_present(seq_no(0)) == seq_no(1'000'000));
}

seq_no pick(std::mt19937_64& random, uint64_t bound) {
  return seq_no(random() % bound);
}

void compare(const interval_set& set, const std::set<uint64_t>& model, std::mt19937_64& random, uint64_t bound) {
  REQUIRE(set.count() == model.size());
  for (int i = 0; i < 20; ++i) {
    seq_no from = pick(random, bound);
    seq_no to = pick(random, bound);
    REQUIRE(set.contains(from) == model.contains(from.raw()));
    auto present = model.lower_bound(from.raw());
    auto found = set.next_present(from);
    REQUIRE(found.has_value() == (present != model.end()));
    if (found) REQUIRE(found->raw() == *present);
    uint64_t absent = from.raw();
    while (model.contains(absent)) ++absent;
    REQUIRE(set.next_absent(from).raw() == absent);
    if (from > to) std::swap(from, to);
    auto count = std::distance(model.lower_bound(from.raw()), model.upper_bound(to.raw()));
    REQUIRE(set.count_in(from, to) == static_cast<uint64_t>(count));
  }
}

TEST_CASE("interval_set: any mix of additions and removals answers like a set of numbers, also after encoding") {
  auto seeds = test_seeds(20, 200);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    interval_set set;
    std::set<uint64_t> model;
    uint64_t bound = seed % 2 == 0 ? 200'000 : 3'000;
    uint64_t length = seed % 3 == 0 ? 2'000 : 2;  // single numbers make bitmaps
    int rounds = seed % 3 == 0 ? 100 : 6'000;
    for (int i = 0; i < rounds; ++i) {
      seq_no from = pick(random, bound);
      seq_no to(from.raw() + random() % length);
      uint64_t changed = 0;
      bool adding = random() % 4 != 0;
      for (uint64_t n = from.raw(); n <= to.raw(); ++n) changed += adding ? model.insert(n).second : model.erase(n);
      REQUIRE((adding ? set.add(from, to) : set.erase(from, to)) == changed);
    }
    compare(set, model, random, bound);
    std::string bytes;
    byte_writer writer(bytes);
    set.encode(writer);
    byte_reader reader(as_bytes(bytes));
    interval_set again = interval_set::decode(reader);
    REQUIRE(reader.good());
    REQUIRE(reader.left() == 0);
    REQUIRE(again == set);
    compare(again, model, random, bound);
  }
}

TEST_CASE("interval_set: garbage is refused or is a set, never a crash") {
  std::mt19937_64 random(7);
  interval_set set;
  for (uint64_t n = 1; n < 100; n += 3) set.add(seq_no(n * 7919), seq_no(n * 7919 + n));
  std::string bytes;
  byte_writer writer(bytes);
  set.encode(writer);
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
    if (random() % 4 == 0) damaged.resize(random() % damaged.size());
    byte_reader reader(as_bytes(damaged));
    interval_set found = interval_set::decode(reader);
    CHECK(found.count() == found.count_in(seq_no(0), seq_no(~uint64_t{0})));
  }
}

}  // namespace
}  // namespace weir
