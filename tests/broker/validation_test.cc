#include "broker/validation.h"
#include "broker/message_validation.h"

#include <doctest/doctest.h>

#include <random>

#include "storage/utf8.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

bool mentions(const error& problem, std::string_view text) {
  return problem.message.find(text) != std::string::npos;
}

stream_config named(std::string name) {
  stream_config config;
  config.name = std::move(name);
  return config;
}

TEST_CASE("names: 1 to 255 bytes of UTF-8 are fine") {
  CHECK(check_name("a", "name"));
  CHECK(check_name("obj:bucket-1_x.y", "name"));
  CHECK(check_name("grüße-日本", "name"));
  CHECK(check_name(std::string(255, 'x'), "name"));
  CHECK(check_name("...", "name"));
}

TEST_CASE("names: what is not allowed is refused with the field and the rule") {
  struct bad {
    std::string name;
    std::string said;
  };
  const std::vector<bad> all = {
      {"", "1 to 255"},
      {std::string(256, 'x'), "at most 255"},
      {std::string("\xff\xfe", 2), "UTF-8"},
      {"a\nb", "control"},
      {std::string("a\0b", 3), "control"},
      {"a\x7f", "control"},
      {"a\xc2\x85", "control"},
      {"a b", "' '"},
      {"a/b", "'/'"},
      {"a\\b", "'\\'"},
      {"a*", "'*'"},
      {"a>", "'>'"},
      {"..", "not allowed"},
      {".", "not allowed"},
  };
  for (const bad& one : all) {
    CAPTURE(one.said);
    const auto checked = check_name(one.name, "deliver_group");
    REQUIRE_FALSE(checked);
    CHECK(checked.err().code == errc::invalid_config);
    CHECK(mentions(checked.err(), "deliver_group"));
    CHECK(mentions(checked.err(), one.said));
    CHECK(is_utf8(checked.err().message));
  }
}

TEST_CASE("stream config: defaults are filled in and bounds of zero mean no bound") {
  stream_config config = named("s");
  config.limits.max_msgs = 0;
  config.limits.max_bytes = 5;
  const auto checked = effective(config);
  REQUIRE(checked);
  CHECK(checked->block_size == default_block_size);
  CHECK(checked->level == durability::fsync);
  CHECK_FALSE(checked->limits.max_msgs.has_value());
  CHECK(checked->limits.max_bytes == 5);
  config.ephemeral = true;
  CHECK(effective(config)->level == durability::memory);
}

TEST_CASE("stream config: each field out of its limits is named with the limit") {
  struct bad {
    const char* field;
    const char* said;
    void (*spoil)(stream_config&);
  };
  const bad all[] = {
      {"name", "1 to 255", [](stream_config& c) { c.name.clear(); }},
      {"block_size", "block_size_max", [](stream_config& c) { c.block_size = UINT64_MAX; }},
      {"max_age_ms", "duration_ms_max", [](stream_config& c) { c.limits.max_age_ms = UINT64_MAX; }},
      {"subjects_filter", "subject_filters_max", [](stream_config& c) { c.subjects_filter.assign(65, "a"); }},
      {"subjects_filter[1]", "empty token",
       [](stream_config& c) {
         c.subjects_filter = {"a", "b..c"};
       }},
      {"subjects_filter[0]", "last token", [](stream_config& c) { c.subjects_filter = {"a.>.b"}; }},
      {"durability", "cluster", [](stream_config& c) { c.level = durability::replicated; }},
      {"durability", "cluster", [](stream_config& c) { c.level = durability::durable; }},
      {"durability", "not a level", [](stream_config& c) { c.level = static_cast<durability>(77); }},
      {"durability", "ephemeral",
       [](stream_config& c) {
         c.ephemeral = true;
         c.level = durability::fsync;
       }},
      {"retention", "limits retention",
       [](stream_config& c) {
         c.policy = retention_policy::work_queue;
         c.limits.max_msgs = 1;
       }},
      {"retention", "limits retention",
       [](stream_config& c) {
         c.policy = retention_policy::interest;
         c.limits.max_age_ms = 1;
       }},
      {"discard_new", "max_msgs_per_subject", [](stream_config& c) { c.discard_new = true; }},
      {"discard_new", "limits retention",
       [](stream_config& c) {
         c.discard_new = true;
         c.max_msgs_per_subject = 1;
         c.policy = retention_policy::work_queue;
       }},
      {"discard_new_per_subject", "needs discard_new", [](stream_config& c) { c.discard_new_per_subject = true; }},
      {"discard_new_per_subject", "needs max_msgs_per_subject",
       [](stream_config& c) {
         c.discard_new = true;
         c.discard_new_per_subject = true;
         c.limits.max_msgs = 1;
       }},
      {"dedup_window_ms", "duration_ms_max", [](stream_config& c) { c.dedup_window_ms = UINT64_MAX; }},
      {"retention", "not a retention", [](stream_config& c) { c.policy = static_cast<retention_policy>(9); }},
      {"sources", "later version", [](stream_config& c) { c.has_sources = true; }},
      {"metadata", "metadata_entries_max",
       [](stream_config& c) {
         for (int i = 0; i < 65; ++i) c.metadata[std::to_string(i)] = "x";
       }},
      {"metadata", "metadata_bytes_max", [](stream_config& c) { c.metadata["k"] = std::string(17 << 10, 'x'); }},
      {"metadata", "UTF-8", [](stream_config& c) { c.metadata["k"] = "\xff"; }},
  };
  for (const bad& one : all) {
    CAPTURE(one.field);
    CAPTURE(one.said);
    stream_config config = named("s");
    one.spoil(config);
    const auto checked = effective(config);
    REQUIRE_FALSE(checked);
    CHECK(checked.err().code == errc::invalid_config);
    CHECK(mentions(checked.err(), one.field));
    CHECK(mentions(checked.err(), one.said));
  }
}

