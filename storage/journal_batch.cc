#include "storage/journal_batch.h"

namespace weir {

chunk_ref chunk_supply::take(size_t bytes_min) {
  if (bytes_min > chunk_bytes) return chunk_ref::make(bytes_min);
  if (kept_.empty()) return chunk_ref::make(chunk_bytes);
  chunk_ref reused = std::move(kept_.back());
  kept_.pop_back();
  return reused;
}

void chunk_supply::give(chunk_ref used) {
  if (kept_.size() < kept_max && used.unique() && used->capacity() == chunk_bytes) kept_.push_back(std::move(used));
}

}  // namespace weir
