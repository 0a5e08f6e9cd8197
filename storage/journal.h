// The journal of one shard: everything that must survive goes here first. Group commit: while one write + fdatasync is
// under way on the commit lane, the next batch gathers; when it ends, all its waiters resume together.
//
// Owned by the shard's store; lives on the shard's thread; only the commit job's bytes and file are touched by the
// lane. Positions are lsn: base_lsn of the segment + offset in it, so a stale entry of a recycled segment never carries
// the right one. Entries end up in segment files `journal/<n>.wj`, pre-zeroed and recycled. FORMAT.md has the bytes.
//
// What is true when: reserve() + seal() put an entry into the open batch (memory). durable(end) resolves when the
// fdatasync that covers it returned. A failed write or sync poisons the journal for ever: every waiter and every later
// one gets storage_failed, nothing is retried (DESIGN section 3).
#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/bytes.h"
#include "storage/disk.h"
#include "storage/ids.h"
#include "storage/lane.h"
#include "storage/result.h"
#include "storage/time.h"

namespace weir {

enum class entry_kind : uint8_t {
  records = 1,        // payload: a run of records of one stream (record.h)
  remove_before = 2,  // payload: u64 seq; every record of the stream below it is gone
  remove = 3,         // payload: run of u64 seq; those records are gone
  state = 4,          // payload: opaque to storage; the broker's configs, consumers, acks
  group = 5,          // payload: parts that are entries of their own, all of them or none
};

struct journal_config {
  uint64_t segment_bytes = 64ull << 20;
  unsigned segments_max = 8;              // more unsettled data than this makes publishers wait for settling
  uint64_t batch_bytes_max = 8ull << 20;  // a fuller open batch makes callers of room() wait for the commit
};

// One entry as recovery meets it.
struct journal_entry {
  lsn at;
  lsn end;
  entry_kind kind;
  stream_id stream;
  slice payload;
};

// What recovery found; the store turns it into streams.
class journal_visitor {
 public:
  virtual ~journal_visitor() = default;
  virtual result<void> on_entry(const journal_entry& entry) = 0;
  // Damage in the middle: entries that were certainly durable in [from, to) cannot be read; later ones can.
  virtual void on_hole(lsn from, lsn to) = 0;
  // The torn tail that was cut: never acknowledged as durable, so nobody misses it.
  virtual void on_cut(lsn /*from*/, lsn /*to*/) {}
};

// A segment that gets no entry any more.
struct filled_segment {
  std::string path;
  lsn base;            // of the file's first byte
  lsn end;             // where its data ends
  uint64_t bytes = 0;  // of the file
};

struct journal_stats {
  uint64_t commits = 0;  // write + sync rounds
  uint64_t syncs = 0;
  uint64_t entries = 0;
  uint64_t bytes = 0;
};

class journal {
 public:
  // Opens or creates `dir` and replays every entry that ends after `from`. The torn tail is cut, damage below the
  // durable watermark is kept and reported (reliability-notes P4). The disk and the lane outlive the journal.
  static result<std::unique_ptr<journal>> open(disk& where, lane& commits, clock_port& clock, std::string dir,
                                               const journal_config& config, lsn from, journal_visitor& visitor);
  virtual ~journal() = default;

  // Resolves when an entry of this payload size may be reserved. Usually at once. disk_full: no segment can be had; a
  // caller with use_reserve (acks, removals: what frees space) may still go on into the reserve. storage_failed once
  // poisoned. The right holds until the caller's next suspension.
  virtual task<result<void>> room(size_t payload_bytes, bool use_reserve) = 0;
  // True if room() would succeed without waiting: the hot path looks first and saves the task.
  virtual bool has_room(size_t payload_bytes) const = 0;

