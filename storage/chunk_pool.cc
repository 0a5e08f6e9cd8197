#include "storage/chunk_pool.h"

#include <algorithm>

namespace weir {

chunk_pool::~chunk_pool() {
  for (chunk* each : free_) chunk_ref::destroy(each);
}

chunk_ref chunk_pool::take() {
  chunk* reused = nullptr;
  {
    std::lock_guard hold(lock_);
    if (!free_.empty()) {
      reused = free_.back();
      free_.pop_back();
      free_least_ = std::min(free_least_, free_.size());
    }
  }
  chunk_ref taken;
  if (reused == nullptr) {
    taken = chunk_ref::make(capacity_);
  } else {
    reused->refs_.store(1, std::memory_order_relaxed);
    taken = chunk_ref(reused);
  }
  taken->pool_ = shared_from_this();
  return taken;
}

size_t chunk_pool::idle() {
  std::lock_guard hold(lock_);
  return free_.size();
}

void chunk_pool::take_back(chunk* used) {
  std::lock_guard hold(lock_);
  free_.push_back(used);
}

void chunk_pool::shrink() {
  std::vector<chunk*> idle;
  {
    std::lock_guard hold(lock_);
    idle.assign(free_.begin(), free_.begin() + static_cast<ptrdiff_t>(free_least_));
    free_.erase(free_.begin(), free_.begin() + static_cast<ptrdiff_t>(free_least_));
    free_least_ = free_.size();
  }
  for (chunk* each : idle) chunk_ref::destroy(each);
}

}  // namespace weir
