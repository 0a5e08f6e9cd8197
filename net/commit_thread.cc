#include "net/commit_thread.h"

#include <pthread.h>

#include "storage/check.h"

namespace weir {

commit_thread::commit_thread(reactor& home, std::string name) : back_(home), thread_(&commit_thread::run, this) {
  pthread_setname_np(thread_.native_handle(), name.c_str());
}

commit_thread::~commit_thread() {
  stop();
}

void commit_thread::submit(job& next) {
  bool first;
  {
    std::lock_guard hold(lock_);
    WEIR_CHECK(!stopping_);
    first = queue_.empty();
    queue_.push_back(&next);
  }
  if (first) wake_.notify_one();
}

void commit_thread::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard hold(lock_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void commit_thread::run() {
  std::vector<job*> taken;
  while (true) {
    {
      std::unique_lock hold(lock_);
      wake_.wait(hold, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      taken.swap(queue_);
    }
    for (job* next : taken) {
      next->work();
      back_.finished(*next);
    }
    taken.clear();
  }
}

}  // namespace weir
