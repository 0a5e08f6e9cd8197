#include "net/publish_wire.h"

#include <doctest/doctest.h>

#include <random>

#include "waymaker/streams.pb.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

pb::PublishRequest sample() {
  pb::PublishRequest request;
  request.set_stream("orders");
  request.set_subject("orders.new");
  request.set_payload(std::string("\0\x01payload", 9));
  for (int n = 0; n < 3; ++n) {
    auto* header = request.add_headers();
    header->set_key("key");
    header->set_value(std::to_string(n));
  }
  request.set_ts_ms(-5);
  request.set_expected_last_seq(0);
  request.set_message_id("order-1");
  request.set_ttl_ms(60'000);
  request.set_deliver_at_ms(1'800'000'000'000);
  return request;
}

void check_same(const decoded_publish& decoded, const pb::PublishRequest& expected) {
  CHECK(decoded.request.stream == expected.stream());
  CHECK(decoded.request.subject == expected.subject());
  CHECK(as_text(decoded.request.payload) == expected.payload());
  CHECK(decoded.request.ts_ms == expected.ts_ms());
  CHECK(decoded.request.expected_last_seq.has_value() == expected.has_expected_last_seq());
  CHECK(decoded.request.expected_last_seq.value_or(0) == expected.expected_last_seq());
  CHECK(decoded.request.message_id == expected.message_id());
  CHECK(decoded.request.ttl_ms == expected.ttl_ms());
  CHECK(decoded.request.deliver_at_ms == expected.deliver_at_ms());
  auto headers = decode_headers(decoded.request.headers);
  REQUIRE(headers);
  REQUIRE(headers->size() == static_cast<size_t>(expected.headers_size()));
  for (int n = 0; n < expected.headers_size(); ++n) {
    CHECK((*headers)[static_cast<size_t>(n)].key == expected.headers(n).key());
    CHECK((*headers)[static_cast<size_t>(n)].value == expected.headers(n).value());
  }
}

void check_same(const std::string& bytes) {
  pb::PublishRequest expected;
  REQUIRE(expected.ParseFromString(bytes));
  decoded_publish decoded;
  REQUIRE(decode_publish(as_bytes(bytes), decoded));
  check_same(decoded, expected);
}

uint64_t test_seed() {
  uint64_t seed = std::getenv("WEIR_SEED") != nullptr ? std::stoull(std::getenv("WEIR_SEED")) : std::random_device()();
  MESSAGE("WEIR_SEED=" << seed);
  return seed;
}

TEST_CASE("publish wire: a request decodes to what protobuf reads, with headers as one run of bytes") {
  check_same(sample().SerializeAsString());
  check_same(pb::PublishRequest().SerializeAsString());
}

TEST_CASE("publish wire: fields out of order, repeated, unknown, and headers apart are read as protobuf reads them") {
  std::string bytes = sample().SerializeAsString();
  pb::PublishRequest later;
  later.set_stream("other");
  later.add_headers()->set_key("apart");
  later.mutable_headers(0)->set_value("");
  later.set_message_id("order-2");
  later.set_ttl_ms(1);
  later.set_deliver_at_ms(-1);
  bytes += later.SerializeAsString();
  bytes += "\x7a\x03xyz";                                           // field 15, bytes
  bytes += std::string("\x7d\x01\x02\x03\x04", 5);                  // field 15, fixed32
  bytes += std::string("\x79\x01\x02\x03\x04\x05\x06\x07\x08", 9);  // field 15, fixed64
  bytes += "\x78\x05";                                              // field 15, varint
  check_same(bytes);
}

TEST_CASE("publish wire: cut and random bytes are refused or read, never past their end") {
  std::string whole = sample().SerializeAsString();
  for (size_t size = 0; size < whole.size(); ++size) {
    auto cut = std::make_unique<char[]>(size);  // its own allocation, so that a sanitizer sees a read past it
    std::copy_n(whole.data(), size, cut.get());
    decoded_publish decoded;
    pb::PublishRequest expected;
    bool parses = expected.ParseFromArray(cut.get(), static_cast<int>(size));
    CHECK(decode_publish(as_bytes({cut.get(), size}), decoded) == parses);
  }
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = whole;
    for (int n = 0; n < 3; ++n) bytes[random() % bytes.size()] = static_cast<char>(random());
    decoded_publish decoded;
    bool good = decode_publish(as_bytes(bytes), decoded);
    pb::PublishRequest expected;
    if (expected.ParseFromString(bytes)) CHECK(good);
  }
}

TEST_CASE("publish wire: the answer is a PublishResponse") {
  for (uint64_t seq : {uint64_t{0}, uint64_t{1}, uint64_t{127}, uint64_t{128}, ~uint64_t{0}}) {
    for (int flags = 0; flags < 4; ++flags) {
      const published done{seq_no(seq), (flags & 1) != 0, (flags & 2) != 0};
      pb::PublishResponse response;
      REQUIRE(response.ParseFromString(encode_published(done).head));
      CHECK(response.success());
      CHECK(response.result_code() == "ok");
      CHECK(response.seq() == seq);
      CHECK(response.duplicate() == done.duplicate);
      CHECK(response.scheduled() == done.scheduled);
    }
  }
}

TEST_CASE("publish wire: the messages of an atomic publish are read as protobuf reads them, in order") {
  v1::PublishAllRequest request;
  for (int n = 0; n < 5; ++n) {
    *request.add_messages() = sample();
    request.mutable_messages(n)->set_payload(std::to_string(n));
  }
  request.add_messages();                                              // empty, and still a message
  const std::string bytes = request.SerializeAsString() + "\x78\x05";  // and a field nobody knows
  std::deque<decoded_publish> decoded;
  REQUIRE(decode_publish_all(as_bytes(bytes), 100, decoded));
  REQUIRE(decoded.size() == 6);
  for (int n = 0; n < 6; ++n) check_same(decoded[static_cast<size_t>(n)], request.messages(n));
}

TEST_CASE("publish wire: an atomic publish is read no further than one message beyond its limit") {
  v1::PublishAllRequest request;
  for (int n = 0; n < 50; ++n) request.add_messages();
  std::deque<decoded_publish> decoded;
  CHECK(decode_publish_all(as_bytes(request.SerializeAsString()), 7, decoded));
  CHECK(decoded.size() == 8);
}

TEST_CASE("publish wire: cut and random bytes of an atomic publish are refused or read, never past their end") {
  v1::PublishAllRequest request;
  for (int n = 0; n < 3; ++n) *request.add_messages() = sample();
  const std::string whole = request.SerializeAsString();
  for (size_t size = 0; size < whole.size(); ++size) {
    auto cut = std::make_unique<char[]>(size);  // its own allocation, so that a sanitizer sees a read past it
    std::copy_n(whole.data(), size, cut.get());
    std::deque<decoded_publish> decoded;
    v1::PublishAllRequest expected;
    bool parses = expected.ParseFromArray(cut.get(), static_cast<int>(size));
    CHECK(decode_publish_all(as_bytes({cut.get(), size}), 100, decoded) == parses);
  }
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = whole;
    for (int n = 0; n < 3; ++n) bytes[random() % bytes.size()] = static_cast<char>(random());
    std::deque<decoded_publish> decoded;
    bool good = decode_publish_all(as_bytes(bytes), 100, decoded);
    v1::PublishAllRequest expected;
    if (expected.ParseFromString(bytes)) CHECK(good);
  }
}

}  // namespace
}  // namespace weir
