// What one group commit writes: the entries gathered since the last one, in the chunks they were reserved in.
//
// A batch lies in one segment. It is built on the shard's thread, then handed to the commit job; the bytes do not
// change any more once they are sealed.
#pragma once

#include <vector>

#include "storage/chunk_pool.h"
#include "storage/disk.h"
#include "storage/journal_format.h"

namespace weir {

// The file of a segment. `handle` and `unsynced` are touched on the commit lane only.
struct segment_file {
  std::unique_ptr<file> handle;
  bool unsynced = false;  // written since its last sync
};

// Bytes that are contiguous in memory and in the file.
struct write_span {
  chunk_ref owner;
  const uint8_t* data;
  size_t size;
  uint64_t offset;  // in the file
};

// What must be done before the first batch of a new segment can be written.
struct roll_order {
  std::shared_ptr<segment_file> previous;  // synced first if it needs it, then closed; may be null
  std::string spare_path;                  // a whole segment that holds nothing needed
  std::string path;                        // its name from now on
  segment_header header;
};

struct batch {
  std::shared_ptr<segment_file> target;
  std::unique_ptr<roll_order> roll;
  std::vector<write_span> spans;
  uint64_t start = 0;  // lsn of the first entry
  uint64_t end = 0;    // lsn where the last one ends
  size_t bytes = 0;
  uint8_t flags = 0;  // of each entry

  bool empty() const { return bytes == 0; }
};

// Memory for entries: chunks of chunk_bytes, used again when nobody else holds them.
class chunk_supply {
 public:
  static constexpr size_t chunk_bytes = 1 << 20;

  chunk_ref take(size_t bytes_min) { return bytes_min > chunk_bytes ? chunk_ref::make(bytes_min) : kept_->take(); }
  // Now and then: gives back what a burst needed and nobody needs now.
  void shrink() { kept_->shrink(); }

 private:
  std::shared_ptr<chunk_pool> kept_ = std::make_shared<chunk_pool>(chunk_bytes);
};

}  // namespace weir
