#include "broker/pending.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "tests/sim/test_seed.h"

namespace weir {
namespace {

constexpr uint32_t no_limit = UINT32_MAX;

std::vector<uint64_t> take_all_due(pending_set& set) {
  std::vector<uint64_t> taken;
  while (auto one = set.take_due()) taken.push_back(one->seq.raw());
  return taken;
}

TEST_CASE("pending: what is past its deadline is redelivered in order of sequence, not of deadline") {
  pending_set set;
  std::vector<seq_no> exhausted;
  set.put(seq_no(3), 1, mono_ns(10));
  set.put(seq_no(5), 1, mono_ns(5));
  set.put(seq_no(9), 1, mono_ns(30));
  set.expire(mono_ns(10), no_limit, exhausted);
  CHECK(take_all_due(set) == std::vector<uint64_t>{3, 5});
  CHECK(set.size() == 3);
  CHECK(set.next_deadline() == mono_ns(30));
}

TEST_CASE("pending: another delivery moves the deadline, the old one no longer counts") {
  pending_set set;
  std::vector<seq_no> exhausted;
  set.put(seq_no(1), 1, mono_ns(10));
  set.put(seq_no(1), 2, mono_ns(50));
  set.expire(mono_ns(20), no_limit, exhausted);
  CHECK_FALSE(set.has_due());
  CHECK(set.find(seq_no(1))->deliveries == 2);
  set.expire(mono_ns(50), no_limit, exhausted);
  CHECK(take_all_due(set) == std::vector<uint64_t>{1});
}

TEST_CASE("pending: out of attempts is reported and dying: it stays, and is not due") {
  pending_set set;
  std::vector<seq_no> exhausted;
  set.put(seq_no(1), 3, mono_ns(10));
  set.put(seq_no(2), 2, mono_ns(10));
  set.expire(mono_ns(10), 3, exhausted);
  CHECK(exhausted == std::vector<seq_no>{seq_no(1)});
  CHECK(set.size() == 2);
  CHECK(set.find(seq_no(1))->where == pending_stage::dying);
  CHECK(take_all_due(set) == std::vector<uint64_t>{2});
  set.erase(seq_no(1));
  CHECK(set.lowest() == seq_no(2));
}

TEST_CASE("pending: removal of a prefix takes the due ones with it") {
  pending_set set;
  std::vector<seq_no> exhausted;
  for (uint64_t seq = 1; seq <= 10; ++seq) set.put(seq_no(seq), 1, mono_ns(10));
  set.expire(mono_ns(10), no_limit, exhausted);
  set.erase_before(seq_no(8));
  CHECK(set.size() == 3);
  CHECK(take_all_due(set) == std::vector<uint64_t>{8, 9, 10});
}

TEST_CASE("pending: agrees with a plain map over random operations") {
  struct plain {
    uint32_t deliveries;
    int64_t deadline;
    bool due;
  };
  const seed_range seeds = test_seeds(20, 400);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    pending_set set;
    std::map<uint64_t, plain> model;
    int64_t now = 0;
    uint64_t last = 0;
    for (int step = 0; step < 2000; ++step) {
      const uint64_t any = last == 0 ? 1 : 1 + random() % last;
      switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
          last += 1 + random() % 3;
          const int64_t deadline = now + static_cast<int64_t>(random() % 50);
          set.put(seq_no(last), 1, mono_ns(deadline));
          model[last] = {1, deadline, false};
          break;
        }
        case 3: {
          const auto found = model.find(any);
          if (found == model.end()) break;
          found->second = {found->second.deliveries + 1u, now + 20, false};
          set.put(seq_no(any), found->second.deliveries, mono_ns(now + 20));
          break;
        }
        case 4:
          CHECK(set.erase(seq_no(any)).has_value() == (model.erase(any) == 1));
          break;
        case 5: {
          now += static_cast<int64_t>(random() % 10);
          std::vector<seq_no> exhausted;
          set.expire(mono_ns(now), 4, exhausted);
          std::vector<uint64_t> gone;
          for (auto at = model.begin(); at != model.end();) {
            const bool expired = !at->second.due && at->second.deadline <= now;
            if (expired && at->second.deliveries >= 4) {
              gone.push_back(at->first);
              at = model.erase(at);
              continue;
            }
            if (expired) at->second.due = true;
            ++at;
          }
          for (const seq_no seq : exhausted) set.erase(seq);
          std::sort(exhausted.begin(), exhausted.end());
          CHECK(exhausted.size() == gone.size());
          for (size_t i = 0; i < std::min(gone.size(), exhausted.size()); ++i) CHECK(exhausted[i].raw() == gone[i]);
          break;
        }
        case 6: {
          const auto expected =
              std::find_if(model.begin(), model.end(), [](const auto& one) { return one.second.due; });
          const auto taken = set.take_due();
          REQUIRE(taken.has_value() == (expected != model.end()));
          if (!taken) break;
          CHECK(taken->seq.raw() == expected->first);
          expected->second = {taken->deliveries + 1u, now + 30, false};
          set.put(taken->seq, taken->deliveries + 1, mono_ns(now + 30));
          break;
        }
        default:
          if (random() % 10 != 0) break;
          set.erase_before(seq_no(any));
          model.erase(model.begin(), model.lower_bound(any));
          break;
      }
      REQUIRE(set.size() == model.size());
      if (!model.empty()) REQUIRE(set.lowest().raw() == model.begin()->first);
    }
    std::vector<uint64_t> listed;
    set.for_each([&listed](const pending_set::entry& one) { listed.push_back(one.seq.raw()); });
    std::vector<uint64_t> expected;
    for (const auto& [seq, one] : model) expected.push_back(seq);
    CHECK(listed == expected);
  }
}

