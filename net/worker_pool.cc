#include "net/worker_pool.h"

#include <pthread.h>

#include "storage/check.h"

namespace weir {

worker_pool::worker_pool(unsigned threads) {
  for (unsigned n = 0; n < threads; ++n) {
    threads_.emplace_back(&worker_pool::run, this);
    pthread_setname_np(threads_.back().native_handle(), "pool");
  }
}

worker_pool::~worker_pool() {
  stop();
}

lane& worker_pool::lane_of(reactor& home) {
  auto made = std::make_unique<pool_lane>(*this, home);
  lane& given = *made;
  std::lock_guard hold(lock_);
  lanes_.push_back(std::move(made));
  return given;
}

void worker_pool::take(job& next, pool_lane& from) {
  {
    std::lock_guard hold(lock_);
    WEIR_CHECK(!stopping_);
    queue_.push_back({&next, &from});
  }
  wake_.notify_one();
}

void worker_pool::stop() {
  {
    std::lock_guard hold(lock_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& one : threads_) {
    if (one.joinable()) one.join();
  }
}

void worker_pool::run() {
  while (true) {
    item next;
    {
      std::unique_lock hold(lock_);
      wake_.wait(hold, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      next = queue_.front();
      queue_.pop_front();
    }
    next.work->work();
    next.from->back.finished(*next.work);
  }
}

}  // namespace weir
