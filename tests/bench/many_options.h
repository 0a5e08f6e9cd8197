// What bench_lane and bench_scale have in common: frames to many streams, or to many subjects, against one.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace weir {

struct many_options {
  std::string only;
  uint64_t messages = 2'000'000;
  unsigned rounds = 5;
  size_t records = 256;
  size_t payload_bytes = 128;
  unsigned streams = 1000;
  uint64_t subjects = 1'000'000;
  bool json = false;
};

inline constexpr double many_ratio_goal = 0.7;

inline void add_many_options(CLI::App& app, many_options& chosen, const std::vector<std::string>& cases) {
  app.add_option("--only", chosen.only, "one of the cases")->check(CLI::IsMember(cases));
  app.add_option("--messages", chosen.messages, "of one round")->check(CLI::Range(1'000, 100'000'000));
  app.add_option("--rounds", chosen.rounds, "rounds of each")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--frame", chosen.records, "messages a frame")->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--size", chosen.payload_bytes, "payload bytes")->check(CLI::Range(0, 16000))->capture_default_str();
  app.add_option("--streams", chosen.streams, "streams")->check(CLI::Range(2, 100'000))->capture_default_str();
  app.add_option("--subjects", chosen.subjects, "subjects")->check(CLI::Range(1'000, 9'999'999));
  app.add_flag("--json", chosen.json, "one JSON object instead of text");
}

// Of a message: the same length for each number.
inline void numbered_subject(uint64_t number, std::string& subject) {
  subject = "fleet.0000000.position";
  for (size_t at = subject.find('.', 6); number != 0; number /= 10)
    subject[--at] = static_cast<char>('0' + number % 10);
}

inline void one_subject(uint64_t, std::string& subject) {
  numbered_subject(0, subject);
}

// One of `count` subjects by chance, the same ones each time.
inline auto random_subject(uint64_t count) {
  return [state = uint64_t{1}, count](uint64_t, std::string& to) mutable {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    numbered_subject((state >> 33) % count, to);
  };
}

}  // namespace weir