TEST_CASE("update: absent stays, zero clears, a value replaces") {
  stream_config before = *effective(named("s"));
  before.limits.max_msgs = 10;
  before.limits.max_bytes = 20;
  before.max_msg_bytes = 30;
  stream_update update;
  update.name = "s";
  update.max_msgs = 0;
  update.max_age_ms = 7;
  update.strict_limits = true;
  const auto after = updated(before, update);
  REQUIRE(after);
  CHECK_FALSE(after->limits.max_msgs.has_value());
  CHECK(after->limits.max_bytes == 20);
  CHECK(after->limits.max_age_ms == 7);
  CHECK(after->limits.strict);
  CHECK(after->max_msg_bytes == 30);
  update.max_msg_bytes = 0;
  CHECK(updated(before, update)->max_msg_bytes == 0);
  update.max_age_ms = duration_ms_max + 1;
  CHECK(updated(before, update).err().code == errc::invalid_config);
}

TEST_CASE("update: bounds of a stream without limits retention are immutable, max_msg_bytes is not") {
  stream_config before = named("s");
  before.policy = retention_policy::work_queue;
  stream_update update;
  update.max_msgs = 5;
  CHECK(updated(before, update).err().code == errc::immutable_field);
  update.max_msgs.reset();
  update.max_msg_bytes = 5;
  CHECK(updated(before, update)->max_msg_bytes == 5);
}

TEST_CASE("consumer config: defaults, and each bad field by name") {
  consumer_config config;
  config.name = "c";
  const subject_filter accepted(std::vector<std::string>{"orders.>"});
  const auto fine = effective(config, accepted);
  REQUIRE(fine);
  CHECK(fine->ack_wait_ms == default_ack_wait_ms);
  CHECK(fine->max_deliver == default_max_deliver);
  struct bad {
    const char* field;
    void (*spoil)(consumer_config&);
  };
  const bad all[] = {
      {"name", [](consumer_config& c) { c.name = "a b"; }},
      {"filter_subject", [](consumer_config& c) { c.filter_subject = ".."; }},
      {"delivery_policy.type", [](consumer_config& c) { c.policy = static_cast<delivery_policy>(4); }},
      {"start_time_ms",
       [](consumer_config& c) {
         c.policy = delivery_policy::by_start_time;
         c.start_time_ms = -1;
       }},
      {"ack_wait_ms", [](consumer_config& c) { c.ack_wait_ms = UINT64_MAX; }},
      {"deliver_group", [](consumer_config& c) { c.deliver_group = "a/b"; }},
      {"dead_letter_subject", [](consumer_config& c) { c.dead_letter_subject = "orders.*"; }},
      {"dead_letter_subject", [](consumer_config& c) { c.dead_letter_subject = "dlq.orders"; }},
  };
  for (const bad& one : all) {
    CAPTURE(one.field);
    consumer_config spoiled = config;
    one.spoil(spoiled);
    const auto checked = effective(spoiled, accepted);
    REQUIRE_FALSE(checked);
    CHECK(checked.err().code == errc::invalid_config);
    CHECK(mentions(checked.err(), one.field));
  }
}

