#include "tests/bench/server_profile.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "tools/load/bench_report.h"

namespace weir {
namespace {

// Threads other than the reactor, and the pieces of gRPC that have C names, make symbols no guide in the program
// itself: what is neither ours nor protobuf's there is gRPC or a library it is linked with (abseil, c-ares, re2).
std::string owner_of(const std::string& object, const std::string& symbol) {
  if (object.starts_with("[") || symbol.starts_with("[k]")) return "kernel";
  if (object.starts_with("libc.") || object.starts_with("ld-linux") || object.starts_with("libm.")) return "libc";
  if (object.starts_with("libstdc++") || object.starts_with("libgcc")) return "libstdc++";
  if (object.starts_with("libisal")) return "isa-l";
  if (object.starts_with("libprotobuf")) return "protobuf";
  if (object.starts_with("lib")) return "other libraries";
  bool generated = symbol.find("weir::v1::") != std::string::npos || symbol.find("waymaker::") != std::string::npos;
  if (generated || symbol.find("google::protobuf") != std::string::npos) return "protobuf";
  if (symbol.find("weir::") != std::string::npos) return "weir";
  return "gRPC";
}

// "  1.23%\tweir-server\t[.] weir::call::on_read(bool)"
bool parse_line(const std::string& line, profile_line& out) {
  size_t first = line.find('\t');
  size_t second = first == std::string::npos ? first : line.find('\t', first + 1);
  if (line.empty() || line[0] == '#' || second == std::string::npos) return false;
  auto trimmed = [](std::string text) {
    text.erase(0, text.find_first_not_of(' '));
    text.erase(text.find_last_not_of(" \n") + 1);
    return text;
  };
  out.percent = std::strtod(line.c_str(), nullptr);
  out.object = trimmed(line.substr(first + 1, second - first - 1));
  out.symbol = trimmed(line.substr(second + 1, line.find('\t', second + 1) - second - 1));
  out.owner = owner_of(out.object, out.symbol);
  if (out.symbol.size() > 4 && out.symbol[0] == '[') out.symbol.erase(0, 4);
  return true;
}

}  // namespace

profile_recorder::profile_recorder(pid_t server) {
  file_ = (std::filesystem::temp_directory_path() / ("weir-bench-" + std::to_string(::getpid()) + ".perf")).string();
  std::string target = std::to_string(server);
  perf_ = ::fork();
  if (perf_ == 0) {
    int nowhere = ::open("/dev/null", O_RDWR);
    ::dup2(nowhere, STDOUT_FILENO);
    ::dup2(nowhere, STDERR_FILENO);
    // The clock, not the cycle counter: virtual machines often have none.
    ::execlp("perf", "perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-p", target.c_str(), "-o", file_.c_str(),
             nullptr);
    ::_exit(127);
  }
}

profile_recorder::~profile_recorder() {
  if (perf_ > 0) {
    ::kill(perf_, SIGKILL);
    ::waitpid(perf_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

server_profile profile_recorder::finish() {
  ::kill(perf_, SIGINT);
  int ended = 0;
  ::waitpid(perf_, &ended, 0);
  perf_ = -1;
  if (WIFEXITED(ended) && WEXITSTATUS(ended) == 127) stop_bench("perf is not installed (Debian: linux-perf)");
  std::string command = "perf report --stdio -q -i '" + file_ + "' --no-children --sort dso,symbol -t '\t' 2>/dev/null";
  std::FILE* report = ::popen(command.c_str(), "r");
  if (report == nullptr) stop_bench("cannot run perf report");
  server_profile made;
  char* line = nullptr;
  size_t room = 0;
  profile_line parsed;
  while (::getline(&line, &room, report) > 0) {
    if (!parse_line(line, parsed)) continue;
    made.percent_by_owner[parsed.owner] += parsed.percent;
    made.lines.push_back(parsed);
  }
  std::free(line);
  ::pclose(report);
  if (made.lines.empty()) stop_bench("perf recorded nothing (is kernel.perf_event_paranoid above 2?)");
  return made;
}

}  // namespace weir
