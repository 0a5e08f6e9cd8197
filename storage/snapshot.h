// A snapshot: everything a store knows at one journal position, beside the records themselves.
//
// `<root>/snapshot-<lsn>`: a header with a checksum of itself and of the body, then the body. Written whole, synced and
// renamed into place, so that a name that exists was complete once. FORMAT.md has the bytes.
#pragma once

#include <string>
#include <vector>

#include "storage/disk.h"
#include "storage/ids.h"
#include "storage/interval_set.h"
#include "storage/store.h"

namespace weir {

// A block file as a snapshot knows it; its own trailers say the rest.
struct block_snapshot {
  seq_no base;
  seq_no last;
  uint64_t length = 0;
  bool closed = false;
};

// A log of which every record up to `last` is in a block file or gone.
struct log_snapshot {
  stream_id id;
  log_options options;
  seq_no first;
  seq_no last;
  interval_set removed;  // above first
  interval_set lost;
  std::vector<block_snapshot> blocks;
};

struct snapshot {
  lsn at;
  std::string state;  // the client's
  std::vector<log_snapshot> logs;
};

std::string encode(const snapshot& from);
// data_loss if the bytes are not a whole snapshot.
result<snapshot> decode_snapshot(byte_span bytes);

std::string snapshot_path(const std::string& root, lsn at);
// Positions of the snapshots in the directory, newest first.
result<std::vector<lsn>> list_snapshots(disk& where, const std::string& root);

// Blocking. The snapshot survives a power cut when write_snapshot returns.
result<void> write_snapshot(disk& where, const std::string& root, const snapshot& from);
result<snapshot> read_snapshot(disk& where, const std::string& root, lsn at);

}  // namespace weir
