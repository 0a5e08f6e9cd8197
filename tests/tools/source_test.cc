#include "tools/publisher/source.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tools/payload_hash.h"

namespace weir {
namespace {

// A file that is gone at the end of the test.
class temporary_file {
 public:
  explicit temporary_file(const std::string& content) {
    char name[] = "/tmp/weir-source-test-XXXXXX";
    const int fd = ::mkstemp(name);
    REQUIRE(fd >= 0);
    ::close(fd);
    path_ = name;
    std::ofstream(path_, std::ios::binary) << content;
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  ~temporary_file() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::unique_ptr<payload_source> open_lines(const std::string& path) {
  publisher_options options;
  options.input = path;
  auto source = open_source(options);
  REQUIRE(source);
  return std::move(*source);
}

std::vector<std::string> lines_of(const std::string& content) {
  const temporary_file file(content);
  const auto source = open_lines(file.path());
  std::vector<std::string> lines;
  std::string line;
  while (source->next(line) == source_state::ready) lines.push_back(line);
  CHECK(source->next(line) == source_state::end);
  return lines;
}

TEST_CASE("source: each line is a message, without its newline") {
  CHECK(lines_of("one\ntwo\nthree\n") == std::vector<std::string>{"one", "two", "three"});
}

TEST_CASE("source: the last line needs no newline") {
  CHECK(lines_of("one\ntwo") == std::vector<std::string>{"one", "two"});
}

TEST_CASE("source: empty lines, carriage returns and zero bytes are kept") {
  CHECK(lines_of("\n\r\n" + std::string("a\0b", 3) + "\n\n") ==
        std::vector<std::string>{"", "\r", std::string("a\0b", 3), ""});
}

TEST_CASE("source: an empty file has no message") {
  CHECK(lines_of("").empty());
}

TEST_CASE("source: lines around the size of the read buffer come whole") {
  std::vector<std::string> expected;
  std::string content;
  for (size_t i = 0; i < 40; ++i) {
    expected.push_back(std::string((i * 131'071) % 3'000'000, static_cast<char>('a' + i % 26)));
    content += expected.back() + "\n";
  }
  CHECK(lines_of(content) == expected);
}

TEST_CASE("source: a line over the limit is an error that names its number") {
  const temporary_file file("short\n" + std::string(line_bytes_max + (2u << 20), 'x') + "\n");
  const auto source = open_lines(file.path());
  std::string line;
  CHECK(source->next(line) == source_state::ready);
  CHECK(source->next(line) == source_state::failed);
  CHECK(source->failure() == "line 2 is longer than 67108864 bytes");
}

TEST_CASE("source: a pipe without data says later, and goes on when data comes") {
  const std::string path = "/tmp/weir-source-test-fifo-" + std::to_string(::getpid());
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  FILE* writer = std::fopen(path.c_str(), "r+");  // read-write, so that neither open waits for the other
  REQUIRE(writer != nullptr);
  const auto source = open_lines(path);
  std::string line;
  CHECK(source->next(line) == source_state::later);
  std::fputs("half", writer);
  std::fflush(writer);
  CHECK(source->next(line) == source_state::later);
  std::fputs(" a line\n", writer);
  std::fflush(writer);
  CHECK(source->next(line) == source_state::ready);
  CHECK(line == "half a line");
  std::fclose(writer);
  ::unlink(path.c_str());
}

TEST_CASE("source: a file that cannot be opened is an error that names the option") {
  publisher_options options;
  options.input = "/nonexistent/file";
  const auto source = open_source(options);
  REQUIRE(!source);
  CHECK(source.err().message.find("--input takes a readable file; '/nonexistent/file'") == 0);
}

TEST_CASE("source: generated payloads have the size asked for and differ from each other") {
  for (const uint64_t size : {0u, 1u, 7u, 8u, 9u, 128u, 1000u}) {
    publisher_options options;
    options.size = size;
    auto source = open_source(options);
    REQUIRE(source);
    std::string first;
    std::string second;
    CHECK((*source)->next(first) == source_state::ready);
    CHECK((*source)->next(second) == source_state::ready);
    CHECK(first.size() == size);
    CHECK(second.size() == size);
    if (size >= 1) CHECK(first != second);
  }
}

TEST_CASE("payload hash: any changed, added or removed byte changes it") {
  std::string payload(100, 'x');
  const uint64_t hash = payload_hash(payload);
  for (char& c : payload) {
    c ^= 1;
    CHECK(payload_hash(payload) != hash);
    c ^= 1;
  }
  CHECK(payload_hash(payload) == hash);
  CHECK(payload_hash(payload + std::string(1, '\0')) != hash);
  CHECK(payload_hash(payload.substr(1)) != hash);
}

}  // namespace
}  // namespace weir
