// A lane that does the work at once, within submit(): for tests that care about results, not about order.
#pragma once

#include "storage/lane.h"

namespace weir {

class inline_lane final : public lane {
 public:
  void submit(job& next) override {
    next.work();
    next.done();
  }
};

}  // namespace weir
