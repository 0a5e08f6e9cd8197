// Where the processor time of a running server goes: samples by perf, sorted into our code, gRPC and its libraries,
// protobuf, libc, libstdc++, the kernel.
//
// A sample counts for the function whose code it hit, so what the compiler inlined counts for the function it ended up
// in, and what our code calls in a library counts for the library.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace weir {

struct profile_line {
  double percent = 0;
  std::string object;  // file name of the program or library
  std::string symbol;
  std::string owner;  // weir, gRPC, protobuf, ...
};

struct server_profile {
  std::vector<profile_line> lines;  // hottest first
  std::map<std::string, double> percent_by_owner;
};

// Samples one process from construction to finish(). Needs Debian's linux-perf.
class profile_recorder {
 public:
  explicit profile_recorder(pid_t server);
  ~profile_recorder();
  profile_recorder(const profile_recorder&) = delete;

  server_profile finish();

 private:
  std::string file_;
  pid_t perf_ = -1;
};

}  // namespace weir
