#include "tools/publisher/options.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "tools/flags.h"

namespace weir {
namespace {

constexpr uint64_t size_max = 64ull << 20;
constexpr uint64_t in_flight_max = 65536;
constexpr uint64_t connections_max = 256;
constexpr uint64_t subjects_max = 1'000'000'000;
constexpr uint64_t streams_max = 10'000;
constexpr uint64_t batch_max = 65536;
constexpr double rate_min = 0.001;  // but for 0
constexpr uint64_t default_frames_in_flight = 16;
constexpr double default_duration_s = 10;

// What each option alone allows and together makes no sense; empty: nothing.
std::string contradiction(const CLI::App& app, const publisher_options& options) {
  const bool batch = options.mode == publish_mode::batch;
  if (!batch && app.count("--batch") > 0) return "--batch goes with --mode batch only";
  if (options.rate > 0 && options.rate < rate_min) {
    return fmt::format("--rate takes 0, or at least {}, not '{}'", rate_min, options.rate);
  }
  if (app.count("--input") > 0 && options.input.empty()) return "--input takes a file, not ''";
  if (app.count("--plot") > 0 && options.plot.empty()) return "--plot takes a file, not ''";
  if (batch && options.retry) return "--retry goes with --mode unary only";
  if (batch && options.in_flight < options.batch) {
    return fmt::format("--in-flight takes at least --batch, {}, not '{}'", options.batch, options.in_flight);
  }
  if (app.count("--subjects") > 0 && options.subject.find("{n}") == std::string::npos) {
    return "--subjects goes with a --subject that has {n} in it";
  }
  return "";
}

}  // namespace

std::optional<int> parse_options(int argc, const char* const* argv, publisher_options& options) {
  CLI::App app("Publishes to a weir stream: the lines of a file, or generated payloads, as a load test.",
               "weir-publisher");
  add_server(app, options.server);
  std::string mode = "unary";
  app.add_option("--mode", mode, "unary (default): a call a message; batch: the fast lane, many messages a frame")
      ->type_name("MODE")
      ->check(CLI::IsMember({"unary", "batch"}));
  app.add_option("--stream", options.stream, "the name of the stream")->type_name("NAME")->required();
  add_count(app, "--streams", options.streams, 1, streams_max,
            "spread over that many streams: NAME-1, NAME-2, ... (default 1: NAME)");
  app.add_flag("--create,!--no-create", options.create, "create the stream if it is missing (default)");
  app.add_option("--durability", options.durability, "default, memory, written or fsync; for a stream created here")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"default", "memory", "written", "fsync"}));
  app.add_option("--subject", options.subject,
                 "a subject; {n} is the message number modulo --subjects (default: --stream)")
      ->type_name("SUBJECT");
  add_count(app, "--subjects", options.subjects, 1, subjects_max, "how many subjects {n} makes");
  app.add_option("--input", options.input, "a file, a line a message; - is standard input")->type_name("FILE");
  add_count(app, "--size", options.size, 0, size_max, "bytes of a generated payload (default 128)");
  add_count(app, "--count", options.count, 1, UINT64_MAX, "stop after this many messages");
  add_number(app, "--duration", options.duration_s, 0.001, 1e9,
             "stop after this many seconds (default 10 if generated)");
  add_number(app, "--rate", options.rate, 0, 1e7,
             "messages a second, 0 is full speed; latency then counts from the "
             "moment a message was due");
  add_count(app, "--in-flight", options.in_flight, 1, in_flight_max,
            "unanswered messages at a time (default 256; with --mode batch 16 frames); 1 keeps the order of the file");
  add_count(app, "--batch", options.batch, 1, batch_max, "with --mode batch: messages a frame (default 256)");
  add_count(app, "--connections", options.connections, 1, connections_max,
            "connections to spread them over (default 1)");
  add_count(app, "--errors-max", options.errors_max, 1, UINT64_MAX, "give up after this many errors (default 1000)");
  app.add_flag("--retry", options.retry, "send again what may succeed later; a lost answer may store a message twice");
  app.add_flag("--verify", options.verify, "read everything back, compare bytes and order, acknowledge");
  app.add_flag("--consume", options.consume,
               "consume and acknowledge at the same time, by the same mode; measures from publish to delivery");
  app.add_option("--plot", options.plot, "a file for an SVG: throughput and latency percentiles over time")
      ->type_name("FILE");
  app.add_flag("--json", options.json, "print the report as one JSON object");
  app.add_flag("--quiet", options.quiet, "no progress line");

  if (const auto done = parse_flags(app, argc, argv)) return done;
  if (mode == "batch") options.mode = publish_mode::batch;
  if (options.mode == publish_mode::batch && app.count("--in-flight") == 0) {
    options.in_flight = std::min(default_frames_in_flight * options.batch, in_flight_max);
  }
  if (const std::string wrong = contradiction(app, options); !wrong.empty()) {
    fmt::print(stderr, "weir-publisher: {}\n", wrong);
    return 2;
  }
  if (options.subject.empty()) options.subject = options.stream;
  if (options.input.empty() && options.count == 0 && options.duration_s == 0) options.duration_s = default_duration_s;
  return std::nullopt;
}

std::vector<std::string> stream_names(const publisher_options& options) {
  if (options.streams == 1) return {options.stream};
  std::vector<std::string> names;
  for (uint64_t n = 1; n <= options.streams; ++n) names.push_back(fmt::format("{}-{}", options.stream, n));
  return names;
}

}  // namespace weir
