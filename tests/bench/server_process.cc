#include "tests/bench/server_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tools/load/bench_report.h"
#include "tools/load/tcp_connect.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds start_limit{60};
constexpr std::chrono::seconds stop_limit{30};

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

// In the child, before the server runs: only async-signal-safe calls.
[[noreturn]] void become_server(const server_settings& settings, char* const* arguments, int output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  allow_cpus(settings.cpu);
  ::dup2(output, STDOUT_FILENO);
  if (settings.quiet) {
    int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, STDERR_FILENO);
  }
  ::execv(settings.program.c_str(), arguments);
  ::_exit(127);
}

std::string word_after(const std::string& line, const std::string& key) {
  size_t at = line.find(' ' + key + '=');
  if (at == std::string::npos) stop_bench("the ready line has no " + key + ": " + line);
  size_t from = at + key.size() + 2;
  return line.substr(from, line.find(' ', from) - from);
}

std::string http_get(const std::string& address, const std::string& path) {
  std::string answer;
  const result<int> made = connect_tcp(address);
  if (!made) return answer;
  std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
  (void)!::write(*made, request.data(), request.size());
  char part[4096];
  for (ssize_t n = 0; (n = ::read(*made, part, sizeof part)) > 0;) answer.append(part, static_cast<size_t>(n));
  ::close(*made);
  return answer;
}

}  // namespace

server_process::server_process(const server_settings& settings) : settings_(settings) {
  if (::access(settings.program.c_str(), X_OK) != 0) stop_bench("no program " + settings.program);
  std::string pattern = settings.data_root + "/weir-bench-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    stop_bench("cannot make a directory in " + settings.data_root + ": " + std::strerror(errno));
  }
  data_root_ = pattern;
  data_ = data_root_ + "/data";
  start();
}

void server_process::start() {
  std::vector<std::string> words = {settings_.program, "--listen", "127.0.0.1:0", "--admin",
                                    "127.0.0.1:0",     "--data",   data_};
  words.insert(words.end(), settings_.arguments.begin(), settings_.arguments.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) stop_bench("no pipe");
  pid_ = ::fork();
  if (pid_ == 0) become_server(settings_, arguments.data(), ends[1]);
  ::close(ends[1]);
  output_ = ends[0];
  wait_until_ready();
}

void server_process::wait_until_ready() {
  std::string said;
  const clock::time_point limit = clock::now() + start_limit;
  while (said.find('\n') == std::string::npos) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(limit - clock::now()).count();
    pollfd watched{output_, POLLIN, 0};
    char part[1024];
    ssize_t n = left > 0 && ::poll(&watched, 1, static_cast<int>(left)) > 0 ? ::read(output_, part, sizeof part) : 0;
    if (n <= 0) {
      std::string said_so_far = said;
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      std::error_code ignored;
      fs::remove_all(data_root_, ignored);
      stop_bench("the server did not become ready; it said: " + said_so_far);
    }
    said.append(part, static_cast<size_t>(n));
  }
  said.resize(said.find('\n'));
  listen_ = word_after(said, "listen");
  admin_ = word_after(said, "admin");
}

double server_process::restart(bool kill) {
  stop(kill ? SIGKILL : SIGTERM);
  const clock::time_point begun = clock::now();
  start();
  return std::chrono::duration<double>(clock::now() - begun).count();
}

void server_process::stop(int signal) {
  ::kill(pid_, signal);
  const clock::time_point limit = clock::now() + stop_limit;
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (clock::now() > limit) {
      std::fprintf(stderr, "the server did not stop in time; killed\n");
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::close(output_);
}

server_process::~server_process() {
  stop(SIGTERM);
  std::error_code ignored;
  fs::remove_all(data_root_, ignored);
}

std::map<std::string, double> server_process::thread_seconds() const {
  std::map<std::string, double> used;
  std::error_code gone;
  for (const auto& thread : fs::directory_iterator("/proc/" + std::to_string(pid_) + "/task", gone)) {
    std::istringstream numbers(first_line(thread.path() / "schedstat"));
    uint64_t nanoseconds = 0;
    if (numbers >> nanoseconds) used[first_line(thread.path() / "comm")] += static_cast<double>(nanoseconds) * 1e-9;
  }
  return used;
}

double server_process::cpu_seconds() const {
  double sum = 0;
  for (const auto& [name, seconds] : thread_seconds()) sum += seconds;
  return sum;
}

uint64_t server_process::resident_bytes() const {
  return resident_bytes_of(pid_);
}

std::optional<double> server_process::metric(const std::string& name) const {
  std::istringstream lines(http_get(admin_, "/metrics"));
  std::optional<double> sum;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name) || (line[name.size()] != ' ' && line[name.size()] != '{')) continue;
    sum = sum.value_or(0) + std::stod(line.substr(line.rfind(' ')));
  }
  return sum;
}

uint64_t resident_bytes_of(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoull(line.substr(6)) * 1024;
  }
  stop_bench("the server is gone");
}

void allow_cpus(std::optional<int> only) {
  if (only) return pin_this_process(*only);
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);
  (void)::sched_setaffinity(0, sizeof all, &all);
}

void pin_this_process(int cpu) {
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  CPU_SET(static_cast<size_t>(cpu), &wanted);
  (void)::sched_setaffinity(0, sizeof wanted, &wanted);
}

}  // namespace weir
