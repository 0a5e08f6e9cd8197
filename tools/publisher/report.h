// The report at the end of a run, for people or as one JSON object.
#pragma once

#include <optional>
#include <string>

#include "tools/publisher/options.h"
#include "tools/publisher/totals.h"
#include "tools/publisher/verify_report.h"

namespace weir {

std::string text_report(const publisher_options& options, const run_totals& totals,
                        const std::optional<verify_report>& verified);
std::string json_report(const publisher_options& options, const run_totals& totals,
                        const std::optional<verify_report>& verified);

// Everything sent was acknowledged, the run came to its own end, and verification, if any, found nothing.
bool all_good(const run_totals& totals, const std::optional<verify_report>& verified);

}  // namespace weir
