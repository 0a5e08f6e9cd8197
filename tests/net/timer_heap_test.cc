#include "net/timer_heap.h"

#include <doctest/doctest.h>

namespace weir {
namespace {

// Arms itself again for a time that has passed, like a consumer with more deadlines than it looks at in a turn.
class restless final : public timers::timer {
 public:
  explicit restless(timer_heap& clock) : clock_(clock) {}
  void expired() override {
    ++rung;
    if (rung < 3) clock_.arm(*this, mono_ns(5));
  }
  int rung = 0;

 private:
  timer_heap& clock_;
};

TEST_CASE("timer heap: what is armed while timers run waits for the next call, also for a time that has passed") {
  timer_heap clock;
  restless one(clock);
  clock.arm(one, mono_ns(5));
  clock.run_due(mono_ns(4));
  CHECK(one.rung == 0);
  clock.run_due(mono_ns(10));
  CHECK(one.rung == 1);
  CHECK(clock.next().has_value());
  clock.run_due(mono_ns(11));
  CHECK(one.rung == 2);
  clock.run_due(mono_ns(12));
  CHECK(one.rung == 3);
  CHECK(clock.armed() == 0);
}

}  // namespace
}  // namespace weir
