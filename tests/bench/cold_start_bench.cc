// How long a store takes to open, how much it reads and what it holds in memory then.
//
// A child process builds a data directory through the store (appends, checkpoints, a clean close; --dirty: the process
// just ends), this one opens it and reports.
//   bench_cold_start [--messages N] [--payload BYTES] [--streams N] [--subjects N] [--dirty] [--json] [DIRECTORY]
// A DIRECTORY is kept, and used again as it is if it holds a store already.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "storage/posix_disk.h"
#include "storage/store.h"
#include "tests/sim/inline_lane.h"
#include "tests/sim/temp_dir.h"

namespace weir {
namespace {

struct settings {
  uint64_t messages = 5'000'000;
  size_t payload = 128;
  uint64_t streams = 200;
  uint64_t subjects = 10;
  bool dirty = false;
  bool json = false;
  std::string directory;
};

class real_clock final : public clock_port {
 public:
  mono_ns mono() override { return mono_ns(std::chrono::steady_clock::now().time_since_epoch().count()); }
  wall_ms wall() override { return wall_ms(mono().raw() / 1'000'000); }
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

struct opened_store {
  posix_disk where;
  inline_lane lane;
  real_clock clock;
  log_list client;
  std::unique_ptr<store> it;

  explicit opened_store(const std::string& directory) : where(directory) {
    must(where.make_dir(""));
    it = must(store::open(where, lane, lane, clock, "shard", store_config(), client));
  }
};

void build(const settings& wanted) {
  opened_store s(wanted.directory);
  for (uint64_t i = 1; i <= wanted.streams; ++i) {
    stream_id id(i);
    must(run(s.it->log_journal().room(1, false)));
    s.it->append_state(id, as_bytes("c"));
    must(s.client.apply(id, {}));
  }
  std::string payload(wanted.payload, 'x');
  for (uint64_t i = 0; i < wanted.messages; ++i) {
    stream_log& log = *s.it->log(stream_id(1 + i % wanted.streams));
    std::string subject = "orders." + std::to_string(i / wanted.streams % wanted.subjects);
    record_fields fields{subject, wall_ms(1'700'000'000'000 + static_cast<int64_t>(i)), {}, as_bytes(payload)};
    size_t bytes = log.append_bytes(fields);
    if (!s.it->log_journal().has_room(bytes)) must(run(s.it->log_journal().room(bytes, false)));
    log.append(fields, 0);
    if (i % 20'000 == 0) s.it->flush();
  }
  s.it->flush();
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

void measure(const settings& wanted) {
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
  std::printf(wanted.json ? "{\"messages\": %llu, \"streams\": %llu, \"seconds\": %.3f, \"read_mib\": %.1f, "
                            "\"directory_mib\": %.1f, \"rss_mib\": %.1f, \"rss_before_mib\": %.1f}\n"
                          : "%llu messages in %llu streams opened in %.3f s; %.1f MiB read of %.1f MiB; "
                            "resident %.1f MiB (%.1f before)\n",
              static_cast<unsigned long long>(messages), static_cast<unsigned long long>(wanted.streams), seconds,
              static_cast<double>(read) / mib, static_cast<double>(directory_bytes(wanted.directory)) / mib,
              static_cast<double>(rss) / 1024, static_cast<double>(rss_before) / 1024);
  for (const std::string& note : s.it->report().notes) std::printf("note: %s\n", note.c_str());
  std::fflush(stdout);
  std::_Exit(messages == wanted.messages ? 0 : 1);
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
  std::optional<temp_dir> own;
  if (wanted.directory.empty()) {
    own.emplace();
    wanted.directory = own->path();
  }
  if (!std::filesystem::exists(wanted.directory + "/shard")) build_in_child(wanted);
  pid_t child = ::fork();
  if (child == 0) measure(wanted);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::run_bench(argc, argv);
}