TEST_CASE("message: sizes and headers over a limit are oversize and say which") {
  broker_limits limits;
  limits.payload_bytes_max = 100;
  limits.headers_max = 2;
  limits.header_bytes_max = 10;
  const stream_config config = named("s");
  const std::string payload(101, 'x');
  publish_request request;
  request.payload = as_bytes(payload);
  const auto too_long = check_message(request, config, limits);
  REQUIRE_FALSE(too_long);
  CHECK(too_long.err().code == errc::oversize);
  CHECK(mentions(too_long.err(), "payload_bytes_max"));

  request.payload = {};
  const std::string many = encode_headers({{"a", "1"}, {"a", "2"}, {"b", "3"}});
  request.headers = as_bytes(many);
  CHECK(mentions(check_message(request, config, limits).err(), "headers_max"));
  const std::string fat = encode_headers({{"a", "0123456789"}});
  request.headers = as_bytes(fat);
  CHECK(mentions(check_message(request, config, limits).err(), "header_bytes_max"));

  stream_config capped = config;
  capped.max_msg_bytes = 5;
  const std::string some = encode_headers({{"ab", "c"}});
  request.headers = as_bytes(some);
  const std::string three = "123";
  request.payload = as_bytes(three);
  const auto over = check_message(request, capped, limits);
  REQUIRE_FALSE(over);
  CHECK(over.err().code == errc::oversize);
  CHECK(mentions(over.err(), "max_msg_bytes"));
  capped.max_msg_bytes = 6;
  CHECK(check_message(request, capped, limits));
}

TEST_CASE("message: malformed headers and times are invalid arguments") {
  const broker_limits limits;
  const stream_config config = named("s");
  publish_request request;
  request.ts_ms = -1;
  CHECK(check_message(request, config, limits).err().code == errc::invalid_argument);
  request.ts_ms = 0;
  for (const std::string& bytes :
       {std::string("x"), std::string("\x22"), std::string("\x22\x05\x0a", 3), encode_headers({{"", "v"}}),
        encode_headers({{"k\xff", "v"}}), encode_headers({{"k", "\xc0\x80"}})}) {
    request.headers = as_bytes(bytes);
    const auto checked = check_message(request, config, limits);
    REQUIRE_FALSE(checked);
    CHECK(checked.err().code == errc::invalid_argument);
    CHECK(mentions(checked.err(), "headers[0]"));
  }
}

TEST_CASE("message: garbage for headers never passes what a reader would refuse") {
  const broker_limits limits;
  const seed_range seeds = test_seeds(200, 5000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 50; ++i) {
      std::string bytes = encode_headers({{"key", "value"}, {"k", ""}});
      const size_t hits = 1 + random() % 4;
      for (size_t h = 0; h < hits; ++h) bytes[random() % bytes.size()] = static_cast<char>(random());
      bytes.resize(random() % (bytes.size() + 1));
      const auto checked = check_headers(as_bytes(bytes), limits);
      const auto decoded = decode_headers(as_bytes(bytes));
      if (checked) CHECK(decoded);
      if (checked && decoded) CHECK(decoded->size() == checked->count);
      if (!checked) CHECK(is_utf8(checked.err().message));
    }
  }
}

TEST_CASE("quoted text is short printable ASCII, whatever it quotes") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes(random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const std::string out = quoted(bytes);
    CHECK(out.size() <= 64 * 4 + 5);
    CHECK(std::all_of(out.begin(), out.end(), [](char c) { return c >= 0x20 && c < 0x7f; }));
  }
}

}  // namespace
}  // namespace weir
