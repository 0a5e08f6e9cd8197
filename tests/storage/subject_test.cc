#include "storage/subject.h"

#include <doctest/doctest.h>

#include <random>

#include "tests/sim/test_seed.h"

namespace weir {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> tokens(1);
  for (char each : text) {
    if (each == '.') {
      tokens.emplace_back();
    } else {
      tokens.back().push_back(each);
    }
  }
  return tokens;
}

// The definition, told as recursion over token lists.
bool naive_matches(const std::vector<std::string>& filter, size_t f, const std::vector<std::string>& subject,
                   size_t s) {
  if (f == filter.size()) return s == subject.size();
  if (filter[f] == ">") return s < subject.size();
  if (s == subject.size()) return false;
  return (filter[f] == "*" || filter[f] == subject[s]) && naive_matches(filter, f + 1, subject, s + 1);
}

std::string random_filter(std::mt19937_64& random, bool wild) {
  std::string text;
  size_t tokens = 1 + random() % 4;
  for (size_t i = 0; i < tokens; ++i) {
    if (i != 0) text += '.';
    uint64_t choice = random() % 6;
    if (wild && choice == 0) {
      text += '*';
    } else if (wild && choice == 1 && i + 1 == tokens) {
      text += '>';
    } else {
      text += choice < 4 ? "a" : choice == 4 ? "b" : "ab*";
    }
  }
  return text;
}

TEST_CASE("subject: the examples of NATS match as there") {
  CHECK(subject_matches("time.us.east", "time.us.east"));
  CHECK(subject_matches("time.*.east", "time.us.east"));
  CHECK_FALSE(subject_matches("time.us.*", "time.us.east.atlanta"));
  CHECK(subject_matches("time.us.>", "time.us.east.atlanta"));
  CHECK_FALSE(subject_matches("time.us.>", "time.us"));
  CHECK(subject_matches(">", "x"));
  CHECK_FALSE(subject_matches("a", "a.b"));
  CHECK_FALSE(subject_matches("a.b", "a"));
  CHECK_FALSE(subject_matches("a*", "ab"));
}

TEST_CASE("subject: the iterative matcher agrees with a recursive one") {
  auto [first, last] = test_seeds(1, 20);
  for (uint64_t seed = first; seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 20000; ++i) {
      std::string filter = random_filter(random, true);
      std::string subject = random_filter(random, false);
      CAPTURE(filter);
      CAPTURE(subject);
      REQUIRE(subject_matches(filter, subject) == naive_matches(split(filter), 0, split(subject), 0));
    }
  }
}

TEST_CASE("subject: two filters overlap exactly when some subject matches both") {
  auto [first, last] = test_seeds(1, 20);
  for (uint64_t seed = first; seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 20000; ++i) {
      std::string left = random_filter(random, true);
      std::string right = random_filter(random, true);
      // If any subject matches both, then so does the one that takes each token from the more special side.
      auto lefts = split(left);
      auto rights = split(right);
      bool left_open = lefts.back() == ">";
      bool right_open = rights.back() == ">";
      std::string witness;
      for (size_t t = 0; t < std::max(lefts.size(), rights.size()); ++t) {
        std::string one = t < lefts.size() ? lefts[t] : left_open ? ">" : "x";
        std::string two = t < rights.size() ? rights[t] : right_open ? ">" : "x";
        bool one_wild = one == "*" || one == ">";
        bool two_wild = two == "*" || two == ">";
        witness += (t == 0 ? "" : ".") + (!one_wild ? one : !two_wild ? two : "x");
      }
      CAPTURE(left);
      CAPTURE(right);
      CAPTURE(witness);
      bool both = subject_matches(left, witness) && subject_matches(right, witness);
      REQUIRE(filters_overlap(left, right) == both);
      REQUIRE(filters_overlap(right, left) == both);
    }
  }
}

