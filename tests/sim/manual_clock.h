// A clock that stands still until the test advances it.
#pragma once

#include "storage/time.h"

namespace weir {

class manual_clock final : public clock_port {
 public:
  static constexpr int64_t ns_per_ms = 1'000'000;

  mono_ns mono() override { return mono_; }
  wall_ms wall() override { return wall_; }

  void advance_ms(int64_t ms) {
    mono_ = mono_ns(mono_.raw() + ms * ns_per_ms);
    wall_ = wall_ms(wall_.raw() + ms);
  }
  // The wall clock may jump; the other never does.
  void set_wall(wall_ms now) { wall_ = now; }

 private:
  mono_ns mono_{ns_per_ms};
  wall_ms wall_{1'700'000'000'000};
};

}  // namespace weir
