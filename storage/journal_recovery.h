// Reads a journal back after a stop of any kind: what is there, where it ends, and whether what cannot be read is a
// torn tail (cut it) or damage (keep what is good around it, and say so).
//
// An unreadable entry is damage if it had certainly been synced: it lies below the watermark, or a later batch that was
// written after its sync is there, or a next segment's header says so. Otherwise it is the torn end of what was being
// written when the power went, and nothing after it was acknowledged as durable.
//
// Blocking; runs once, in journal::open(). Changes nothing but this: entries that are good but not proven are written
// again and synced, so that what is shown now is there after the next power cut (a sync that failed before the process
// died may have left them in the page cache only); unreadable segment files go to `quarantine/`.
#pragma once

#include "storage/journal.h"
#include "storage/journal_segment.h"
#include "storage/watermark.h"

namespace weir {

struct recovered_segment {
  segment_header header;
  std::string path;
  uint64_t end = 0;  // lsn where its data ends
};

struct recovered_journal {
  std::vector<recovered_segment> segments;  // in order
  std::vector<std::string> spare;           // whole files that hold nothing
  std::vector<std::string> useless;         // files that hold nothing and have the wrong size
  uint64_t end = 0;                         // lsn where the data ends
  bool goes_on = false;                     // the last segment can be written from `end` on
  uint64_t next_number = 1;
  uint64_t next_base = 0;
  uint64_t next_free_number = 1;
};

class journal_recovery {
 public:
  journal_recovery(disk& where, const std::string& directory, const std::string& quarantine, uint64_t segment_bytes,
                   const watermark::state& mark, lsn from, journal_visitor& visitor);
  result<recovered_journal> run();

 private:
  result<void> find_files();
  result<void> look_at(const std::string& name, uint64_t number);
  result<void> set_aside(const std::string& name);
  result<void> check_order() const;
  result<void> replay_segments();
  result<void> replay(recovered_segment& segment, const recovered_segment* next);
  result<void> walk(segment_reader& in, uint64_t stop, bool is_last, bool stop_is_known);
  uint64_t furthest_proof(segment_reader& in, uint64_t at);
  result<void> deliver(const segment_reader& in, const found_entry& entry);
  void hole(uint64_t to);
  result<void> finish(file& opened, segment_reader& in);
  result<void> write_again(file& opened, const segment_header& header, uint64_t from, uint64_t to);

  disk& disk_;
  std::string directory_;
  std::string quarantine_;
  uint64_t segment_bytes_;
  watermark::state mark_;
  uint64_t from_;
  journal_visitor& visitor_;
  recovered_journal found_;
  uint64_t at_;           // lsn: everything before it was dealt with
  uint64_t proven_ = 0;   // lsn: everything before it had been synced
  uint64_t torn_to_ = 0;  // lsn: how far remains of unacknowledged entries reach
};

}  // namespace weir
