// Settling: the records of one log that lie in memory go into its block files. A journal segment most of which is this
// log's becomes a block as it is: only the index is written.
//
// Blocking, on the pool lane, one log at a time in a job. All or nothing: after a failure every block is as it was, and
// the same records are settled by the next checkpoint (the journal holds them until then). The caller has seen to it
// that they are durable in the journal.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "storage/block_format.h"
#include "storage/disk.h"
#include "storage/journal.h"
#include "storage/stream_log_tail.h"

namespace weir {

struct settle_request {
  disk* where = nullptr;
  std::string root;
  stream_id stream;
  std::string label;
  uint64_t block_records = 0;
  bool new_directory = false;  // the log has no block file yet: the caller makes its directory first
  block_ref open_block;        // to go on with; null: begin a new one
  record_tail::frozen_runs runs;
  std::span<const filled_segment> segments;  // that may become blocks; they outlive the job
};

struct settle_outcome {
  result<void> status;
  std::vector<block_ref> blocks;   // new ones in order; the first takes the place of open_block if that was given
  bool open_block_failed = false;  // it cannot be gone on with: to be closed as it was
  std::vector<lsn> taken;          // segments that have a second name, whatever the status
};

settle_outcome settle(const settle_request& request);

}  // namespace weir
