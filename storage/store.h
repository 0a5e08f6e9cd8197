// What one shard keeps on disk: its journal, its stream logs, its snapshots, and recovery of all of them.
//
// Owned by the shard; lives on its thread. Checkpoint: when a journal segment fills up (or on request) the store takes
// the client's state and every unsettled live record at one lsn L, on the pool lane writes the records to block files
// and then a snapshot, syncs both, and only then frees the journal before L. The two newest snapshots are kept, and the
// journal from the older one on, so that one damaged snapshot costs nothing. Recovery: newest readable snapshot, then
// the journal after it.
//
// Directory: <dir>/journal/*.wj, <dir>/watermark, <dir>/snapshot-<lsn>, <dir>/streams/<id>/block-<first seq>, and
// quarantine/ beside them. Nothing is ever deleted because it could not be read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/journal.h"
#include "storage/stream_log.h"

namespace weir {

struct store_config {
  journal_config journal;
  uint64_t cache_bytes_max = 64ull << 20;     // block reads kept in memory
  uint64_t taken_bytes_min = 32ull << 20;     // smaller journal segments never become block files
  uint64_t disk_reserve_bytes = 64ull << 20;  // free space below which publishes are refused
};

class store;

// The broker's side of the store: what only it can write and read back.
class store_client {
 public:
  virtual ~store_client() = default;
  // At open, before any other call: the store whose log(), create_log() and drop_log() the calls below may use already.
  virtual void attach(store& opening) = 0;
  // The whole state that `state` entries have built so far (configs, consumers, ...), for a snapshot.
  virtual std::string encode_state() = 0;
  // At open, before any apply(): the state of a snapshot. Logs of its streams exist already (store::log finds them).
  virtual result<void> load_state(byte_span state) = 0;
  // At open, in order: one `state` entry from the journal. May call create_log / drop_log.
  virtual result<void> apply(stream_id stream, byte_span entry) = 0;
  // For rebuilding after both snapshots are lost: a stream found on disk only; `label` is what create_log was given.
  virtual result<void> adopt(stream_id stream, byte_span label) = 0;
};

struct log_options {
  bool ephemeral = false;
  bool written_is_visible = false;  // durability level `written`: visible when the write returned
  uint64_t block_records = 100000;  // messages a block file holds
  std::string label;                // opaque, kept in every block's header (the broker puts name and config there)
};

// What recovery had to say; the server logs it, tests look at it.
struct recovery_report {
  uint64_t entries = 0;
  uint64_t bytes = 0;
  uint64_t torn_bytes = 0;               // cut from the journal's tail, certainly never acknowledged as durable
  uint64_t damaged_records = 0;          // known to have existed, unreadable
  std::vector<std::string> quarantined;  // files set aside
  std::vector<std::string> notes;        // one sentence each
};

class store {
 public:
  // Blocking: runs before the shard serves. Errors: foreign_directory (not ours, another format, another shard count),
  // storage_failed, disk_full.
  static result<std::unique_ptr<store>> open(disk& where, lane& commits, lane& pool, clock_port& clock, std::string dir,
                                             const store_config& config, store_client& client);
  virtual ~store() = default;

  virtual journal& log_journal() = 0;
  virtual const recovery_report& report() const = 0;

  // Opaque broker state into the journal; needs journal.room(). Returns the end to wait for.
  virtual lsn append_state(stream_id stream, byte_span entry) = 0;

  // The broker journals its own create/delete entries (append_state) and calls these beside them; recovery calls them
  // again through the client. create_log: the id was never used before. drop_log: files go once the deletion is
  // durable.
  virtual stream_log& create_log(stream_id stream, const log_options& options) = 0;
  virtual void drop_log(stream_id stream) = 0;
  virtual stream_log* log(stream_id stream) = 0;

  // End of turn: flushes the journal.
  virtual void flush() = 0;
  virtual size_t gathered_bytes() const = 0;  // of entries that no flush has handed over
  // Takes a checkpoint now (also runs by itself after each journal segment). disk_full leaves everything as it was.
  virtual task<result<void>> checkpoint() = 0;
  virtual bool failed() const = 0;  // poisoned: reads go on, nothing is acknowledged any more
  virtual bool full() const = 0;    // publishes are refused for want of disk space; looked at again by tick()
  // Every second or so: watermark, retry after disk full, cache trimming.
  virtual void tick() = 0;
  // Clean stop: syncs, checkpoint, watermark. Nothing may be called afterwards.
  virtual task<result<void>> close() = 0;
};

}  // namespace weir
