// The clocks of the machine, behind storage's clock port. Stateless: any thread.
#pragma once

#include "storage/time.h"

namespace weir {

class system_clock final : public clock_port {
 public:
  mono_ns mono() override;
  wall_ms wall() override;
};

}  // namespace weir
