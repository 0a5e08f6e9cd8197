// How long a store takes to open, how much it reads and what it holds in memory then.
//
// A child process builds a data directory through the store (appends, checkpoints, a clean close; --dirty: the process
// just ends; --full-journal: it ends when the journal is full, nothing of which is in block files), this one opens it
// and reports. Nothing of it is in the page cache then; beside it the rate at which the same files can be read from end
// to end, which tells how long reading alone would take. WEIR_LONG=1: 10 GB of blocks.
//   bench_cold_start [--messages N] [--payload BYTES] [--streams N] [--subjects N] [--dirty] [--full-journal] [--json]
//                    [--data-root DIRECTORY] [DIRECTORY]
// A DIRECTORY is kept, and used again as it is if it holds a store already; otherwise one is made in the data root.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "net/system_clock.h"
#include "storage/posix_disk.h"
#include "storage/store.h"
#include "tests/sim/inline_lane.h"

namespace weir {
namespace {

constexpr double start_goal_s = 3;
constexpr double reading_goal = 0.8;

struct settings {
  uint64_t messages = std::getenv("WEIR_LONG") != nullptr ? 60'000'000 : 5'000'000;
  size_t payload = 128;
  uint64_t streams = 200;
  uint64_t subjects = 10;
  bool dirty = false;
  bool full_journal = false;
  bool json = false;
  std::string data_root = std::filesystem::temp_directory_path().string();
  std::string directory;
};

// Remembers which logs there are.
class log_list final : public store_client {
 public:
  void attach(store& opening) override { store_ = &opening; }
  std::string encode_state() override {
    std::string bytes(8, '\0');
    store_le<uint64_t>(reinterpret_cast<uint8_t*>(bytes.data()), count);
    return bytes;
  }
  result<void> load_state(byte_span state) override {
    count = load_le<uint64_t>(state.data());
    return ok();
  }
  result<void> apply(stream_id stream, byte_span) override {
    ++count;
    store_->create_log(stream, log_options());
    return ok();
  }
  result<void> adopt(stream_id stream, byte_span) override { return apply(stream, {}); }

  uint64_t count = 0;

