// Subjects and filters, as in NATS: tokens separated by '.'; in a filter `*` stands for one token, a final `>` for one
// or more. Matched iteratively, no recursion (reliability-notes 3.1).
//
// Limits: subject_bytes_max bytes, subject_tokens_max tokens. A literal subject is valid UTF-8 without control
// characters and spaces, has no empty token and no token that is `*` or `>`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/result.h"
#include "storage/utf8.h"

namespace weir {

inline constexpr size_t subject_bytes_max = 256;
inline constexpr size_t subject_tokens_max = 64;

// ok, or an error with the given code whose message names `field` and the rule that is broken.
result<void> check_literal_subject(std::string_view subject, std::string_view field, errc code);
result<void> check_filter(std::string_view filter, std::string_view field, errc code);

// True if the literal subject matches the filter. Both were checked.
bool subject_matches(std::string_view filter, std::string_view subject);
// True if some subject matches both filters (work queues refuse overlapping consumers).
bool filters_overlap(std::string_view left, std::string_view right);

// A set of filters; empty matches everything.
class subject_filter {
 public:
  subject_filter() = default;
  explicit subject_filter(std::vector<std::string> filters) : filters_(std::move(filters)) {}
  bool matches_all() const { return filters_.empty(); }
  bool matches(std::string_view subject) const;
  const std::vector<std::string>& filters() const { return filters_; }

 private:
  std::vector<std::string> filters_;
};

}  // namespace weir
