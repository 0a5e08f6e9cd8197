#include "tools/publisher/source.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

namespace weir {
namespace {

constexpr size_t read_bytes = 1u << 20;

// Lines end at '\n', which is not part of them; a '\r' is. The last line needs no end.
class line_source final : public payload_source {
 public:
  line_source(int fd, bool owned) : fd_(fd), owned_(owned) {}
  line_source(const line_source&) = delete;
  line_source& operator=(const line_source&) = delete;
  ~line_source() override {
    if (owned_) ::close(fd_);
  }

  source_state next(std::string& payload) override {
    while (true) {
      const std::string_view rest(buffer_.data() + start_, end_ - start_);
      const size_t newline = rest.find('\n', searched_);
      if (newline != std::string_view::npos) return take(payload, rest.substr(0, newline), 1);
      searched_ = rest.size();
      if (at_end_) return rest.empty() ? source_state::end : take(payload, rest, 0);
      if (rest.size() > line_bytes_max) {
        failure_ = fmt::format("line {} is longer than {} bytes", line_ + 1, line_bytes_max);
        return source_state::failed;
      }
      const source_state filled = fill();
      if (filled != source_state::ready) return filled;
    }
  }

  const std::string& failure() const override { return failure_; }
  std::string name_of(uint64_t number) const override { return fmt::format("line {}", number + 1); }

 private:
  source_state take(std::string& payload, std::string_view line, size_t separator) {
    payload.assign(line);
    start_ += line.size() + separator;
    searched_ = 0;
    ++line_;
    return source_state::ready;
  }

  source_state fill() {
    pollfd input{fd_, POLLIN, 0};
    if (::poll(&input, 1, 0) == 0) return source_state::later;
    if (start_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + start_, end_ - start_);
      end_ -= start_;
      start_ = 0;
    }
    if (buffer_.size() < end_ + read_bytes) buffer_.resize(2 * end_ + read_bytes);
    const ssize_t got = ::read(fd_, buffer_.data() + end_, read_bytes);
    if (got < 0 && errno == EINTR) return source_state::later;
    if (got < 0) {
      failure_ = fmt::format("reading the input: {}", std::strerror(errno));
      return source_state::failed;
    }
    at_end_ = got == 0;
    end_ += static_cast<size_t>(got);
    return source_state::ready;
  }

  int fd_;
  bool owned_;
  bool at_end_ = false;
  std::vector<char> buffer_;
  size_t start_ = 0;     // of the unread bytes in the buffer
  size_t end_ = 0;       // of the bytes in the buffer
  size_t searched_ = 0;  // unread bytes known to hold no newline
  uint64_t line_ = 0;
  std::string failure_;
};

// Payloads of one size, different for every message: its number, then a pattern made from it.
class generator final : public payload_source {
 public:
  explicit generator(size_t size) : size_(size) {}

  source_state next(std::string& payload) override {
    uint64_t state = ++number_ * 0x9e3779b97f4a7c15u;
    payload.resize(size_);
    size_t at = 0;
    for (; at + sizeof state <= size_; at += sizeof state) {
      std::memcpy(payload.data() + at, &state, sizeof state);
      state = state * 6364136223846793005u + 1442695040888963407u;
    }
    std::memcpy(payload.data() + at, &state, size_ - at);
    return source_state::ready;
  }

  const std::string& failure() const override { return failure_; }
  std::string name_of(uint64_t number) const override { return fmt::format("message {}", number + 1); }

 private:
  size_t size_;
  uint64_t number_ = 0;
  std::string failure_;
};

}  // namespace

result<std::unique_ptr<payload_source>> open_source(const publisher_options& options) {
  std::unique_ptr<payload_source> source;
  if (options.input.empty()) {
    source = std::make_unique<generator>(options.size);
  } else if (options.input == "-") {
    source = std::make_unique<line_source>(STDIN_FILENO, false);
  } else {
    const int fd = ::open(options.input.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      return fail(errc::invalid_argument,
                  fmt::format("--input takes a readable file; '{}': {}", options.input, std::strerror(errno)));
    }
    source = std::make_unique<line_source>(fd, true);
  }
  return source;
}

}  // namespace weir
