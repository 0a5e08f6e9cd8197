#include "net/server_options.h"

#include <doctest/doctest.h>

#include <fstream>

#include "net/option_table.h"
#include "tests/sim/temp_dir.h"

namespace weir {
namespace {

result<command> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "weir-server");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

TEST_CASE("options: without arguments the documented defaults hold") {
  auto parsed = parse({});
  REQUIRE(parsed);
  CHECK(parsed->options.listen == "127.0.0.1:7460");
  CHECK(parsed->options.admin == "127.0.0.1:7461");
  CHECK(parsed->options.data == "./weir-data");
  CHECK_FALSE(parsed->options.shards);
  CHECK_FALSE(parsed->options.insecure);
}

TEST_CASE("options: flags set their fields, and win over the configuration file") {
  temp_dir scratch;
  std::string file = scratch.path() + "/weir.json";
  std::ofstream(file)
      << R"({"listen": "127.0.0.1:1", "shards": 3, "connections_max": 5, "headers-max": 7, "pin": false})";
  auto parsed = parse({"--config", file.c_str(), "--listen", "[::1]:2", "--insecure", "--connections-max=6"});
  REQUIRE(parsed);
  CHECK(parsed->options.listen == "[::1]:2");
  CHECK(parsed->options.shards == 3u);
  CHECK(parsed->options.connections.connections_max == 6);
  CHECK(parsed->options.broker.headers_max == 7);
  CHECK(parsed->options.insecure);
  CHECK_FALSE(parsed->options.pin);
}

TEST_CASE("options: a wrong value is one line that names the option and what it takes") {
  struct sample {
    std::vector<const char*> arguments;
    const char* names;
    const char* takes;
  };
  for (const sample& bad : std::vector<sample>{{{"--shards", "0"}, "--shards", "1 to 64"},
                                               {{"--shards", "two"}, "--shards", "1 to 64"},
                                               {{"--listen", "here"}, "--listen", "HOST:PORT"},
                                               {{"--listen", "127.0.0.1:99999"}, "--listen", "HOST:PORT"},
                                               {{"--poller", "select"}, "--poller", "poll epoll1"},
                                               {{"--data", ""}, "--data", "a directory"},
                                               {{"--config", "/no/such/file"}, "--config", "JSON"},
                                               {{"--receive-bytes-max", "100000"}, "--receive-bytes-max", "at least"},
                                               {{"--no-such"}, "--no-such", ""},
                                               {{"stray"}, "stray", ""},
                                               {{"--listen"}, "--listen", ""}}) {
    auto parsed = parse(bad.arguments);
    REQUIRE_FALSE_MESSAGE(parsed, bad.names);
    CHECK(parsed.err().code == errc::invalid_argument);
    CHECK_MESSAGE(parsed.err().message.find(bad.names) != std::string::npos, parsed.err().message);
    CHECK_MESSAGE(parsed.err().message.find(bad.takes) != std::string::npos, parsed.err().message);
    CHECK(parsed.err().message.find('\n') == std::string::npos);
  }
}

TEST_CASE("options: a wrong configuration file is refused with the option's name") {
  server_options options;
  CHECK_FALSE(apply_config("", options));
  CHECK_FALSE(apply_config("[1]", options));
  CHECK_FALSE(apply_config("{\"shards\": 1", options));
  auto unknown = apply_config(R"({"sharts": 1})", options);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.err().message.find("sharts") != std::string::npos);
  for (const char* bad : {R"({"shards": -1})", R"({"shards": 1.5})", R"({"shards": []})", R"({"pin": "maybe"})"}) {
    CHECK_FALSE_MESSAGE(apply_config(bad, options), bad);
  }
  auto wrong = apply_config(R"({"calls-max": "many"})", options);
  REQUIRE_FALSE(wrong);
  CHECK(wrong.err().message.find("--calls-max takes a number") != std::string::npos);
}

TEST_CASE("options: help lists every option and the version is the project's") {
  auto help = parse({"--help"});
  REQUIRE(help);
  CHECK(help->what == command::kind::help);
  server_options options;
  for (const option_row& row : option_table(options)) {
    CHECK_MESSAGE(help->text.find("--" + row.name) != std::string::npos, row.name);
    CHECK_MESSAGE(!row.help.empty(), row.name);
  }
  auto version = parse({"--version"});
  REQUIRE(version);
  CHECK(version->what == command::kind::version);
  CHECK(version->text.rfind("weir-server 0.", 0) == 0);
}

}  // namespace
}  // namespace weir