  // Space for the payload of one entry in the open batch; the caller fills it and calls seal() before anything else.
  // Readers may keep slices of it (owner keeps the memory).
  struct reserved {
    uint8_t* payload;
    chunk_ref owner;
  };
  virtual reserved reserve(entry_kind kind, stream_id stream, size_t payload_bytes) = 0;
  // Checksums the reserved entry; returns where it ends.
  virtual lsn seal() = 0;

  // What is reserved and sealed between the two becomes one entry: after a crash all of it is there or nothing, in that
  // order. Its payload is group_bytes(parts, their payloads) to the byte; room() is asked for that. seal() of a part
  // returns where the whole entry ends.
  static constexpr size_t group_part_header = 16;  // FORMAT.md
  static constexpr size_t group_bytes(size_t parts, size_t payload_bytes) {
    return parts * group_part_header + payload_bytes;
  }
  virtual void begin_group(size_t group_bytes) = 0;
  virtual lsn end_group() = 0;

  // End of turn: hands the open batch to the commit lane unless a commit is under way (then its end does it).
  // sync = false (only `written` entries wait) is decided here: a batch is synced if any waiter asked for durable().
  virtual void flush() = 0;
  // For one who will wait for what he has sealed (`sync`: until it is durable): if nothing was committed for a while,
  // it need not wait for the end of the turn.
  virtual void hasten(bool sync) = 0;
  virtual size_t gathered_bytes() const = 0;  // of entries that were not handed over yet
  // Every second or so: syncs what was only written, moves the watermark, tries again after a full disk.
  virtual void tick() = 0;

  // co_await durable(end) -> result<void>: the entry that ends there is on disk. written(end): its write() returned.
  struct waiter {
    lsn end;
    bool needs_sync;
    std::coroutine_handle<> caller;
    result<void> outcome;
    waiter* next = nullptr;
  };
  struct commit_awaiter {
    journal& self;
    waiter node;
    bool await_ready() { return self.ready(node); }
    void await_suspend(std::coroutine_handle<> caller) {
      node.caller = caller;
      self.wait(node);
    }
    result<void> await_resume() { return std::move(node.outcome); }
  };
  commit_awaiter durable(lsn end) { return commit_awaiter{*this, waiter{end, true, nullptr, {}, nullptr}}; }
  commit_awaiter written(lsn end) { return commit_awaiter{*this, waiter{end, false, nullptr, {}, nullptr}}; }

  virtual lsn appended() const = 0;     // end of the last sealed entry
  virtual lsn durable_end() const = 0;  // everything that ends at or before it survives a power cut
  virtual lsn written_end() const = 0;
  virtual bool failed() const = 0;
  virtual const journal_stats& stats() const = 0;

  // Called on the shard's thread whenever durable_end or written_end moved, before the waiters resume; and when
  // poisoned.
  std::function<void()> on_progress;
  // Called on the shard's thread when a segment is nearly full, or somebody waits because all are in use: the store
  // starts a checkpoint, unless one is under way.
  std::function<void()> on_roll;

  // For a checkpoint, at its cut: if the current segment is nearly full, the next entry goes into another one.
  virtual void end_segment() = 0;
  // All that lie before the next entry's, oldest first, but for those that were taken over.
  virtual std::vector<filled_segment> filled_segments() const = 0;
  // The segment's file has a second name, under which a block holds its records (FORMAT.md, "Block files"): it is not
  // written over, and only loses its name here when it is released.
  virtual void taken_over(lsn base) = 0;

  // Segments that end at or before `keep` are recycled: the caller has made their content durable elsewhere. Called
  // after every checkpoint, also one that frees nothing (then with lsn() or the same `keep` as before).
  virtual void release_before(lsn keep) = 0;
  // Writes and syncs what is open and the watermark. After it resolves nothing may be reserved.
  virtual task<result<void>> close() = 0;

 protected:
  friend struct commit_awaiter;
  // True (and the outcome set) if the waiter need not wait.
  virtual bool ready(waiter& node) = 0;
  virtual void wait(waiter& node) = 0;
};

}  // namespace weir
