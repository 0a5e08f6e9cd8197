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

// A frame of the fast lane, with records of every kind.
v1::PublishBatch sample_frame() {
  v1::PublishBatch frame;
  frame.set_stream("orders");
  frame.set_frame(300);
  frame.set_atomic(true);
  for (int n = 0; n < 4; ++n) {
    v1::PublishRecord& record = *frame.add_messages();
    record.set_subject("orders.new");
    record.set_payload(std::to_string(n));
    if (n == 0) continue;
    record.set_ts_ms(n == 1 ? -5 : 1'700'000'000'000);
    for (int h = 0; h < n; ++h) {
      record.add_headers()->set_key("key");
      record.mutable_headers(h)->set_value(std::to_string(h));
    }
    if (n == 2) record.set_expected_last_seq(0);
    record.set_message_id("order-" + std::to_string(n));
    record.set_ttl_ms(60'000);
    record.set_deliver_at_ms(1'800'000'000'000);
  }
  frame.add_messages();  // empty, and still a record
  return frame;
}

bool same_record(const publish_request& decoded, const v1::PublishRecord& expected) {
  auto headers = decode_headers(decoded.headers);
  bool same = headers && headers->size() == static_cast<size_t>(expected.headers_size());
  for (int n = 0; same && n < expected.headers_size(); ++n) {
    const header& one = (*headers)[static_cast<size_t>(n)];
    same = one.key == expected.headers(n).key() && one.value == expected.headers(n).value();
  }
  return same && decoded.subject == expected.subject() && as_text(decoded.payload) == expected.payload() &&
         decoded.ts_ms == expected.ts_ms() &&
         decoded.expected_last_seq.has_value() == expected.has_expected_last_seq() &&
         decoded.expected_last_seq.value_or(0) == expected.expected_last_seq() &&
         decoded.message_id == expected.message_id() && decoded.ttl_ms == expected.ttl_ms() &&
         decoded.deliver_at_ms == expected.deliver_at_ms();
}

bool same_frame(const decoded_batch& decoded, const v1::PublishBatch& expected) {
  bool same = decoded.stream == expected.stream() && decoded.frame == expected.frame() &&
              decoded.atomic == expected.atomic() &&
              decoded.records.size() == static_cast<size_t>(expected.messages_size());
  for (size_t n = 0; same && n < decoded.records.size(); ++n) {
    same = same_record(decoded.records[n], expected.messages(static_cast<int>(n)));
  }
  return same;
}

TEST_CASE("publish wire: a frame decodes to what protobuf reads, into vectors that are used again") {
  decoded_batch decoded;
  for (int round = 0; round < 3; ++round) {
    v1::PublishBatch frame = sample_frame();
    if (round == 1) frame.clear_messages();
    const std::string bytes = frame.SerializeAsString();
    REQUIRE(decode_publish_batch(as_bytes(bytes), 100, decoded));
    CHECK(same_frame(decoded, frame));
  }
  CHECK(decode_publish_batch({}, 100, decoded));
  CHECK(same_frame(decoded, v1::PublishBatch()));
}

TEST_CASE("publish wire: a message that was delivered may be published as it is") {
  pb::MessagePb delivered;
  delivered.set_seq(77);
  delivered.set_subject("a");
  delivered.set_ts_ms(5);
  delivered.set_payload("p");
  delivered.set_deliver_count(3);
  const std::string record = delivered.SerializeAsString();
  const std::string frame = "\x22" + std::string(1, static_cast<char>(record.size())) + record;
  decoded_batch decoded;
  REQUIRE(decode_publish_batch(as_bytes(frame), 100, decoded));
  REQUIRE(decoded.records.size() == 1);
  CHECK(decoded.records[0].subject == "a");
  CHECK(decoded.records[0].ts_ms == 5);
  CHECK(as_text(decoded.records[0].payload) == "p");
}

TEST_CASE("publish wire: headers of a record that stand apart are gathered, each record's for itself") {
  v1::PublishBatch first = sample_frame();
  std::string bytes;
  for (int n = 0; n < 2; ++n) {  // each record: headers, then a payload, then headers again
    const std::string head = first.messages(3).SerializeAsString();
    const std::string twice = head + head;
    bytes += "\x22";
    for (size_t left = twice.size(); left != 0 || bytes.back() == '\x22'; left >>= 7) {
      bytes += static_cast<char>((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
      if (left <= 0x7f) break;
    }
    bytes += twice;
  }
  v1::PublishBatch expected;
  REQUIRE(expected.ParseFromString(bytes));
  REQUIRE(expected.messages_size() == 2);
  REQUIRE(expected.messages(0).headers_size() == 6);
  decoded_batch decoded;
  REQUIRE(decode_publish_batch(as_bytes(bytes), 100, decoded));
  CHECK(same_frame(decoded, expected));
}

TEST_CASE("publish wire: a frame is read no further than one record beyond its limit") {
  decoded_batch decoded;
  const std::string bytes = sample_frame().SerializeAsString();
  CHECK(decode_publish_batch(as_bytes(bytes), 2, decoded));
  CHECK(decoded.records.size() == 3);
}

TEST_CASE("publish wire: cut and random bytes of a frame are refused or read as protobuf does, never past their end") {
  const std::string whole = sample_frame().SerializeAsString();
  decoded_batch decoded;
  for (size_t size = 0; size < whole.size(); ++size) {
    auto cut = std::make_unique<char[]>(size);  // its own allocation, so that a sanitizer sees a read past it
    std::copy_n(whole.data(), size, cut.get());
    v1::PublishBatch expected;
    const bool parses = expected.ParseFromArray(cut.get(), static_cast<int>(size));
    CHECK(decode_publish_batch(as_bytes({cut.get(), size}), 100, decoded) == parses);
    if (parses) CHECK(same_frame(decoded, expected));
  }
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = whole;
    for (int n = 0; n < 3; ++n) bytes[random() % bytes.size()] = static_cast<char>(random());
    const bool good = decode_publish_batch(as_bytes(bytes), 100, decoded);
    v1::PublishBatch expected;
    if (!expected.ParseFromString(bytes)) continue;
    CHECK(good);
    if (good && !same_frame(decoded, expected)) {
      // Headers are looked into by the broker only: a header that protobuf reads leniently is refused there.
      bool refused = false;
      for (const publish_request& one : decoded.records) refused = refused || !check_headers(one.headers);
      CHECK(refused);
    }
  }
}

}  // namespace
}  // namespace weir
