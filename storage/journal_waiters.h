// Coroutines that wait for the journal, in order of arrival. Every node lives in the frame of its coroutine.
//
// Owned by the journal, on the shard's thread.
#pragma once

#include <deque>

#include "storage/journal.h"

namespace weir {

// Those who wait for an entry to be written or durable.
class waiter_list {
 public:
  using waiter = journal::waiter;

  void add(waiter& node) {
    node.next = nullptr;
    (last_ == nullptr ? first_ : last_->next) = &node;
    last_ = &node;
  }
  bool empty() const { return first_ == nullptr; }

  // Takes out those for which `ends` is true (it has set their outcome), then resumes them, first come first.
  template <class Ends>
  void resume_if(Ends ends) {
    waiter* rest = std::exchange(first_, nullptr);
    last_ = nullptr;
    waiter_list resumed;
    while (rest != nullptr) {
      waiter* node = std::exchange(rest, rest->next);
      (ends(*node) ? resumed : *this).add(*node);
    }
    while (resumed.first_ != nullptr) {
      waiter* node = std::exchange(resumed.first_, resumed.first_->next);
      node->caller.resume();  // the node is gone afterwards
    }
  }

 private:
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};

// Those who wait for room. Only the first is woken, and only once it can go on: nobody overtakes.
class room_queue {
 public:
  struct node {
    room_queue& queue;
    size_t payload_bytes;
    std::coroutine_handle<> caller;

    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      caller = handle;
      queue.waiting_.push_back(this);
    }
    void await_resume() noexcept {}
  };

  node wait(size_t payload_bytes) { return node{*this, payload_bytes, nullptr}; }
  bool empty() const { return waiting_.empty(); }
  size_t first_bytes() const { return waiting_.front()->payload_bytes; }
  void wake_first() {
    node* first = waiting_.front();
    waiting_.pop_front();
    first->caller.resume();
  }

 private:
  std::deque<node*> waiting_;
};

}  // namespace weir
