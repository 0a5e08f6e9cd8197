// An allocator for large tables that are read at random: what takes megabytes lies in huge pages, where the kernel has
// them, so that a look-up does not wait for the page table as well. What is smaller comes from the heap.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace weir {

template <class T>
struct huge_pages {
  using value_type = T;
  static constexpr size_t page_bytes = 2 << 20;
  static constexpr size_t large_bytes = 2 * page_bytes;

  huge_pages() = default;
  template <class Other>
  huge_pages(const huge_pages<Other>&) noexcept {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < large_bytes) return static_cast<T*>(::operator new(bytes, std::align_val_t(alignof(T))));
    void* taken = ::operator new(bytes, std::align_val_t(page_bytes));
    (void)::madvise(taken, bytes, MADV_HUGEPAGE);  // a wish
    return static_cast<T*>(taken);
  }
  void deallocate(T* given, size_t count) noexcept {
    const bool large = count * sizeof(T) >= large_bytes;
    ::operator delete(given, std::align_val_t(large ? page_bytes : alignof(T)));
  }
  template <class Other>
  bool operator==(const huge_pages<Other>&) const noexcept {
    return true;
  }
};

}  // namespace weir
