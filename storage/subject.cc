#include "storage/subject.h"

#include <algorithm>

namespace weir {
namespace {

// Walks the tokens of a subject or filter.
class token_walk {
 public:
  explicit token_walk(std::string_view text) : rest_(text) {}
  bool done() const { return ended_; }
  std::string_view next() {
    size_t dot = rest_.find('.');
    std::string_view token = rest_.substr(0, dot);
    ended_ = dot == std::string_view::npos;
    if (!ended_) rest_.remove_prefix(dot + 1);
    return token;
  }

 private:
  std::string_view rest_;
  bool ended_ = false;
};

error broken(errc code, std::string_view field, std::string_view rule) {
  return fail(code, std::string(field) + " " + std::string(rule));
}

// Most subjects are plain ASCII without a wildcard: one look at each byte tells. False: look closely.
bool is_plainly_literal(std::string_view subject) {
  if (subject.empty() || subject.size() > subject_bytes_max) return false;
  bool token_empty = true;
  size_t tokens = 1;
  for (const char c : subject) {
    if (c == '.') {
      if (token_empty) return false;
      token_empty = true;
      ++tokens;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '*' || c == '>') return false;
    token_empty = false;
  }
  return !token_empty && tokens <= subject_tokens_max;
}

result<void> check_text(std::string_view text, std::string_view field, errc code) {
  if (text.empty()) return broken(code, field, "must not be empty");
  if (text.size() > subject_bytes_max) {
    return broken(code, field, "must have at most " + std::to_string(subject_bytes_max) + " bytes");
  }
  if (!is_utf8(text)) return broken(code, field, "must be valid UTF-8");
  if (has_control(text)) return broken(code, field, "must not contain control characters");
  if (text.find(' ') != std::string_view::npos) return broken(code, field, "must not contain spaces");
  auto dots = static_cast<size_t>(std::count(text.begin(), text.end(), '.'));
  if (dots + 1 > subject_tokens_max) {
    return broken(code, field, "must have at most " + std::to_string(subject_tokens_max) + " tokens");
  }
  return ok();
}

}  // namespace

result<void> check_literal_subject(std::string_view subject, std::string_view field, errc code) {
  if (is_plainly_literal(subject)) return ok();
  auto fine = check_text(subject, field, code);
  if (!fine) return fine;
  for (token_walk tokens(subject); !tokens.done();) {
    std::string_view token = tokens.next();
    if (token.empty()) return broken(code, field, "must not have an empty token");
    if (token == "*" || token == ">") return broken(code, field, "must be literal, without the wildcards * and >");
  }
  return ok();
}

result<void> check_filter(std::string_view filter, std::string_view field, errc code) {
  auto fine = check_text(filter, field, code);
  if (!fine) return fine;
  for (token_walk tokens(filter); !tokens.done();) {
    std::string_view token = tokens.next();
    if (token.empty()) return broken(code, field, "must not have an empty token");
    if (token == ">" && !tokens.done()) return broken(code, field, "may have the wildcard > only as its last token");
  }
  return ok();
}

bool subject_matches(std::string_view filter, std::string_view subject) {
  token_walk wanted(filter);
  token_walk given(subject);
  while (!wanted.done() && !given.done()) {
    std::string_view want = wanted.next();
    std::string_view have = given.next();
    if (want == ">") return true;
    if (want != "*" && want != have) return false;
  }
  return wanted.done() && given.done();
}

bool filters_overlap(std::string_view left, std::string_view right) {
  token_walk lefts(left);
  token_walk rights(right);
  while (!lefts.done() && !rights.done()) {
    std::string_view one = lefts.next();
    std::string_view two = rights.next();
    if (one == ">" || two == ">") return true;
    if (one != "*" && two != "*" && one != two) return false;
  }
  return lefts.done() && rights.done();
}

bool subject_filter::matches(std::string_view subject) const {
  if (filters_.empty()) return true;
  return std::any_of(filters_.begin(), filters_.end(),
                     [&](const std::string& filter) { return subject_matches(filter, subject); });
}

}  // namespace weir
