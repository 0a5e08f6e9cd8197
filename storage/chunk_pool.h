// Chunks of one size that are used again: fresh memory costs a page fault for every 4 KiB.
//
// Shared by its user and the chunks that are out; any thread, for the last reference to a chunk may go anywhere.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "storage/bytes.h"

namespace weir {

class chunk_pool : public std::enable_shared_from_this<chunk_pool> {
 public:
  explicit chunk_pool(size_t capacity) : capacity_(capacity) {}
  chunk_pool(const chunk_pool&) = delete;
  ~chunk_pool();

  size_t idle();  // chunks that lie here
  chunk_ref take();
  // Frees what nobody needed since the last call.
  void shrink();

 private:
  friend class chunk_ref;
  void take_back(chunk* used);

  const size_t capacity_;
  std::mutex lock_;
  std::vector<chunk*> free_;
  size_t free_least_ = 0;  // since the last shrink()
};

}  // namespace weir
