// turn_hold: lets a turn (waiting.h) go when the request ends, however it ends.
#pragma once

#include "broker/waiting.h"

namespace weir {

class turn_hold {
 public:
  explicit turn_hold(turn& held) : held_(held) {}
  turn_hold(const turn_hold&) = delete;
  turn_hold& operator=(const turn_hold&) = delete;
  ~turn_hold() { held_.release(); }

 private:
  turn& held_;
};

}  // namespace weir
