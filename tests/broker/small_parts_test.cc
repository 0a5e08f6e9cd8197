// The parts that stand alone: clock guard, watch queue, turns, placement.
#include <doctest/doctest.h>

#include <set>

#include "broker/clock_guard.h"
#include "broker/shard.h"
#include "broker/undo.h"
#include "broker/waiting.h"
#include "broker/watch.h"
#include "storage/task.h"

namespace weir {
namespace {

constexpr int64_t hour_ms = 3'600'000;
constexpr int64_t day_ms = 24 * hour_ms;

mono_ns mono_at(int64_t ms) {
  return mono_ns(ms * 1'000'000);
}

TEST_CASE("clock guard: a wall clock that runs with the monotonic one is trusted, slow corrections too") {
  clock_guard guard;
  int64_t wall = 1'700'000'000'000;
  for (int64_t mono = 0; mono < day_ms; mono += 5'000) {
    wall += 5'001;
    CHECK(guard.trusted(mono_at(mono), wall_ms(wall)) == wall_ms(wall));
  }
}

TEST_CASE("clock guard: fifty jumps of a day in either direction, and nothing may expire until the clock is back") {
  clock_guard guard;
  const int64_t base = 1'700'000'000'000;
  int64_t mono = 0;
  REQUIRE(guard.trusted(mono_at(mono), wall_ms(base)));
  for (int jump = 0; jump < 50; ++jump) {
    const int64_t off = jump % 2 == 0 ? day_ms : -day_ms;
    for (int look = 0; look < 20; ++look) {
      mono += 5'000;
      CHECK_FALSE(guard.trusted(mono_at(mono), wall_ms(base + mono + off)));
    }
    mono += 5'000;
    CHECK(guard.trusted(mono_at(mono), wall_ms(base + mono)) == wall_ms(base + mono));
  }
}

TEST_CASE("clock guard: a correction that stays for an hour is believed") {
  clock_guard guard;
  const int64_t base = 1'700'000'000'000;
  REQUIRE(guard.trusted(mono_at(0), wall_ms(base)));
  CHECK_FALSE(guard.trusted(mono_at(1000), wall_ms(base + day_ms)));
  CHECK_FALSE(guard.trusted(mono_at(hour_ms), wall_ms(base + day_ms + hour_ms)));
  CHECK(guard.trusted(mono_at(hour_ms + 1000), wall_ms(base + day_ms + hour_ms)));
}

watch_event event_of(std::string name) {
  return watch_event{watch_kind::stream_created, wall_ms(1), std::move(name), {}};
}

task<void> watch_all(watch_queue& queue, std::vector<std::string>& seen, uint64_t& lagged) {
  for (;;) {
    auto item = co_await queue.next();
    if (!item) break;
    lagged += item->lagged_count;
    seen.push_back(item->event ? item->event->stream : "-");
  }
  seen.push_back("closed");
}

TEST_CASE("watch: a waiting watcher gets each event, and learns that the queue closed") {
  watch_queue queue(4);
  gate running;
  std::vector<std::string> seen;
  uint64_t lagged = 0;
  running.spawn(watch_all(queue, seen, lagged));
  queue.push(event_of("a"));
  queue.push(event_of("b"));
  CHECK(seen == std::vector<std::string>{"a", "b"});
  queue.close();
  CHECK(seen.back() == "closed");
  CHECK(lagged == 0);
  CHECK(running.running() == 0);
}

TEST_CASE("watch: a slow watcher loses the newest events and is told how many") {
  watch_queue queue(2);
  for (const char* name : {"a", "b", "c", "d", "e"}) queue.push(event_of(name));
  CHECK(queue.size() == 2);
  CHECK(queue.take()->event->stream == "a");
  queue.push(event_of("f"));
  auto second = queue.take();
  CHECK(second->event->stream == "b");
  CHECK(second->lagged_count == 0);
  auto third = queue.take();
  CHECK(third->event->stream == "f");
  CHECK(third->lagged_count == 3);
  CHECK_FALSE(queue.take());
}

TEST_CASE("watch: events lost last are reported even if nothing follows") {
  watch_queue queue(1);
  queue.push(event_of("a"));
  queue.push(event_of("b"));
  CHECK(queue.take()->event->stream == "a");
  auto lost = queue.take();
  REQUIRE(lost);
  CHECK_FALSE(lost->event.has_value());
  CHECK(lost->lagged_count == 1);
}

task<void> take_turn(turn& shared, std::vector<int>& order, int which) {
  co_await shared.take();
  order.push_back(which);
  shared.release();
}

TEST_CASE("turn: holders follow each other in the order they asked, thousands of them without growing the stack") {
  turn shared;
  gate running;
  std::vector<int> order;
  REQUIRE(shared.take().await_ready());
  constexpr int waiters = 100'000;
  for (int i = 0; i < waiters; ++i) running.spawn(take_turn(shared, order, i));
  CHECK(order.empty());
  shared.release();
  REQUIRE(order.size() == waiters);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK_FALSE(shared.held());
}

TEST_CASE("undo: only what is not durable is taken back, newest first") {
  undo_list undo;
  std::vector<int> reverted;
  for (int i = 1; i <= 4; ++i) {
    undo.add(lsn(static_cast<uint64_t>(i) * 10), [&reverted, i] { reverted.push_back(i); });
  }
  undo.settle(lsn(20));
  undo.revert_all();
  CHECK(reverted == std::vector<int>{4, 3});
  undo.revert_all();
  CHECK(reverted.size() == 2);
}

TEST_CASE("placement: the shard of a name is part of the data format and never changes") {
  CHECK(shard_of("orders", 1) == 0);
  CHECK(shard_of("", 16) == 6);
  CHECK(shard_of("orders", 16) == 9);
  CHECK(shard_of("logs", 16) == 15);
  CHECK(shard_of("obj:bucket", 7) == 2);
}

TEST_CASE("placement: names spread evenly") {
  constexpr uint32_t shards = 7;
  std::vector<int> counts(shards);
  for (int i = 0; i < 70'000; ++i) ++counts[shard_of("stream-" + std::to_string(i), shards)];
  for (const int count : counts) {
    CHECK(count > 9'500);
    CHECK(count < 10'500);
  }
}

}  // namespace
}  // namespace weir
