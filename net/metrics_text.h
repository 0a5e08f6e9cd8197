// The numbers of a server as Prometheus' text format, for /metrics.
#pragma once

#include <string>
#include <vector>

#include "net/core.h"
#include "net/listener.h"

namespace weir {

std::string metrics_text(const std::vector<core_metrics>& cores, const listener_metrics& connections);

}  // namespace weir
