#include "net/data_directory.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "tests/sim/temp_dir.h"

namespace weir {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_CASE("data directory: a new one is made with the default shard count, and opened again with it") {
  temp_dir scratch;
  std::string path = scratch.path() + "/a/b";
  {
    auto opened = data_directory::open(path, std::nullopt, 3);
    REQUIRE(opened);
    CHECK(opened->shards() == 3);
    CHECK(text_of(path + "/FORMAT") == "weir data directory\nformat 1\nshards 3\n");
    CHECK(text_of(path + "/LOCK") == std::to_string(getpid()) + "\n");
  }
  auto again = data_directory::open(path, std::nullopt, 8);
  REQUIRE(again);
  CHECK(again->shards() == 3);
}

TEST_CASE("data directory: one in use is refused and the error names the process") {
  temp_dir scratch;
  auto first = data_directory::open(scratch.path(), std::nullopt, 1);
  REQUIRE(first);
  auto second = data_directory::open(scratch.path(), std::nullopt, 1);
  REQUIRE_FALSE(second);
  CHECK(second.err().code == errc::locked);
  CHECK(second.err().message.find("process " + std::to_string(getpid())) != std::string::npos);
}

TEST_CASE("data directory: the lock of a killed process does not stay") {
  temp_dir scratch;
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto held = data_directory::open(scratch.path(), std::nullopt, 1);
    _exit(held ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  CHECK(data_directory::open(scratch.path(), std::nullopt, 1));
}

TEST_CASE("data directory: another shard count than it has is refused") {
  temp_dir scratch;
  { REQUIRE(data_directory::open(scratch.path(), 2u, 1)); }
  CHECK(data_directory::open(scratch.path(), 2u, 1));
  auto other = data_directory::open(scratch.path(), 4u, 1);
  REQUIRE_FALSE(other);
  CHECK(other.err().code == errc::foreign_directory);
  CHECK(other.err().message.find("2 shards") != std::string::npos);
}

TEST_CASE("data directory: a folder of somebody else, or of another version, is refused and not touched") {
  temp_dir scratch;
  std::ofstream(scratch.path() + "/family.jpg") << "x";
  auto opened = data_directory::open(scratch.path(), std::nullopt, 1);
  REQUIRE_FALSE(opened);
  CHECK(opened.err().code == errc::foreign_directory);
  CHECK(opened.err().message.find("family.jpg") != std::string::npos);
  CHECK(access((scratch.path() + "/LOCK").c_str(), F_OK) != 0);
  for (const char* format : {"something else\n", "weir data directory\nformat 2\nshards 1\n",
                             "weir data directory\nformat 1\nshards none\n", ""}) {
    temp_dir other;
    std::ofstream(other.path() + "/FORMAT") << format;
    auto refused = data_directory::open(other.path(), std::nullopt, 1);
    REQUIRE_FALSE(refused);
    CHECK(refused.err().code == errc::foreign_directory);
  }
}

}  // namespace
}  // namespace weir
