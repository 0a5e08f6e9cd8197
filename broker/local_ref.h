// local_ref: shared ownership within one shard. Counts without atomics; never crosses threads.
//
// A stream or consumer that was deleted lives on until the last request that is looking at it has ended.
#pragma once

#include <cstdint>
#include <utility>

#include "storage/check.h"

namespace weir {

class local_counted {
 public:
  local_counted() = default;
  local_counted(const local_counted&) = delete;
  local_counted& operator=(const local_counted&) = delete;

 protected:
  ~local_counted() { WEIR_CHECK(refs_ == 0); }

 private:
  template <class T>
  friend class local_ref;
  uint32_t refs_ = 0;
};

template <class T>
class local_ref {
 public:
  local_ref() = default;
  explicit local_ref(T* counted) : counted_(counted) {
    if (counted_ != nullptr) ++counted_->refs_;
  }
  local_ref(const local_ref& other) : local_ref(other.counted_) {}
  local_ref(local_ref&& other) noexcept : counted_(std::exchange(other.counted_, nullptr)) {}
  local_ref& operator=(local_ref other) noexcept {
    std::swap(counted_, other.counted_);
    return *this;
  }
  ~local_ref() {
    if (counted_ != nullptr && --counted_->refs_ == 0) delete counted_;
  }

  explicit operator bool() const { return counted_ != nullptr; }
  T* get() const { return counted_; }
  T* operator->() const { return counted_; }
  T& operator*() const { return *counted_; }
  bool operator==(const local_ref&) const = default;
  // True if nobody else holds it.
  bool unique() const { return counted_ != nullptr && counted_->refs_ == 1; }

 private:
  T* counted_ = nullptr;
};

template <class T, class... Args>
local_ref<T> make_local(Args&&... args) {
  return local_ref<T>(new T(std::forward<Args>(args)...));
}

}  // namespace weir
