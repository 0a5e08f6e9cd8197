// Whose directory this is: `<root>/SHARD`, a few lines of text with a checksum, written before anything else.
#pragma once

#include <string>

#include "storage/disk.h"
#include "storage/store.h"

namespace weir {

// Makes the directory ours if it is empty; foreign_directory if it is not, or of another format. A SHARD that is gone
// or damaged beside files that look like ours is written again (the damaged one goes to quarantine). Blocking.
result<void> claim_directory(disk& where, const std::string& root, clock_port& clock, recovery_report& report);

}  // namespace weir
