#include "net/commit_thread.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "storage/check.h"

namespace weir {
namespace {

// The kernel's struct sched_attr, version 0 (its header and glibc's do not go together).
struct scheduling {
  uint32_t size;
  uint32_t policy;  // 0: the ordinary one
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns;
  uint64_t deadline_ns;
  uint64_t period_ns;
};

// A commit is a few microseconds of work between waits for the disk. When a sync has returned while a busy reactor has
// this core, Linux from 6.6 on lets the commit wait for the reactor's slice to end, up to 4 ms, unless this thread asks
// for a shorter slice than others (from 6.12 on that lets it in at once). Older kernels ignore it. Costs no share of
// the core and needs no rights.
void ask_for_short_slices() {
  constexpr uint64_t slice_ns = 100'000;  // the shortest the kernel grants
  scheduling wanted{};
  wanted.size = sizeof wanted;
  if (::syscall(SYS_sched_getattr, 0, &wanted, sizeof wanted, 0) != 0) return;
  if (wanted.policy != 0) return;  // somebody chose another policy: leave it
  wanted.runtime_ns = slice_ns;
  (void)::syscall(SYS_sched_setattr, 0, &wanted, 0);
}

}  // namespace

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
  ask_for_short_slices();
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
