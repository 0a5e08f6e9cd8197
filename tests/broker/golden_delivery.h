// The golden data directory of a shard with all of delivery and publishing in it, format v2 of the broker's state: how
// it is filled and shown.
//
// tests/golden/broker-v2/shard-0 is what a shard left behind when its process was killed; it must open for ever, and
// tests/golden/broker-v2/expected.txt is what describe_delivery() says of it then. make_golden_delivery made it, once.
#pragma once

#include <string>

#include "tests/broker/golden_shard.h"

namespace weir {

// Wall and monotonic milliseconds that pass until the process is killed; the clock of whoever opens it must be there.
inline constexpr int64_t golden_delivery_ms = 20'000;

void fill_golden_delivery(sim_shard& world);
// What describe() says, and what is parked, held, paused and scheduled.
std::string describe_delivery(sim_shard& world);

}  // namespace weir
