#include "storage/direct_writer.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "storage/disk.h"
#include "storage/uninterrupted.h"

namespace weir {
namespace {

constexpr size_t page_bytes = disk::page_bytes;
static_assert(page_bytes == chunk_alignment);

bool is_aligned(const uint8_t* data) {
  return reinterpret_cast<uintptr_t>(data) % page_bytes == 0;
}

}  // namespace

direct_writer::direct_writer(int descriptor)
    : descriptor_(descriptor), last_(chunk_ref::make(page_bytes)), next_(chunk_ref::make(page_bytes)) {}

int direct_writer::write(uint64_t offset, byte_span from) {
  const size_t into = offset % page_bytes;
  const uint64_t first = offset - into;
  byte_span head;
  if (into != 0) {
    if (int number = load(first, into); number != 0) return number;
    const size_t size = std::min(from.size(), page_bytes - into);
    std::memcpy(last_->data() + into, from.data(), size);
    std::memset(last_->data() + into + size, 0, page_bytes - into - size);
    last_used_ = into + size;
    head = {last_->data(), page_bytes};
    from = from.subspan(size);
  }
  const byte_span body = aligned(from.first(from.size() / page_bytes * page_bytes));
  const byte_span rest = from.subspan(body.size());
  byte_span tail;
  if (!rest.empty()) {
    std::memcpy(next_->data(), rest.data(), rest.size());
    std::memset(next_->data() + rest.size(), 0, page_bytes - rest.size());
    tail = {next_->data(), page_bytes};
  }
  const int number = put(first, head, body, tail);
  if (number != 0) last_used_ = 0;
  if (number != 0 || rest.empty()) return number;
  std::swap(last_, next_);
  last_at_ = first + head.size() + body.size();
  last_used_ = rest.size();
  return 0;
}

// Makes last_ the page at `at` of the file, whose first `needed` bytes count.
int direct_writer::load(uint64_t at, size_t needed) {
  if (last_used_ >= needed && last_at_ == at) return 0;
  last_used_ = 0;
  const ssize_t got =
      uninterrupted([&] { return ::pread(descriptor_, last_->data(), page_bytes, static_cast<off_t>(at)); });
  if (got < 0) return errno;
  if (static_cast<size_t>(got) < needed) std::memset(last_->data() + got, 0, needed - static_cast<size_t>(got));
  last_at_ = at;
  return 0;
}

byte_span direct_writer::aligned(byte_span body) {
  if (body.empty() || is_aligned(body.data())) return body;
  if (!copy_ || copy_->capacity() < body.size()) copy_ = chunk_ref::make(body.size());
  std::memcpy(copy_->data(), body.data(), body.size());
  return {copy_->data(), body.size()};
}

int direct_writer::put(uint64_t at, byte_span head, byte_span body, byte_span tail) {
  std::array<byte_span, 3> parts{head, body, tail};
  for (size_t done = 0; done < parts.size();) {
    std::array<iovec, 3> left{};
    int count = 0;
    for (size_t i = done; i < parts.size(); ++i) {
      if (!parts[i].empty())
        left[static_cast<size_t>(count++)] = {const_cast<uint8_t*>(parts[i].data()), parts[i].size()};
    }
    if (count == 0) return 0;
    const ssize_t put =
        uninterrupted([&] { return ::pwritev(descriptor_, left.data(), count, static_cast<off_t>(at)); });
    if (put < 0) return errno;
    if (put == 0 || static_cast<size_t>(put) % page_bytes != 0) return EIO;
    at += static_cast<uint64_t>(put);
    size_t gone = static_cast<size_t>(put);
    while (done < parts.size() && gone >= parts[done].size()) gone -= parts[done++].size();
    if (gone != 0) parts[done] = parts[done].subspan(gone);
  }
  return 0;
}

}  // namespace weir
