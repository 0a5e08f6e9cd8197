#include "net/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace weir {
namespace {

constexpr unsigned format_version = 1;
constexpr const char* first_line = "weir data directory";

error io_fault(const std::string& what, const std::string& path) {
  return fail(errc::storage_failed, "cannot " + what + " " + path + ": " + std::strerror(errno));
}

result<int> take_lock(const std::string& path) {
  std::string lock_path = path + "/LOCK";
  int descriptor = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return io_fault("open", lock_path);
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 32> holder{};
    ssize_t size = pread(descriptor, holder.data(), holder.size() - 1, 0);
    close(descriptor);
    std::string pid(holder.data(), size > 0 ? static_cast<size_t>(size) : 0);
    pid.erase(pid.find_last_not_of('\n') + 1);
    return fail(errc::locked, "data directory " + path + " is in use by process " + (pid.empty() ? "(unknown)" : pid));
  }
  std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, pid.data(), pid.size(), 0) < 0) {
    error fault = io_fault("write", lock_path);
    close(descriptor);
    return fault;
  }
  return descriptor;
}

// The number of shards; absent for a directory that was never used.
result<std::optional<unsigned>> read_format(const std::string& path) {
  std::ifstream in(path + "/FORMAT");
  if (!in) {
    std::error_code fault;
    for (const auto& entry : std::filesystem::directory_iterator(path, fault)) {
      std::string name = entry.path().filename().string();
      if (name == "LOCK" || name == "FORMAT.new") continue;
      return fail(errc::foreign_directory,
                  path + " is not a weir data directory: it has no FORMAT file but contains '" + name + "'");
    }
    if (fault) return fail(errc::storage_failed, "cannot read " + path + ": " + fault.message());
    return std::optional<unsigned>();
  }
  std::string title, word;
  unsigned version = 0;
  unsigned shards = 0;
  std::getline(in, title);
  if (title != first_line || !(in >> word >> version) || word != "format") {
    return fail(errc::foreign_directory, path + " is not a weir data directory: its FORMAT file says something else");
  }
  if (version != format_version) {
    return fail(errc::foreign_directory, path + " has format " + std::to_string(version) + ", this version reads " +
                                             std::to_string(format_version));
  }
  if (!(in >> word >> shards) || word != "shards" || shards == 0) {
    return fail(errc::foreign_directory, path + " has a damaged FORMAT file: no shard count");
  }
  return std::optional<unsigned>(shards);
}

bool write_synced(const std::string& path, const std::string& text) {
  int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return false;
  bool good =
      write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(descriptor) == 0;
  close(descriptor);
  return good;
}

bool sync_folder(const std::string& path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return false;
  bool good = fsync(descriptor) == 0;
  close(descriptor);
  return good;
}

result<void> write_format(const std::string& path, unsigned shards) {
  std::ostringstream text;
  text << first_line << "\nformat " << format_version << "\nshards " << shards << "\n";
  std::string fresh = path + "/FORMAT.new";
  if (!write_synced(fresh, text.str()) || rename(fresh.c_str(), (path + "/FORMAT").c_str()) != 0 ||
      !sync_folder(path)) {
    return io_fault("write FORMAT in", path);
  }
  return ok();
}

}  // namespace

data_directory::data_directory(data_directory&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)), shards_(other.shards_) {}

data_directory::~data_directory() {
  if (lock_ >= 0) close(lock_);
}

result<data_directory> data_directory::open(const std::string& path, std::optional<unsigned> shards,
                                            unsigned shards_default) {
  std::error_code fault;
  std::filesystem::create_directories(path, fault);
  if (fault) return fail(errc::storage_failed, "cannot make data directory " + path + ": " + fault.message());
  // A foreign folder is looked at before our lock file is put into it.
  auto known = read_format(path);
  if (!known) return std::move(known).err();
  auto lock = take_lock(path);
  if (!lock) return std::move(lock).err();
  data_directory opened(path, *lock);
  known = read_format(path);  // another process may have made it meanwhile
  if (!known) return std::move(known).err();
  if (*known && shards && **known != *shards) {
    return fail(errc::foreign_directory, "data directory " + path + " has " + std::to_string(**known) +
                                             " shards, not the " + std::to_string(*shards) + " of --shards");
  }
  opened.shards_ = *known ? **known : shards.value_or(shards_default);
  if (!*known) {
    result<void> written = write_format(path, opened.shards_);
    if (!written) return std::move(written).err();
  }
  return opened;
}

}  // namespace weir
