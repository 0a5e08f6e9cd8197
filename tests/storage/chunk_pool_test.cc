// Chunks that come back, and what a quiet second gives up.
#include <doctest/doctest.h>

#include <thread>

#include "storage/chunk_pool.h"

namespace weir {
namespace {

constexpr size_t bytes = 8192;

TEST_CASE("chunk pool: a chunk comes back when its last reference goes, on whatever thread") {
  auto pool = std::make_shared<chunk_pool>(bytes);
  chunk_ref taken = pool->take();
  const uint8_t* where = taken->data();
  slice view(taken, taken->data() + 10, 20);
  taken = {};
  CHECK(pool->take()->data() != where);  // the slice has it
  std::thread([kept = std::move(view)]() mutable { kept = {}; }).join();
  CHECK(pool->take()->data() == where);
}

TEST_CASE("chunk pool: what a burst needed and the next second did not is given back") {
  auto pool = std::make_shared<chunk_pool>(bytes);
  std::vector<chunk_ref> burst;
  for (int i = 0; i < 10; ++i) burst.push_back(pool->take());
  pool->shrink();
  burst.clear();
  CHECK(pool->idle() == 10);
  pool->shrink();  // there was a moment without any
  CHECK(pool->idle() == 10);
  { const chunk_ref one = pool->take(); }
  pool->shrink();
  CHECK(pool->idle() == 1);
}

TEST_CASE("chunk pool: chunks outlive the pool's user") {
  chunk_ref left;
  {
    auto pool = std::make_shared<chunk_pool>(bytes);
    left = pool->take();
  }
  left->data()[bytes - 1] = 1;
  CHECK(left->capacity() == bytes);
  left = {};
}

}  // namespace
}  // namespace weir
