// The durable watermark: how far the journal had certainly been synced. Recovery calls damage below it damage, and what
// is unreadable above it (and not proven otherwise) a torn tail.
//
// Two slots in one file, written alternately and synced, so that one of them is whole at every moment. Owned by the
// journal; write() blocks: it is called on the commit lane, and while the journal opens.
#pragma once

#include "storage/disk.h"
#include "storage/ids.h"

namespace weir {

class watermark {
 public:
  struct state {
    uint64_t counter = 0;  // the slot with the higher one counts
    lsn durable;
    bool clean = false;  // nothing was written after `durable`, and the segment can go on from there
  };

  // Reads the file, or makes it. Damaged slots are as if never written.
  static result<std::unique_ptr<watermark>> open(disk& where, const std::string& path);

  const state& last() const { return last_; }
  result<void> write(lsn durable, bool clean);

 private:
  explicit watermark(std::unique_ptr<file> opened) : file_(std::move(opened)) {}

  std::unique_ptr<file> file_;
  state last_;
};

}  // namespace weir
