// data_directory: the folder a server keeps everything in: made if missing, locked against a second process, and
// refused if it is not ours. Linux only.
//
//   LOCK    held with flock(2) while the object lives; contains the holder's process id
//   FORMAT  text: "weir data directory", "format 1", "shards N"; written once, atomically. The shard count is part of
//   the
//           format: a stream's shard is a function of its name and this number.
//
// Errors: locked (names the process), foreign_directory (something else, another format, another shard count; nothing
// was touched), storage_failed (the folder cannot be made or read).
#pragma once

#include <optional>
#include <string>

#include "storage/result.h"

namespace weir {

class data_directory {
 public:
  // `shards`: what the operator asked for; absent: what the directory has, or `shards_default` for a new one.
  static result<data_directory> open(const std::string& path, std::optional<unsigned> shards, unsigned shards_default);
  data_directory(data_directory&& other) noexcept;
  data_directory& operator=(data_directory&&) = delete;
  ~data_directory();

  const std::string& path() const { return path_; }
  unsigned shards() const { return shards_; }

 private:
  data_directory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_;
  unsigned shards_ = 0;
};

}  // namespace weir
