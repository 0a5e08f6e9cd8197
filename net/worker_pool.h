// worker_pool: a few threads for blocking work that may run in any order: cold reads, settling.
//
// Shared by all shards; each has its own lane() onto it, whose jobs come back to that shard's reactor. Owned by main.
// stop() when nothing is submitted any more: runs what is queued and joins.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "net/return_path.h"

namespace weir {

class worker_pool {
 public:
  explicit worker_pool(unsigned threads);
  worker_pool(const worker_pool&) = delete;
  ~worker_pool();

  // Lives as long as the pool. From any thread: shards are opened side by side.
  lane& lane_of(reactor& home);
  void stop();

 private:
  class pool_lane final : public lane {
   public:
    pool_lane(worker_pool& p, reactor& home) : pool(p), back(home) {}
    void submit(job& next) override { pool.take(next, *this); }

    worker_pool& pool;
    return_path back;
  };
  struct item {
    job* work;
    pool_lane* from;
  };

  void take(job& next, pool_lane& from);
  void run();

  std::mutex lock_;
  std::condition_variable wake_;
  std::deque<item> queue_;
  bool stopping_ = false;
  std::vector<std::unique_ptr<pool_lane>> lanes_;
  std::vector<std::thread> threads_;
};

}  // namespace weir
