// commit_thread: the commit lane of one shard: one thread that runs its jobs one after another, in order.
//
// submit() from the shard's reactor; done() of a job runs there. Owned by main. stop() when nothing is submitted any
// more: it runs what is queued and joins; the last done() still travel, so the reactor stops later.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/return_path.h"

namespace weir {

class commit_thread final : public lane {
 public:
  commit_thread(reactor& home, std::string name);
  ~commit_thread();

  void submit(job& next) override;
  void stop();

 private:
  void run();

  return_path back_;
  std::mutex lock_;
  std::condition_variable wake_;
  std::vector<job*> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace weir
