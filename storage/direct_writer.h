// Writes past the page cache (O_DIRECT), for one who only writes onwards: the journal. It saves the kernel's copy of
// every byte and the care for dirty pages.
//
// Owned by a posix_file, on the lane of its user. The kernel wants whole pages at page boundaries: the page in which
// the last write ended is kept and written again with the next one; behind a write its last page is filled with zeros.
// Memory that lies at a page boundary where the file does is written from where it is, other memory is copied.
#pragma once

#include <span>

#include "storage/bytes.h"

namespace weir {

class direct_writer {
 public:
  explicit direct_writer(int descriptor);

  // The errno of a failure, else 0. EINVAL: the file system cannot do this after all.
  int write(uint64_t offset, byte_span from);

 private:
  int load(uint64_t at, size_t needed);
  int put(uint64_t at, byte_span head, byte_span body, byte_span tail);
  byte_span aligned(byte_span body);

  int descriptor_;
  chunk_ref last_;        // the page in which the last write ended
  uint64_t last_at_ = 0;  // where in the file
  size_t last_used_ = 0;  // its bytes that are known; 0: none
  chunk_ref next_;        // room for the one after it
  chunk_ref copy_;        // of a body that lies elsewhere in memory
};

}  // namespace weir
