// The messages of one stream: sequence numbers, where each record lies (memory, block file), its subjects, what was
// removed.
//
// Owned by the shard's store; lives on the shard's thread; borrows the journal, the pool lane and the block cache. An
// append is in memory when append() returns and durable when journal.durable(end) resolves; last_visible() is the
// newest message that may be shown. Reads take memory records at once and block records through the pool lane. Knows
// nothing about configs, consumers or retention rules: those decide, this removes.
//
// An ephemeral log never touches the journal or the disk: its `end` is lsn() and everything is visible at once.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "storage/ids.h"
#include "storage/record.h"
#include "storage/subject.h"
#include "storage/task.h"
#include "storage/time.h"

namespace weir {

struct log_stats {
  seq_no first;        // lowest live message; last + 1 when empty
  seq_no last;         // highest ever appended, 0 if none
  uint64_t count = 0;  // live messages
  uint64_t bytes = 0;  // of their records as stored
};

// One subject's line in the index.
struct subject_info {
  std::string_view name;
  uint64_t count = 0;        // live messages at this subject
  seq_no first;              // lowest live one
  seq_no last;               // highest live one
  uint32_t first_bytes = 0;  // of the lowest one's record as stored; 0: not known without reading it
};

// A live record: bytes as stored, checksum verified, kept alive by the slice.
struct found_record {
  seq_no seq;
  slice bytes;
};

struct scan_request {
  seq_no from;                             // first sequence to look at
  seq_no to;                               // last sequence to look at (inclusive)
  const subject_filter* filter = nullptr;  // null: every subject. Outlives the scan.
  std::string_view exact_subject;          // not empty: only this subject. Outlives the scan.
  size_t records_max = 1000;
  size_t bytes_max = 4u << 20;  // a first record larger than this is still returned
};

struct scan_result {
  std::vector<found_record> records;  // in order of sequence
  std::vector<seq_no> damaged;        // live ones that cannot be read (data_loss for each)
  seq_no next;                        // where the next scan goes on; to + 1 when everything was looked at
};

class stream_log {
 public:
  virtual ~stream_log() = default;

  virtual stream_id id() const = 0;
  virtual const log_stats& stats() const = 0;  // includes what is appended and not yet durable
  virtual seq_no last_visible() const = 0;     // durable (or written, for a log opened with that level)
  virtual lsn last_change() const = 0;         // end of the journal entry of the last append or removal
  virtual lsn last_removal() const = 0;        // of the last removal alone
  virtual uint64_t damaged_count() const = 0;

  // Appends one record with the next sequence number. The caller has journal.room() for append_bytes() (nothing awaited
  // since). Errors are not possible: everything was checked before.
  struct appended {
    seq_no seq;
    lsn end;
  };
  virtual appended append(const record_fields& fields, uint64_t epoch) = 0;
  // Journal payload bytes an append of these fields takes.
  virtual size_t append_bytes(const record_fields& fields) const = 0;
  // The same for many, as one journal entry: after a crash all of them are there or none. Resolves with the first
  // sequence. Not empty.
  virtual appended append_run(const std::vector<record_fields>& run, uint64_t epoch) = 0;
  virtual size_t run_bytes(const std::vector<record_fields>& run) const = 0;

  // Removal, journaled like an append; needs journal.room(remove_bytes(n), true). Sequences that are not live are
  // ignored. Return how many live messages went. The journal payload of remove() of n sequences is remove_bytes(n),
  // that of remove_before() remove_bytes(1).
  static constexpr size_t remove_bytes(size_t n) { return 8 * n; }
  virtual uint64_t remove_before(seq_no first_kept) = 0;
  virtual uint64_t remove(const std::vector<seq_no>& seqs) = 0;

  virtual bool is_live(seq_no seq) const = 0;
  // Lowest live sequence at or after `from`; last + 1 if none.
  virtual seq_no next_live(seq_no from) const = 0;
  // How many live messages there are at or after `from`.
  virtual uint64_t live_since(seq_no from) const = 0;

  // Size and subject of a removed record that lies in a block file are read from there in the background. Until that is
  // done, stats().bytes and the subject index may still count it, and a subject's first or last may be a removed one
  // (everything else is exact at once). Records in memory, records that oldest() just returned, and the only older
  // record at the subject appended last (a key overwritten in a KV bucket) need no reading. True if nothing is
  // outstanding.
  virtual bool exact() const = 0;
  // Resolves when nothing is outstanding (at once in the usual case). Ask before deciding by bytes or by a subject.
  virtual task<result<void>> become_exact() = 0;

  // Subject index (counts what is appended and not yet durable).
  virtual const subject_info* find_subject(std::string_view subject) const = 0;
  virtual size_t subject_count() const = 0;
  // In byte order, those that begin with the prefix; stops when `each` returns false.
  virtual void for_each_subject(std::string_view prefix,
                                const std::function<bool(const subject_info&)>& each) const = 0;

  // Reads. Damage is data in the answer, an error only when nothing could be read at all (storage_failed).
  virtual task<result<scan_result>> scan(scan_request request) = 0;
  // Live sequences at one subject from `from` on, at most `limit`, in order.
  virtual task<result<std::vector<seq_no>>> sequences_at(std::string subject, seq_no from, size_t limit) = 0;
  // Lowest live sequence whose record time is at or after `time`; last + 1 if none. (Times are the publisher's and need
  // not rise; this is the first in order of sequence.)
  virtual task<result<seq_no>> first_at_or_after(wall_ms time) = 0;
  // Record time of a live message.
  virtual task<result<wall_ms>> time_of(seq_no seq) = 0;
  // Lowest live sequences at or after `from` with their stored sizes and times, for pruning: at most `limit`.
  struct live_record {
    seq_no seq;
    uint64_t bytes;
    wall_ms time;
  };
  virtual task<result<std::vector<live_record>>> oldest(seq_no from, size_t limit) = 0;
};

}  // namespace weir
