// Repairing a block file whose index or trailer is damaged: every record that is still sound goes into a new file, the
// old one into quarantine.
//
// Blocking; pool lane or open. Records are found by walking the file; where one is damaged, the walk goes on at the
// next place where a record of a higher sequence with a right checksum begins. In a segment that a block took over only
// records of sound entries count: a record does not say whose it is.
#pragma once

#include <string>
#include <vector>

#include "storage/block_format.h"
#include "storage/disk.h"
#include "storage/interval_set.h"

namespace weir {

struct salvaged_block {
  block_ref made;           // closed; null if no record was sound
  interval_set present;     // what is in it
  std::string quarantined;  // where the old file is now
};

// Only records up to `keep_to` are taken: later ones are leftovers that the journal has. disk_full and storage_failed
// leave the old file where it is.
result<salvaged_block> salvage_block(disk& where, const std::string& root, stream_id stream, seq_no base,
                                     seq_no keep_to);

// At open: finishes a salvage that a crash cut between its two renames.
result<void> finish_salvage(disk& where, const std::string& root, stream_id stream, seq_no base);

}  // namespace weir
