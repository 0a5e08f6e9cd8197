#include "storage/bytes.h"

#include <new>

#include "storage/chunk_pool.h"

namespace weir {

chunk_ref chunk_ref::make(size_t capacity) {
  auto* data = static_cast<uint8_t*>(::operator new(capacity, std::align_val_t(chunk_alignment)));
  return chunk_ref(new chunk(data, capacity));
}

void chunk_ref::destroy(chunk* dead) {
  if (auto pool = std::move(dead->pool_)) return pool->take_back(dead);
  ::operator delete(dead->data_, std::align_val_t(chunk_alignment));
  delete dead;
}

slice slice::copy_of(byte_span bytes) {
  chunk_ref owner = chunk_ref::make(bytes.size());
  if (!bytes.empty()) std::memcpy(owner->data(), bytes.data(), bytes.size());
  const uint8_t* data = owner->data();
  return slice(std::move(owner), data, bytes.size());
}

}  // namespace weir
