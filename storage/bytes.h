// Bytes that are shared, never copied: a chunk is a reference-counted buffer, a slice is a view that keeps its chunk
// alive.
//
// Slices leave the shard (gRPC frees them on whatever thread ends the write), so the count is atomic; it is the only
// atomic outside the crossing points. Bytes that a slice shows never change after they were published to readers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace weir {

using byte_span = std::span<const uint8_t>;

inline byte_span as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(byte_span bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class chunk_pool;

// A buffer of fixed capacity; when the last chunk_ref goes it is freed, or goes back to its pool. Aligned to
// chunk_alignment so that it can be written with O_DIRECT.
class chunk {
 public:
  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t capacity() const { return capacity_; }
  // Memory of the journal: the lsn of its first byte. Set before it is shared; 0 for other memory.
  uint64_t origin() const { return origin_; }
  void set_origin(uint64_t at) { origin_ = at; }

 private:
  friend class chunk_ref;
  friend class chunk_pool;
  chunk(uint8_t* data, size_t capacity) : data_(data), capacity_(capacity) {}

  std::atomic<uint32_t> refs_{1};
  uint8_t* data_;
  size_t capacity_;
  uint64_t origin_ = 0;
  std::shared_ptr<chunk_pool> pool_;  // it returns to; none while it lies there
};

inline constexpr size_t chunk_alignment = 4096;

class chunk_ref {
 public:
  static chunk_ref make(size_t capacity);

  chunk_ref() = default;
  chunk_ref(const chunk_ref& other) : chunk_(other.chunk_) {
    if (chunk_ != nullptr) chunk_->refs_.fetch_add(1, std::memory_order_relaxed);
  }
  chunk_ref(chunk_ref&& other) noexcept : chunk_(std::exchange(other.chunk_, nullptr)) {}
  chunk_ref& operator=(chunk_ref other) noexcept {
    std::swap(chunk_, other.chunk_);
    return *this;
  }
  ~chunk_ref() {
    if (chunk_ != nullptr && chunk_->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(chunk_);
  }

  explicit operator bool() const { return chunk_ != nullptr; }
  chunk* operator->() const { return chunk_; }
  chunk& operator*() const { return *chunk_; }
  bool operator==(const chunk_ref&) const = default;
  // True if nobody else holds the chunk, so that its owner may use the buffer again.
  bool unique() const { return chunk_ != nullptr && chunk_->refs_.load(std::memory_order_acquire) == 1; }

 private:
  friend class chunk_pool;
  explicit chunk_ref(chunk* owned) : chunk_(owned) {}
  static void destroy(chunk* dead);

  chunk* chunk_ = nullptr;
};

// A view into a chunk that keeps it alive.
class slice {
 public:
  slice() = default;
  slice(chunk_ref owner, const uint8_t* data, size_t size) : owner_(std::move(owner)), data_(data), size_(size) {}
  // A chunk of its own with a copy of the bytes.
  static slice copy_of(byte_span bytes);

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  byte_span bytes() const { return {data_, size_}; }
  const chunk_ref& owner() const { return owner_; }
  slice sub(size_t offset, size_t size) const { return slice(owner_, data_ + offset, size); }

 private:
  chunk_ref owner_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Little-endian numbers at any address. Formats are written with these, never by copying a struct.
template <class T>
inline void store_le(uint8_t* to, T value) {
  static_assert(std::is_unsigned_v<T>);
  for (size_t i = 0; i < sizeof(T); ++i) to[i] = static_cast<uint8_t>(value >> (8 * i));
}
template <class T>
inline T load_le(const uint8_t* from) {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value | (static_cast<T>(from[i]) << (8 * i)));
  return value;
}

}  // namespace weir
