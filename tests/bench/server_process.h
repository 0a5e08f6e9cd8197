// A weir-server in a process of its own, with a data directory of its own, for benchmarks: started until it says that
// it is ready, looked at from outside, stopped and cleaned up with the object.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weir {

struct server_settings {
  std::string program;
  std::vector<std::string> arguments;  // beside --listen, --admin and --data
  std::string data_root;               // where the data directory is made; removed at the end
  std::optional<int> cpu;              // the only one it may use; absent: any
  bool quiet = true;                   // drop its log
};

class server_process {
 public:
  // Returns when the server is ready; ends the program (stop_bench) if it is not within a minute.
  explicit server_process(const server_settings& settings);
  // SIGTERM, and SIGKILL if that takes more than half a minute.
  ~server_process();
  server_process(const server_process&) = delete;

  const std::string& listen() const { return listen_; }
  pid_t pid() const { return pid_; }

  // Stops it and starts it again on its data; with `kill`, by SIGKILL. Returns the seconds from the start until it was
  // ready.
  double restart(bool kill);

  // Time on a processor of each thread by name; threads of one name are summed, those that have ended are not counted.
  std::map<std::string, double> thread_seconds() const;
  double cpu_seconds() const;
  uint64_t resident_bytes() const;
  // The value of a metric at the admin address, summed over its labels; none if the server does not have it.
  std::optional<double> metric(const std::string& name) const;

 private:
  void start();
  void stop(int signal);
  void wait_until_ready();

  server_settings settings_;
  std::string data_root_;
  std::string listen_;
  std::string admin_;
  std::string data_;
  pid_t pid_ = -1;
  int output_ = -1;  // open as long as the server may write to it
};

// Allows the calling process only this processor.
void pin_this_process(int cpu);
// In a child before it becomes a server: this processor, or any, whatever the benchmark allows itself. Calls only what
// is safe there.
void allow_cpus(std::optional<int> only);
uint64_t resident_bytes_of(pid_t process);

}  // namespace weir
