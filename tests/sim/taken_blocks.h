// Counts the block files of a store on a simulated disk that were segments of the journal.
#pragma once

#include "storage/block_format.h"
#include "tests/sim/sim_disk.h"

namespace weir {

inline uint64_t taken_blocks(sim_disk& disk, const std::string& root) {
  uint64_t found = 0;
  const auto streams = disk.list(root + "/streams");
  for (const std::string& stream : *streams) {
    const auto names = disk.list(root + "/streams/" + stream.substr(0, stream.size() - 1));
    for (const std::string& name : *names) {
      found += block_header_offset(disk.contents(root + "/streams/" + stream + name)) != 0 ? 1 : 0;
    }
  }
  return found;
}

}  // namespace weir