TEST_CASE("pending: a million messages take at most 64 bytes each, also while all of them come again and again") {
  pending_set set;
  std::vector<seq_no> exhausted;
  constexpr uint64_t count = 1'000'000;
  for (uint64_t seq = 1; seq <= count; ++seq) set.put(seq_no(seq), 1, mono_ns(static_cast<int64_t>(seq)));
  CHECK(set.memory_bytes() <= 64 * set.size());
  set.expire(mono_ns(count), no_limit, exhausted);
  CHECK(set.memory_bytes() <= 64 * set.size());
  while (auto one = set.take_due()) set.put(one->seq, 2, mono_ns(2 * count));
  CHECK(set.memory_bytes() <= 64 * set.size());
  for (int round = 0; round < 3; ++round) {
    for (uint64_t seq = 1; seq <= count; ++seq) set.put(seq_no(seq), 2, pending_stage::due);
    while (auto one = set.take_due()) set.put(one->seq, 3, mono_ns(3 * count));
    CHECK(set.memory_bytes() <= 64 * set.size());
  }
  // As they go, in random order, down to one in a hundred.
  std::vector<uint64_t> all(count);
  std::iota(all.begin(), all.end(), 1);
  std::mt19937_64 random(test_seeds(1, 1).first);
  std::shuffle(all.begin(), all.end(), random);
  size_t worst = 0;
  while (all.size() > count / 100) {
    set.erase(seq_no(all.back()));
    all.pop_back();
    if (all.size() % 10'000 == 0) worst = std::max(worst, set.memory_bytes() / set.size());
  }
  CHECK(worst <= 64);
}

TEST_CASE("pending: a million held back, handed out and dying take at most 64 bytes each") {
  pending_set set;
  constexpr uint64_t count = 1'000'000;
  for (uint64_t seq = 1; seq <= count; ++seq) set.put(seq_no(seq), 0, pending_stage::held);
  CHECK(set.held() == count);
  for (uint64_t seq = 1; seq <= count; ++seq) set.put(seq_no(seq), 0, pending_stage::ready);
  CHECK(set.memory_bytes() <= 64 * set.size());
  while (auto one = set.take_due(true)) set.put(one->seq, 1, pending_stage::in_hand);
  CHECK(set.delivered() == count);
  for (uint64_t seq = 1; seq <= count; ++seq) set.put(seq_no(seq), 1, pending_stage::dying);
  CHECK(set.memory_bytes() <= 64 * set.size());
}

TEST_CASE("pending: what comes in any order lies in order of sequence, and goes in any order") {
  pending_set set;
  std::vector<uint64_t> all(5'000);
  std::iota(all.begin(), all.end(), 1);
  std::mt19937_64 random(test_seeds(1, 1).first);
  std::shuffle(all.begin(), all.end(), random);
  for (const uint64_t seq : all) set.put(seq_no(seq), 1, seq % 2 == 0 ? pending_stage::due : pending_stage::ready);
  CHECK(set.size() == all.size());
  CHECK(set.held() == all.size() / 2);
  for (uint64_t seq = 1; seq <= all.size(); ++seq) CHECK(set.take_due(true)->seq.raw() == seq);
  CHECK_FALSE(set.take_due(true).has_value());
  std::shuffle(all.begin(), all.end(), random);
  for (const uint64_t seq : all) CHECK(set.erase(seq_no(seq)).has_value());
  CHECK(set.empty());
  CHECK(set.held() == 0);
}

TEST_CASE("pending: of many deadlines that pass, no more are looked at than asked for") {
  pending_set set;
  std::vector<seq_no> exhausted;
  for (uint64_t seq = 1; seq <= 1'000; ++seq) set.put(seq_no(seq), 1 + seq % 2, mono_ns(10));
  set.expire(mono_ns(10), 2, exhausted, 300);
  CHECK(exhausted.size() == 150);
  CHECK(take_all_due(set).size() == 150);
  CHECK(set.next_deadline() == mono_ns(10));
  set.expire_one(seq_no(1'000), mono_ns(10), 2, exhausted);
  set.expire_one(seq_no(999), mono_ns(9), 2, exhausted);
  CHECK(set.first_due() == seq_no(1'000));
  CHECK(set.find(seq_no(999))->where == pending_stage::out);
  set.expire(mono_ns(10), 2, exhausted);
  CHECK(exhausted.size() == 500);
  CHECK_FALSE(set.next_deadline().has_value());
}

}  // namespace
}  // namespace weir