 private:
  store* store_ = nullptr;
};

template <class T>
T must(result<T> outcome) {
  if (!outcome) {
    std::fprintf(stderr, "bench_cold_start: %s\n", outcome.err().message.c_str());
    std::_Exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

task<void> keep(task<result<void>> work, result<void>& outcome) {
  outcome = co_await std::move(work);
}
// The lanes do their work at once, so a task has ended when it returns.
result<void> run(task<result<void>> work) {
  result<void> outcome;
  gate running;
  running.spawn(keep(std::move(work), outcome));
  return outcome;
}

// The pool: does the work at once, or never.
class pool_lane final : public lane {
 public:
  void submit(job& next) override {
    if (held) return;
    next.work();
    next.done();
  }
  bool held = false;
};

struct opened_store {
  posix_disk where;
  inline_lane lane;
  pool_lane pool;
  system_clock clock;
  log_list client;
  std::unique_ptr<store> it;

  explicit opened_store(const std::string& directory) : where(directory) {
    must(where.make_dir(""));
    it = must(store::open(where, lane, pool, clock, "shard", store_config(), client));
  }
};

// disk_full: the journal takes no more.
result<void> append(const settings& wanted, opened_store& s, uint64_t i, const std::string& payload) {
  stream_log& log = *s.it->log(stream_id(1 + i % wanted.streams));
  std::string subject = "orders." + std::to_string(i / wanted.streams % wanted.subjects);
  record_fields fields{subject, wall_ms(1'700'000'000'000 + static_cast<int64_t>(i)), {}, as_bytes(payload)};
  size_t bytes = log.append_bytes(fields);
  if (!s.it->log_journal().has_room(bytes)) {
    s.it->flush();
    if (s.pool.held && !s.it->log_journal().has_room(bytes)) return fail(errc::disk_full, "the journal is full");
    must(run(s.it->log_journal().room(bytes, false)));
  }
  log.append(fields, 0);
  if (i % 20'000 == 0) s.it->flush();
  return ok();
}

void build(const settings& wanted) {
  opened_store s(wanted.directory);
  for (uint64_t i = 1; i <= wanted.streams; ++i) {
    stream_id id(i);
    must(run(s.it->log_journal().room(1, false)));
    s.it->append_state(id, as_bytes("c"));
    must(s.client.apply(id, {}));
  }
  std::string payload(wanted.payload, 'x');
  for (uint64_t i = 0; i < wanted.messages; ++i) must(append(wanted, s, i, payload));
  s.it->flush();
  if (wanted.full_journal) {
    s.pool.held = true;
    for (uint64_t i = wanted.messages; append(wanted, s, i, payload); ++i) {
    }
    std::_Exit(0);
  }
  if (wanted.dirty) std::_Exit(0);
  must(run(s.it->close()));
}

void build_in_child(const settings& wanted) {
  pid_t child = ::fork();
  if (child == 0) {
    build(wanted);
    std::_Exit(0);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) std::exit(1);
}

uint64_t proc_number(const char* path, const std::string& key) {
  std::ifstream from(path);
  std::string line;
  while (std::getline(from, line)) {
    if (line.starts_with(key)) return std::strtoull(line.c_str() + key.size(), nullptr, 10);
  }
  return 0;
}

uint64_t directory_bytes(const std::string& path) {
  uint64_t total = 0;
  for (const auto& each : std::filesystem::recursive_directory_iterator(path)) {
    if (each.is_regular_file()) total += each.file_size();
  }
  return total;
}

std::vector<std::string> files_of(const std::string& path) {
  std::vector<std::string> files;
  for (const auto& each : std::filesystem::recursive_directory_iterator(path)) {
    if (each.is_regular_file()) files.push_back(each.path());
  }
  return files;
}

// The next to read these files reads the disk.
void forget_cached(const std::vector<std::string>& files) {
  for (const std::string& each : files) {
    int opened = ::open(each.c_str(), O_RDONLY | O_CLOEXEC);
    ::fdatasync(opened);
    ::posix_fadvise(opened, 0, 0, POSIX_FADV_DONTNEED);
    ::close(opened);
  }
}

// Bytes a second, of up to a gigabyte, the journal first.
double sequential_read_rate(std::vector<std::string> files) {
  constexpr uint64_t enough = 1 << 30;
  std::sort(files.begin(), files.end(), [](const std::string& left, const std::string& right) {
    return left.ends_with(".wj") > right.ends_with(".wj");
  });
  std::vector<char> buffer(1 << 20);
  uint64_t bytes = 0;
  auto start = std::chrono::steady_clock::now();
  for (size_t i = 0; i < files.size() && bytes < enough; ++i) {
    int opened = ::open(files[i].c_str(), O_RDONLY | O_CLOEXEC);
    for (ssize_t n = 0; (n = ::read(opened, buffer.data(), buffer.size())) > 0;) bytes += static_cast<uint64_t>(n);
    ::close(opened);
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return static_cast<double>(bytes) / seconds;
}

void measure(const settings& wanted) {
  std::vector<std::string> files = files_of(wanted.directory);
  forget_cached(files);
  double rate = sequential_read_rate(files);
  forget_cached(files);
  uint64_t read_before = proc_number("/proc/self/io", "rchar:");
  uint64_t rss_before = proc_number("/proc/self/status", "VmRSS:");
  auto start = std::chrono::steady_clock::now();
  opened_store s(wanted.directory);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  uint64_t read = proc_number("/proc/self/io", "rchar:") - read_before;
  uint64_t rss = proc_number("/proc/self/status", "VmRSS:");
  uint64_t messages = 0;
  for (uint64_t i = 1; i <= wanted.streams; ++i) messages += s.it->log(stream_id(i))->stats().count;
  double mib = 1024.0 * 1024.0;
  double share = static_cast<double>(read) / rate / seconds;
  std::printf(wanted.json ? "{\"messages\": %llu, \"streams\": %llu, \"seconds\": %.3f, \"read_mib\": %.1f, "
                            "\"directory_mib\": %.1f, \"rss_mib\": %.1f, \"rss_before_mib\": %.1f, "
                            "\"disk_mib_per_s\": %.0f, \"reading_share\": %.2f}\n"
                          : "%llu messages in %llu streams opened in %.3f s; %.1f MiB read of %.1f MiB; "
                            "resident %.1f MiB (%.1f before); the disk reads %.0f MiB/s, so reading alone is %.2f of "
                            "the time",
              static_cast<unsigned long long>(messages), static_cast<unsigned long long>(wanted.streams), seconds,
              static_cast<double>(read) / mib, static_cast<double>(directory_bytes(wanted.directory)) / mib,
              static_cast<double>(rss) / 1024, static_cast<double>(rss_before) / 1024, rate / mib, share);
  if (!wanted.json) std::printf(" (goal <= %.0f s, or >= %.2f)\n", start_goal_s, reading_goal);
  for (const std::string& note : s.it->report().notes) std::printf("note: %s\n", note.c_str());
  std::fflush(stdout);
  std::_Exit(wanted.full_journal ? messages > wanted.messages ? 0 : 1 : messages == wanted.messages ? 0 : 1);
}

int run_bench(int argc, char** argv) {
  settings wanted;
  for (int i = 1; i < argc; ++i) {
    std::string option = argv[i];
    auto number = [&] { return i + 1 < argc ? std::strtoull(argv[++i], nullptr, 10) : 0; };
    if (option == "--messages") {
      wanted.messages = number();
    } else if (option == "--payload") {
      wanted.payload = number();
    } else if (option == "--streams") {
      wanted.streams = number();
    } else if (option == "--subjects") {
      wanted.subjects = number();
    } else if (option == "--dirty") {
      wanted.dirty = true;
    } else if (option == "--full-journal") {
      wanted.full_journal = true;
    } else if (option == "--data-root" && i + 1 < argc) {
      wanted.data_root = argv[++i];
    } else if (option == "--json") {
      wanted.json = true;
    } else if (!option.starts_with("-")) {
      wanted.directory = option;
    } else {
      std::fprintf(stderr, "bench_cold_start: unknown option %s\n", option.c_str());
      return 2;
    }
  }
  if (wanted.messages == 0 || wanted.streams == 0 || wanted.subjects == 0) {
    std::fprintf(stderr, "bench_cold_start: --messages, --streams and --subjects take a number above 0\n");
    return 2;
  }
  bool own = wanted.directory.empty();
  if (own) {
    wanted.directory = wanted.data_root + "/weir-bench-XXXXXX";
    if (::mkdtemp(wanted.directory.data()) == nullptr) {
      std::fprintf(stderr, "bench_cold_start: cannot make a directory in %s\n", wanted.data_root.c_str());
      return 1;
    }
  }
  if (!std::filesystem::exists(wanted.directory + "/shard")) build_in_child(wanted);
  pid_t child = ::fork();
  if (child == 0) measure(wanted);
  int status = 0;
  bool ended = ::waitpid(child, &status, 0) == child && WIFEXITED(status);
  std::error_code ignored;
  if (own) std::filesystem::remove_all(wanted.directory, ignored);
  return ended ? WEXITSTATUS(status) : 1;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::run_bench(argc, argv);
}
