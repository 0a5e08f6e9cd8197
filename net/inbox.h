// inbox: how another thread hands something to a reactor. The one crossing point of weir.
//
// Any number of threads push, one reactor takes. The letters are linked into each other (a letter lives in the job,
// call or coroutine frame that is crossing), so pushing never allocates, never waits and never fails: an inbox is
// bounded by the limits of what can be under way. Letters of one sender arrive in the order they were sent. Writes
// before push() are seen by the receiver.
#pragma once

#include <atomic>

namespace weir {

// Something that crosses. Owned by the sender; in at most one inbox at a time; free again once open() was called.
class letter {
 public:
  virtual void open() = 0;  // on the receiving reactor's thread

 protected:
  ~letter() = default;

 private:
  friend class inbox;
  letter* next_ = nullptr;
};

class inbox {
 public:
  // True if it was empty: then the receiver may be asleep and this sender is the one to ring.
  bool push(letter& sent) {
    letter* head = newest_.load(std::memory_order_relaxed);
    do {
      sent.next_ = head;
    } while (!newest_.compare_exchange_weak(head, &sent, std::memory_order_seq_cst, std::memory_order_relaxed));
    return head == nullptr;
  }

  bool empty() const { return newest_.load(std::memory_order_seq_cst) == nullptr; }

  // Opens all letters that are there, in order of arrival; returns whether there were any. Receiver only.
  bool open_all() {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return false;
    letter* newest = newest_.exchange(nullptr, std::memory_order_acquire);
    letter* oldest = nullptr;
    while (newest != nullptr) {
      letter* older = newest->next_;
      newest->next_ = oldest;
      oldest = newest;
      newest = older;
    }
    while (oldest != nullptr) {
      letter* next = oldest->next_;  // read before open(): the letter may be sent again, or be gone, after it
      oldest->open();
      oldest = next;
    }
    return true;
  }

 private:
  std::atomic<letter*> newest_{nullptr};
};

}  // namespace weir
