// A closed-loop client for benchmarks: keeps a number of unary gRPC calls open and measures in rounds, so that two
// methods can be compared over the same connections at nearly the same time.
//
// One thread: the calling one. A call that fails, or answers otherwise than expected, ends the program: a benchmark of
// errors means nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/load/h2_connection.h"

namespace weir {

struct load_method {
  std::string path;
  std::vector<std::string> messages;  // sent in turn
  std::string answer_begins;          // the first bytes of every good answer
};

struct load_round {
  uint64_t calls = 0;                  // all of them, those of the ramp included
  uint64_t measured = 0;               // ended between the ramp and the end
  double seconds = 0;                  // of that
  std::vector<uint32_t> latencies_ns;  // of the measured, in order of completion
  double rate() const { return static_cast<double>(measured) / seconds; }
};

class load_client final : private call_sink {
 public:
  load_client(const std::string& target, unsigned connections);

  // One call; returns the answer.
  std::string call(const std::string& path, const std::string& message);
  // Keeps `in_flight` calls open, spread over the connections, for `ramp` (not measured) and `duration`; returns when
  // the last of them has ended.
  load_round run(const load_method& method, unsigned in_flight, std::chrono::nanoseconds ramp,
                 std::chrono::nanoseconds duration);
  // `count` calls, so many of them open at a time: by default one after the other.
  load_round run_count(const load_method& method, uint64_t count, unsigned in_flight = 1);

 private:
  using clock = std::chrono::steady_clock;
  struct slot {
    size_t connection;
    clock::time_point started;
  };

  void done(const call_answer& answer) override;
  void begin(const load_method& method, unsigned in_flight);
  void start(size_t which);
  void start_waiting();
  void receive_some();

  std::vector<std::unique_ptr<h2_connection>> connections_;
  const load_method* method_ = nullptr;
  load_round round_;
  std::vector<slot> slots_;
  std::vector<size_t> waiting_;  // slots that flow control holds back
  size_t next_message_ = 0;
  size_t open_ = 0;
  uint64_t starts_left_ = 0;
  clock::time_point measure_from_;
  clock::time_point end_;
  std::string single_answer_;
};

}  // namespace weir
