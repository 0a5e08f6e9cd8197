// timer_heap: the deadlines of one reactor; broker's timers port.
//
// One thread. Deadlines fall due in order of time; equal ones in order of arming. The reactor sleeps until the next one
// with millisecond accuracy (gRPC's deadlines have no finer), so a timer may be up to about 2 ms late.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "broker/ports.h"

namespace weir {

class timer_heap final : public timers {
 public:
  void arm(timer& which, mono_ns deadline) override;
  void disarm(timer& which) override;

  // Calls expired() of every timer that is due at `now`. One that is armed meanwhile, also for a time that has passed,
  // waits for the next call: what has more to do does it turn by turn.
  void run_due(mono_ns now);
  std::optional<mono_ns> next() const;
  size_t armed() const { return places_.size(); }

 private:
  using order = std::multimap<mono_ns, timer*>;
  order by_deadline_;
  std::optional<mono_ns> running_;  // run_due() runs, at this time
  std::unordered_map<timer*, order::iterator> places_;
};

}  // namespace weir
