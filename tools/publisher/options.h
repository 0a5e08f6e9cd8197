// What weir-publisher was asked to do: its command line, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir {

enum class publish_mode : uint8_t {
  unary,  // a call a message
  batch,  // the fast lane: many records a frame
};

struct publisher_options {
  std::string server = "127.0.0.1:7460";
  publish_mode mode = publish_mode::unary;
  std::string stream;
  uint64_t streams = 1;  // several: NAME-1, NAME-2, ...
  std::string subject;   // `{n}` = message number modulo `subjects`
  uint64_t subjects = 1;
  std::string input;         // a file, `-` = standard input, empty = generated payloads
  uint64_t size = 128;       // bytes of a generated payload
  uint64_t count = 0;        // 0 = no bound
  double duration_s = 0;     // 0 = no bound
  double rate = 0;           // messages a second, 0 = full speed
  uint64_t in_flight = 256;  // messages
  uint64_t batch = 256;      // records a frame, at most
  uint64_t connections = 1;
  uint64_t errors_max = 1000;
  std::string durability = "default";
  bool create = true;
  bool retry = false;
  bool verify = false;
  bool consume = false;
  std::string plot;  // a file; empty = none
  bool json = false;
  bool quiet = false;
};

// Fills `options` from the command line. A value means that the program is done (help was asked for, or one line on
// standard error says which option is wrong and what it takes) and is its exit code.
std::optional<int> parse_options(int argc, const char* const* argv, publisher_options& options);

// NAME, or NAME-1, NAME-2, ... if there are several.
std::vector<std::string> stream_names(const publisher_options& options);

}  // namespace weir
