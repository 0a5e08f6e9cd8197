#include "tools/publisher/options.h"

#include <doctest/doctest.h>

#include <vector>

namespace weir {
namespace {

std::optional<int> parse(std::vector<const char*> arguments, publisher_options& options) {
  arguments.insert(arguments.begin(), "weir-publisher");
  return parse_options(static_cast<int>(arguments.size()), arguments.data(), options);
}

TEST_CASE("publisher options: the stream alone is enough; the subject is its name, the load ends by itself") {
  publisher_options options;
  REQUIRE(!parse({"--stream", "logs"}, options));
  CHECK(options.server == "127.0.0.1:7460");
  CHECK(options.subject == "logs");
  CHECK(options.duration_s == 10);
  CHECK(options.create);
  CHECK(options.in_flight == 256);
}

TEST_CASE("publisher options: a file or a count sets its own end") {
  publisher_options file;
  REQUIRE(!parse({"--stream", "logs", "--input", "-"}, file));
  CHECK(file.duration_s == 0);
  publisher_options count;
  REQUIRE(!parse({"--stream", "logs", "--count", "5", "--no-create"}, count));
  CHECK(count.duration_s == 0);
  CHECK(count.count == 5);
  CHECK(!count.create);
}

TEST_CASE("publisher options: what does not fit ends the program with 2") {
  const std::vector<std::vector<const char*>> bad = {
      {},
      {"--stream"},
      {"--stream", "s", "--rate", "fast"},
      {"--stream", "s", "--rate", "-1"},
      {"--stream", "s", "--rate", "nan"},
      {"--stream", "s", "--in-flight", "0"},
      {"--stream", "s", "--in-flight", "1.5"},
      {"--stream", "s", "--connections", "1000"},
      {"--stream", "s", "--size", "99999999999999999999"},
      {"--stream", "s", "--count", "0"},
      {"--stream", "s", "--server", "localhost"},
      {"--stream", "s", "--server", "localhost:"},
      {"--stream", "s", "--server", "localhost:0"},
      {"--stream", "s", "--server", "localhost:65536"},
      {"--stream", "s", "--server", ":7460"},
      {"--stream", "s", "--durability", "forever"},
      {"--stream", "s", "--unknown"},
      {"--stream", "s", "--mode", "fast"},
      {"--stream", "s", "--batch", "64"},
      {"--stream", "s", "--mode", "batch", "--batch", "0"},
      {"--stream", "s", "--mode", "batch", "--retry"},
      {"--stream", "s", "--mode", "batch", "--batch", "100", "--in-flight", "99"},
      {"--stream", "s", "--streams", "0"},
      {"--stream", "s", "--subjects", "10"},
      {"--stream", "s", "--plot"},
      {"--stream", "s", "stray"},
  };
  for (const auto& arguments : bad) {
    publisher_options options;
    CHECK(parse(arguments, options) == 2);
  }
}

TEST_CASE("publisher options: the fast lane has sixteen frames in flight unless told otherwise") {
  publisher_options options;
  REQUIRE(!parse({"--stream", "s", "--mode", "batch", "--batch", "100"}, options));
  CHECK(options.mode == publish_mode::batch);
  CHECK(options.batch == 100);
  CHECK(options.in_flight == 1600);
  publisher_options given;
  REQUIRE(!parse({"--stream", "s", "--mode", "batch", "--in-flight", "256", "--consume", "--plot", "x.svg"}, given));
  CHECK(given.in_flight == 256);
  CHECK(given.consume);
  CHECK(given.plot == "x.svg");
}

TEST_CASE("publisher options: help ends the program with 0") {
  publisher_options options;
  CHECK(parse({"--help"}, options) == 0);
}

}  // namespace
}  // namespace weir
