// A disk that takes everything and keeps nothing but names and sizes: what remains is the cost of our own code.
#pragma once

#include <algorithm>
#include <map>
#include <memory>

#include "storage/disk.h"

namespace weir {

class null_disk final : public disk {
 public:
  result<std::unique_ptr<file>> open(const std::string& path, mode how) override {
    if (how == mode::create) sizes_[path] = std::make_shared<uint64_t>(0);
    const auto found = sizes_.find(path);
    if (found == sizes_.end()) return fail(errc::storage_failed, "no such file: " + path);
    return std::unique_ptr<file>(std::make_unique<null_file>(found->second));
  }
  bool exists(const std::string& path) override { return sizes_.contains(path); }
  result<void> make_dir(const std::string&) override { return ok(); }
  result<std::vector<std::string>> list(const std::string&) override { return std::vector<std::string>{}; }
  result<void> rename(const std::string& from, const std::string& to) override {
    sizes_[to] = sizes_[from];
    sizes_.erase(from);
    return ok();
  }
  result<void> remove(const std::string& path) override {
    sizes_.erase(path);
    return ok();
  }
  result<void> link(const std::string& from, const std::string& to) override {
    sizes_[to] = sizes_[from];
    return ok();
  }
  result<uint64_t> names_of(const std::string& path) override {
    const size_ref wanted = sizes_.at(path);
    uint64_t names = 0;
    for (const auto& [name, size] : sizes_) names += size == wanted ? 1 : 0;
    return names;
  }
  result<void> sync_dir(const std::string&) override { return ok(); }
  result<uint64_t> free_bytes() override { return uint64_t{1} << 50; }

 private:
  using size_ref = std::shared_ptr<uint64_t>;
  class null_file final : public file {
   public:
    explicit null_file(size_ref size) : size_(std::move(size)) {}
    result<size_t> read_at(uint64_t, std::span<uint8_t> into) override {
      std::fill(into.begin(), into.end(), uint8_t{0});
      return into.size();
    }
    result<void> write_at(uint64_t offset, byte_span from) override {
      *size_ = std::max(*size_, offset + from.size());
      return ok();
    }
    result<void> sync() override { return ok(); }
    result<uint64_t> size() override { return *size_; }
    result<void> truncate(uint64_t size) override {
      *size_ = size;
      return ok();
    }
    result<bool> allocate(uint64_t bytes) override {
      *size_ = std::max(*size_, bytes);
      return true;
    }

   private:
    size_ref size_;
  };

  std::map<std::string, size_ref> sizes_;
};

}  // namespace weir
