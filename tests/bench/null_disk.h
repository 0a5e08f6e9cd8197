// A disk that takes everything and keeps nothing but names and sizes: what remains is the cost of our own code.
#pragma once

#include <map>

#include "storage/disk.h"

namespace weir {

class null_disk final : public disk {
 public:
  result<std::unique_ptr<file>> open(const std::string& path, mode how) override {
    if (how == mode::create) sizes_[path] = 0;
    return std::unique_ptr<file>(std::make_unique<null_file>(sizes_[path]));
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
  result<uint64_t> names_of(const std::string&) override { return uint64_t{1}; }
  result<void> sync_dir(const std::string&) override { return ok(); }
  result<uint64_t> free_bytes() override { return uint64_t{1} << 50; }

 private:
  class null_file final : public file {
   public:
    explicit null_file(uint64_t size) : size_(size) {}
    result<size_t> read_at(uint64_t, std::span<uint8_t> into) override {
      std::fill(into.begin(), into.end(), uint8_t{0});
      return into.size();
    }
    result<void> write_at(uint64_t, byte_span) override { return ok(); }
    result<void> sync() override { return ok(); }
    result<uint64_t> size() override { return size_; }
    result<void> truncate(uint64_t) override { return ok(); }
    result<bool> allocate(uint64_t) override { return true; }

   private:
    uint64_t size_;
  };

  std::map<std::string, uint64_t> sizes_;
};

}  // namespace weir
