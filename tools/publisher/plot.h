// A run over time as a picture: throughput above, latency percentiles below.
#pragma once

#include <string>

#include "tools/publisher/options.h"
#include "tools/publisher/totals.h"

namespace weir {

// A whole SVG document. Its points are the slots of the run's timelines, the same numbers as in the JSON report.
std::string svg_plot(const publisher_options& options, const run_totals& totals);

}  // namespace weir
