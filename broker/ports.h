// What the broker needs from its surroundings besides disk, lanes and clock (storage).
#pragma once

#include <coroutine>

#include "broker/types.h"
#include "storage/time.h"

namespace weir {

// Deadlines of one shard, on its thread. Production: the reactor's heap; tests: a heap over the manual clock.
class timers {
 public:
  // Owned by whoever waits; armed at most once at a time.
  class timer {
   public:
    virtual ~timer() = default;
    virtual void expired() = 0;  // on the shard's thread, at or after the deadline; disarmed already
   private:
    friend class timers;
  };
  virtual ~timers() = default;
  virtual void arm(timer& which, mono_ns deadline) = 0;
  virtual void disarm(timer& which) = 0;  // not armed is fine
};

// Where a shard's admin events go (WatchStreams). Called after the change is durable.
class event_sink {
 public:
  virtual ~event_sink() = default;
  virtual void on_event(const watch_event& event) = 0;
};

}  // namespace weir
