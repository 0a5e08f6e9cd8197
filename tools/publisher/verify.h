// Reads everything back through pull consumers of its own and compares it with what was acknowledged.
#pragma once

#include <vector>

#include "tools/publisher/connections.h"
#include "tools/publisher/options.h"
#include "tools/publisher/totals.h"
#include "tools/publisher/verify_report.h"

namespace weir {

// `sent` is sorted by stream and sequence on return. The consumers are temporary: they are deleted at the end.
verify_report verify(connections& broker, const publisher_options& options, std::vector<acknowledged>& sent);

}  // namespace weir