TEST_CASE("subject: a literal subject that breaks a rule is refused by name") {
  auto message_of = [](std::string_view subject) {
    auto checked = check_literal_subject(subject, "subject", errc::subject_rejected);
    REQUIRE(!checked);
    CHECK(checked.err().code == errc::subject_rejected);
    return checked.err().message;
  };
  CHECK(message_of("") == "subject must not be empty");
  CHECK(message_of(std::string(257, 'a')) == "subject must have at most 256 bytes");
  CHECK(message_of("a\xff") == "subject must be valid UTF-8");
  CHECK(message_of(std::string_view("a\0b", 3)) == "subject must not contain control characters");
  CHECK(message_of("a\x7f") == "subject must not contain control characters");
  CHECK(message_of("a\xc2\x85") == "subject must not contain control characters");
  CHECK(message_of("a b") == "subject must not contain spaces");
  CHECK(message_of(".a") == "subject must not have an empty token");
  CHECK(message_of("a.") == "subject must not have an empty token");
  CHECK(message_of("a..b") == "subject must not have an empty token");
  CHECK(message_of("a.*") == "subject must be literal, without the wildcards * and >");
  CHECK(message_of(">") == "subject must be literal, without the wildcards * and >");
  std::string many = "a";
  for (int i = 0; i < 64; ++i) many += ".a";
  CHECK(message_of(many) == "subject must have at most 64 tokens");
}

TEST_CASE("subject: good subjects and filters pass") {
  for (std::string_view good :
       {"a", "a.b.c", "orders.eu-1", "caf\xc3\xa9.\xf0\x9f\x98\x80", "a*b.c>", "../etc/passwd"}) {
    CAPTURE(good);
    bool empty_token = good.starts_with("..");
    CHECK(static_cast<bool>(check_literal_subject(good, "subject", errc::subject_rejected)) == !empty_token);
  }
  CHECK(check_literal_subject(std::string(256, 'a'), "s", errc::subject_rejected));
  CHECK(check_filter("a.*.b.>", "f", errc::invalid_config));
  CHECK(check_filter(">", "f", errc::invalid_config));
  auto inner = check_filter("a.>.b", "subject_filters", errc::invalid_config);
  REQUIRE(!inner);
  CHECK(inner.err().message == "subject_filters may have the wildcard > only as its last token");
  CHECK_FALSE(check_filter("", "f", errc::invalid_config));
  CHECK_FALSE(check_filter("a..b", "f", errc::invalid_config));
}

TEST_CASE("subject: a set of filters matches if one does, and an empty set matches everything") {
  CHECK(subject_filter().matches("any.thing"));
  CHECK(subject_filter().matches_all());
  subject_filter two({"a.*", "b.>"});
  CHECK_FALSE(two.matches_all());
  CHECK(two.matches("a.x"));
  CHECK(two.matches("b.x.y"));
  CHECK_FALSE(two.matches("a.x.y"));
}

TEST_CASE("utf8: agrees with the definition on every sequence of up to three bytes") {
  // Decodes by the bits, then checks shortest form and range: slow and obvious.
  auto naive = [](std::string_view text) {
    for (size_t i = 0; i < text.size();) {
      auto byte = static_cast<uint8_t>(text[i]);
      size_t size = byte < 0x80 ? 1 : byte < 0xc0 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf8 ? 4 : 0;
      if (size == 0 || i + size > text.size()) return false;
      uint32_t code = size == 1 ? byte : byte & (0x7fu >> size);
      for (size_t k = 1; k < size; ++k) {
        auto next = static_cast<uint8_t>(text[i + k]);
        if ((next & 0xc0) != 0x80) return false;
        code = (code << 6) | (next & 0x3fu);
      }
      constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
      if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
      i += size;
    }
    return true;
  };
  size_t wrong = 0;
  for (uint32_t bits = 0; bits < 1u << 24; bits += static_cast<uint32_t>(test_stride(7))) {
    char text[3] = {static_cast<char>(bits), static_cast<char>(bits >> 8), static_cast<char>(bits >> 16)};
    wrong += is_utf8({text, 3}) != naive({text, 3});
  }
  CHECK(wrong == 0);
  CHECK(is_utf8("\xf0\x90\x80\x80"));
  CHECK(is_utf8("\xf4\x8f\xbf\xbf"));
  CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));
  CHECK_FALSE(is_utf8("\xf0\x8f\xbf\xbf"));
  CHECK_FALSE(is_utf8("12345678\xf0\x9f\x98"));
  CHECK(is_utf8(""));
}

}  // namespace
}  // namespace weir
