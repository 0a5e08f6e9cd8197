// The subject index beside std::map.
#include "storage/subject_index.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <map>
#include <random>

#include "tests/sim/test_seed.h"

namespace weir {
namespace {

std::vector<std::string> listed(const subject_index& index, std::string_view prefix, size_t limit = 1'000'000) {
  std::vector<std::string> names;
  index.for_each(prefix, [&](const subject_index::line& line) {
    names.emplace_back(line.name);
    return names.size() < limit;
  });
  return names;
}

TEST_CASE("subject_index: a prefix lists its subjects in byte order and nothing else") {
  subject_index index;
  for (const char* name : {"b", "a.c", "a.b", "a", "ab", "a.b.c", "\xc3\xa4"}) index.find_or_add(name);
  CHECK(listed(index, "a.") == std::vector<std::string>{"a.b", "a.b.c", "a.c"});
  CHECK(listed(index, "") == std::vector<std::string>{"a", "a.b", "a.b.c", "a.c", "ab", "b", "\xc3\xa4"});
  CHECK(listed(index, "", 2) == std::vector<std::string>{"a", "a.b"});
  CHECK(listed(index, "c").empty());
  CHECK(listed(subject_index(), "").empty());
}

TEST_CASE("subject_index: an erased subject is unknown and its line is empty when it comes back") {
  subject_index index;
  auto one = index.find_or_add("one");
  index.find_or_add("two");
  index.at(one).count = 7;
  CHECK(index.find_or_add("one") == one);
  index.erase(one);
  CHECK(index.find("one") == subject_index::none);
  CHECK(index.size() == 1);
  CHECK(index.at(index.find_or_add("one")).count == 0);
  index.clear();
  CHECK(index.size() == 0);
  CHECK(index.find("two") == subject_index::none);
}

TEST_CASE("subject_index: any mix of additions and removals lists like a map") {
  auto seeds = test_seeds(10, 200);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    subject_index index;
    std::map<std::string, uint64_t> model;
    uint64_t names = seed % 2 == 0 ? 50 : 5'000;
    for (int i = 0; i < 20'000; ++i) {
      std::string name = "s." + std::to_string(random() % names);
      if (random() % 5 < (i < 10'000 ? 3u : 1u)) {
        auto which = index.find_or_add(name);
        REQUIRE(index.at(which).count == model[name]);
        index.at(which).count = ++model[name];
      } else if (auto which = index.find(name); which != subject_index::none) {
        REQUIRE(model.erase(name) == 1);
        index.erase(which);
      } else {
        REQUIRE_FALSE(model.contains(name));
      }
    }
    REQUIRE(index.size() == model.size());
    std::vector<std::string> all;
    for (const auto& [name, count] : model) all.push_back(name);
    REQUIRE(listed(index, "") == all);
    std::erase_if(all, [](const std::string& name) { return !name.starts_with("s.4"); });
    REQUIRE(listed(index, "s.4") == all);
  }
}

TEST_CASE("subject_index: a million subjects take at most 150 bytes each beside their names") {
  constexpr size_t subjects = 1'000'000;
  constexpr size_t name_bytes = 15;
  size_t before = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
  subject_index index;
  for (size_t i = 0; i < subjects; ++i) {
    std::string name = "key." + std::to_string(10'000'000'000 + i * 7919 % subjects);
    index.find_or_add(name);
  }
  size_t used = ::mallinfo2().uordblks + ::mallinfo2().hblkhd - before;
  CHECK(index.size() == subjects);
  MESSAGE("bytes a subject beside its name: " << static_cast<double>(used) / subjects - name_bytes);
  CHECK(used / subjects <= 150 + name_bytes);
}

}  // namespace
}  // namespace weir
