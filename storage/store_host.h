// What the logs of one store share: ports, the journal, the cache of block reads, the queue of what becomes visible.
//
// Owned by the store; shard's thread only. Logs borrow it and keep no state in it that outlives them.
#pragma once

#include <coroutine>
#include <deque>
#include <string>

#include "storage/block_cache.h"
#include "storage/disk.h"
#include "storage/journal.h"
#include "storage/lane.h"
#include "storage/store.h"
#include "storage/task.h"

namespace weir {

class stored_log;

// One holder at a time: `co_await turn.take()` ... `turn.pass()`. Who waits longest is next.
class file_turn {
 public:
  struct awaiter {
    file_turn& self;
    bool await_ready() {
      if (self.taken_) return false;
      self.taken_ = true;
      return true;
    }
    void await_suspend(std::coroutine_handle<> caller) { self.waiting_.push_back(caller); }
    void await_resume() {}
  };
  awaiter take() { return awaiter{*this}; }
  void pass() {
    if (waiting_.empty()) {
      taken_ = false;
      return;
    }
    std::coroutine_handle<> next = waiting_.front();
    waiting_.pop_front();
    next.resume();
  }

 private:
  bool taken_ = false;
  std::deque<std::coroutine_handle<>> waiting_;
};

// Appends that are not visible yet, in order.
class visibility_queue {
 public:
  void push(lsn end, stored_log* log, seq_no first, seq_no last) { waiting_.push_back(item{end, log, first, last}); }
  // Everything that ends at or before `reached` is visible now.
  void advance(lsn reached);
  // What is left will never be: the logs forget it.
  void drop_rest();
  void forget(const stored_log* log);

 private:
  struct item {
    lsn end;
    stored_log* log;  // null: dropped
    seq_no first;
    seq_no last;
  };
  std::deque<item> waiting_;
};

struct store_host {
  store_host(disk& d, lane& p, std::string dir, uint64_t cache_bytes)
      : where(d), pool(p), root(std::move(dir)), cache(cache_bytes) {}

  disk& where;
  lane& pool;
  std::string root;
  journal* entries = nullptr;  // set once it is open
  block_cache cache;
  gate background;
  recovery_report report;
  uint64_t uids = 0;  // last one given to a part or a file
  file_turn files;    // held by whoever rewrites or replaces block files: checkpoint or salvage
  visibility_queue durable_next;
  visibility_queue written_next;

  uint64_t new_uid() { return ++uids; }
};

}  // namespace weir
