// The real disk: files below one directory, by plain POSIX calls.
//
// Owned by main. Any thread may use it, each open file by one thread at a time. Files are made 0600, directories 0700;
// every descriptor is close-on-exec. The directory itself is made by make_dir("").
#pragma once

#include "storage/disk.h"

namespace weir {

class posix_disk final : public disk {
 public:
  explicit posix_disk(std::string directory);

  result<std::unique_ptr<file>> open(const std::string& path, mode how) override;
  bool exists(const std::string& path) override;
  result<void> make_dir(const std::string& path) override;
  result<std::vector<std::string>> list(const std::string& path) override;
  result<void> rename(const std::string& from, const std::string& to) override;
  result<void> remove(const std::string& path) override;
  result<void> link(const std::string& from, const std::string& to) override;
  result<uint64_t> names_of(const std::string& path) override;
  result<void> sync_dir(const std::string& path) override;
  result<uint64_t> free_bytes() override;

 private:
  std::string full(const std::string& path) const;

  std::string directory_;
};

}  // namespace weir
