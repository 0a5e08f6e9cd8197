// The disk port: the few file operations weir needs, so that a test can fail, tear, fill and forget.
//
// Blocking calls, made on a lane's thread (and on the shard's own thread only while a store opens). Two
// implementations: posix_disk (storage/posix_disk.h) and the simulated one (tests/sim/sim_disk.h); both pass
// tests/storage/disk_test.cc. Paths are relative to the directory the disk was made for, '/' separated, made of our own
// ids, never of a user's names.
//
// Errors: disk_full for ENOSPC and EDQUOT; storage_failed for any other fault, the message with path and errno text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/bytes.h"
#include "storage/result.h"

namespace weir {

// An open file. Closed by the destructor, which syncs nothing.
class file {
 public:
  virtual ~file() = default;
  // Reads at most into.size() bytes at offset; fewer only at the end of the file.
  virtual result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) = 0;
  // Says what will be read next, one range behind the other, so that the disk may begin.
  virtual void expect([[maybe_unused]] uint64_t offset, [[maybe_unused]] uint64_t bytes) {}
  // Writes all of it or fails; after a failure any part of it may have reached the disk.
  virtual result<void> write_at(uint64_t offset, byte_span from) = 0;
  // fdatasync: once it returns success, all bytes and the size written so far survive a power cut. A failed sync is
  // final: the caller never syncs this file again.
  virtual result<void> sync() = 0;
  virtual result<uint64_t> size() = 0;
  virtual result<void> truncate(uint64_t size) = 0;
  // The file has room for so many bytes on the disk, and that size; what was never written reads as zeros. False: this
  // file system cannot do that without writing them.
  virtual result<bool> allocate(uint64_t bytes) = 0;
};

class disk {
 public:
  virtual ~disk() = default;
  static constexpr size_t page_bytes = 4096;
  // create: must not exist yet.
  // onwards: for a file of whole pages that is written from front to back and not read, past the page cache where the
  // file system can do that; what lies behind a write in its last page may become zeros.
  // pages: the same for one who writes whole pages at page boundaries, from memory at page boundaries
  // (chunk_alignment).
  enum class mode { read, read_write, create, onwards, pages };
  virtual result<std::unique_ptr<file>> open(const std::string& path, mode how) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual result<void> make_dir(const std::string& path) = 0;  // and its parents; existing is fine
  // Names (not paths) in a directory, sorted; directories end in '/'.
  virtual result<std::vector<std::string>> list(const std::string& path) = 0;
  virtual result<void> rename(const std::string& from, const std::string& to) = 0;  // atomic, replaces
  virtual result<void> remove(const std::string& path) = 0;                         // a file or an empty directory
  // Gives a file a second name; its bytes stay until the last name is removed.
  virtual result<void> link(const std::string& from, const std::string& to) = 0;
  virtual result<uint64_t> names_of(const std::string& path) = 0;  // how many names the file has
  // Makes creations, links, renames and removals in this directory survive a power cut.
  virtual result<void> sync_dir(const std::string& path) = 0;
  virtual result<uint64_t> free_bytes() = 0;
};

// The directory a path is in; empty for the disk's own directory.
std::string parent_of(const std::string& path);
// make_dir, and every directory from the disk's own down to the new one's parent synced, so that it survives a power
// cut.
result<void> make_dir_durable(disk& where, const std::string& path);

}  // namespace weir
