#include "storage/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

#include "storage/direct_writer.h"
#include "storage/uninterrupted.h"

namespace weir {
namespace {

constexpr mode_t file_mode = 0600;
constexpr mode_t directory_mode = 0700;

error failure(std::string_view what, const std::string& path, int number) {
  errc code = number == ENOSPC || number == EDQUOT ? errc::disk_full : errc::storage_failed;
  return fail(code, std::string(what) + " " + path + ": " + std::generic_category().message(number));
}

class posix_file final : public file {
 public:
  posix_file(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  posix_file(const posix_file&) = delete;
  ~posix_file() override { ::close(descriptor_); }

  result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) override {
    size_t done = 0;
    while (done < into.size()) {
      ssize_t got = uninterrupted([&] {
        return ::pread(descriptor_, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
      });
      if (got < 0) return failure("cannot read", path_, errno);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  void expect(uint64_t offset, uint64_t bytes) override {
    const uint64_t end = offset + bytes;
    if (offset > expected_ || expected_ > end) expected_ = offset;
    if (end - expected_ < bytes / 2) return;  // few, large requests
    [[maybe_unused]] const int hint = ::posix_fadvise(descriptor_, static_cast<off_t>(expected_),
                                                      static_cast<off_t>(end - expected_), POSIX_FADV_WILLNEED);
    expected_ = end;
  }

  // Leaves the page cache out, as long as the file system takes part.
  void go_onwards() { onwards_.emplace(descriptor_); }

  result<void> write_at(uint64_t offset, byte_span from) override {
    if (onwards_) {
      const int number = onwards_->write(offset, from);
      if (number == 0) return ok();
      if (number != EINVAL) return failure("cannot write", path_, number);
      onwards_.reset();
    }
    size_t done = 0;
    while (done < from.size()) {
      ssize_t put = uninterrupted([&] {
        return ::pwrite(descriptor_, from.data() + done, from.size() - done, static_cast<off_t>(offset + done));
      });
      if (put < 0 && errno == EINVAL && stop_direct()) continue;
      if (put < 0) return failure("cannot write", path_, errno);
      if (put == 0) return failure("cannot write", path_, EIO);
      done += static_cast<size_t>(put);
    }
    return ok();
  }

  result<void> sync() override {
    if (uninterrupted([&] { return ::fdatasync(descriptor_); }) != 0) return failure("cannot sync", path_, errno);
    return ok();
  }

  result<uint64_t> size() override {
    struct stat found {};
    if (::fstat(descriptor_, &found) != 0) return failure("cannot look at", path_, errno);
    return static_cast<uint64_t>(found.st_size);
  }

  result<void> truncate(uint64_t size) override {
    if (uninterrupted([&] { return ::ftruncate(descriptor_, static_cast<off_t>(size)); }) != 0) {
      return failure("cannot truncate", path_, errno);
    }
    return ok();
  }

  result<bool> allocate(uint64_t bytes) override {
    if (uninterrupted([&] { return ::fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes)); }) == 0) return true;
    if (errno == EOPNOTSUPP || errno == ENOSYS) return false;
    return failure("cannot allocate", path_, errno);
  }

 private:
  // False if there was nothing to stop.
  bool stop_direct() {
    const int flags = ::fcntl(descriptor_, F_GETFL);
    return flags >= 0 && (flags & O_DIRECT) != 0 && ::fcntl(descriptor_, F_SETFL, flags & ~O_DIRECT) == 0;
  }

  int descriptor_;
  std::string path_;
  std::optional<direct_writer> onwards_;
  uint64_t expected_ = 0;  // the disk was told about everything before it
};

int flags_of(disk::mode how) {
  switch (how) {
    case disk::mode::read:
      return O_RDONLY | O_CLOEXEC;
    case disk::mode::read_write:
      return O_RDWR | O_CLOEXEC;
    case disk::mode::onwards:
    case disk::mode::pages:
      return O_RDWR | O_DIRECT | O_CLOEXEC;
    case disk::mode::create:
      return O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
  }
  WEIR_CHECK(false);
}

result<void> make_one(const std::string& path) {
  if (::mkdir(path.c_str(), directory_mode) == 0) return ok();
  int number = errno;
  if (number != EEXIST) return failure("cannot make directory", path, number);
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return failure("cannot look at", path, errno);
  if (!S_ISDIR(found.st_mode)) return failure("cannot make directory", path, ENOTDIR);
  return ok();
}

bool is_directory(const std::string& parent, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat found {};
  std::string path = parent + "/" + entry.d_name;
  return ::lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

}  // namespace

posix_disk::posix_disk(std::string directory) : directory_(std::move(directory)) {
  WEIR_CHECK(!directory_.empty());
}

std::string posix_disk::full(const std::string& path) const {
  return path.empty() ? directory_ : directory_ + "/" + path;
}

result<std::unique_ptr<file>> posix_disk::open(const std::string& path, mode how) {
  std::string name = full(path);
  int descriptor = uninterrupted([&] { return ::open(name.c_str(), flags_of(how), file_mode); });
  if (descriptor < 0 && errno == EINVAL && (flags_of(how) & O_DIRECT) != 0) return open(path, mode::read_write);
  if (descriptor < 0) return failure("cannot open", name, errno);
  auto opened = std::make_unique<posix_file>(descriptor, std::move(name));
  if (how == mode::onwards) opened->go_onwards();
  return std::unique_ptr<file>(std::move(opened));
}

bool posix_disk::exists(const std::string& path) {
  struct stat found {};
  return ::stat(full(path).c_str(), &found) == 0;
}

result<void> posix_disk::make_dir(const std::string& path) {
  std::string name = full(path);
  for (size_t slash = name.find('/', 1); slash != std::string::npos; slash = name.find('/', slash + 1)) {
    auto made = make_one(name.substr(0, slash));
    if (!made) return made;
  }
  return make_one(name);
}

result<std::vector<std::string>> posix_disk::list(const std::string& path) {
  std::string name = full(path);
  std::unique_ptr<DIR, int (*)(DIR*)> open_dir(::opendir(name.c_str()), &::closedir);
  if (!open_dir) return failure("cannot list", name, errno);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(open_dir.get());
    if (entry == nullptr) break;
    std::string_view found = entry->d_name;
    if (found == "." || found == "..") continue;
    names.push_back(is_directory(name, *entry) ? std::string(found) + "/" : std::string(found));
  }
  if (errno != 0) return failure("cannot list", name, errno);
  std::sort(names.begin(), names.end());
  return names;
}

result<void> posix_disk::rename(const std::string& from, const std::string& to) {
  if (::rename(full(from).c_str(), full(to).c_str()) != 0) return failure("cannot rename", full(from), errno);
  return ok();
}

result<void> posix_disk::remove(const std::string& path) {
  std::string name = full(path);
  if (::unlink(name.c_str()) == 0) return ok();
  if (errno == EISDIR && ::rmdir(name.c_str()) == 0) return ok();
  return failure("cannot remove", name, errno);
}

result<void> posix_disk::link(const std::string& from, const std::string& to) {
  if (::link(full(from).c_str(), full(to).c_str()) != 0) return failure("cannot link", full(to), errno);
  return ok();
}

result<uint64_t> posix_disk::names_of(const std::string& path) {
  struct stat found {};
  if (::stat(full(path).c_str(), &found) != 0) return failure("cannot look at", full(path), errno);
  return static_cast<uint64_t>(found.st_nlink);
}

result<void> posix_disk::sync_dir(const std::string& path) {
  std::string name = full(path);
  int descriptor = uninterrupted([&] { return ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) return failure("cannot open directory", name, errno);
  int answer = uninterrupted([&] { return ::fsync(descriptor); });
  int number = errno;
  ::close(descriptor);
  if (answer != 0) return failure("cannot sync directory", name, number);
  return ok();
}

result<uint64_t> posix_disk::free_bytes() {
  struct statvfs found {};
  if (uninterrupted([&] { return ::statvfs(directory_.c_str(), &found); }) != 0) {
    return failure("cannot look at the file system of", directory_, errno);
  }
  return static_cast<uint64_t>(found.f_bavail) * found.f_frsize;
}

}  // namespace weir
