// Where payloads come from: the lines of a file, or a generator.
//
// One owner, one thread. next() never blocks on a pipe: it says `later` when nothing is there yet.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/result.h"
#include "tools/publisher/options.h"

namespace weir {

enum class source_state : uint8_t { ready, later, end, failed };

class payload_source {
 public:
  virtual ~payload_source() = default;
  // Replaces `payload` by the next one when `ready`.
  virtual source_state next(std::string& payload) = 0;
  // Why it failed.
  virtual const std::string& failure() const = 0;
  // What a person calls message `number` (from 0): "line 17", "message 17".
  virtual std::string name_of(uint64_t number) const = 0;
};

// The longest line that is read at all; the broker's own limit is lower and answered by the broker.
inline constexpr size_t line_bytes_max = 64u << 20;

// Fails with invalid_argument, naming --input, when the file cannot be opened.
result<std::unique_ptr<payload_source>> open_source(const publisher_options& options);

}  // namespace weir
