#include "net/publish_wire.h"

#include <doctest/doctest.h>

#include <random>

#include "waymaker/streams.pb.h"

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
  return request;
}

void check_same(const std::string& bytes) {
  pb::PublishRequest expected;
  REQUIRE(expected.ParseFromString(bytes));
  decoded_publish decoded;
  REQUIRE(decode_publish(as_bytes(bytes), decoded));
  CHECK(decoded.request.stream == expected.stream());
  CHECK(decoded.request.subject == expected.subject());
  CHECK(as_text(decoded.request.payload) == expected.payload());
  CHECK(decoded.request.ts_ms == expected.ts_ms());
  CHECK(decoded.request.expected_last_seq.has_value() == expected.has_expected_last_seq());
  CHECK(decoded.request.expected_last_seq.value_or(0) == expected.expected_last_seq());
  auto headers = decode_headers(decoded.request.headers);
  REQUIRE(headers);
  REQUIRE(headers->size() == static_cast<size_t>(expected.headers_size()));
  for (int n = 0; n < expected.headers_size(); ++n) {
    CHECK((*headers)[static_cast<size_t>(n)].key == expected.headers(n).key());
    CHECK((*headers)[static_cast<size_t>(n)].value == expected.headers(n).value());
  }
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
  uint64_t seed = std::getenv("WEIR_SEED") != nullptr ? std::stoull(std::getenv("WEIR_SEED")) : std::random_device()();
  MESSAGE("WEIR_SEED=" << seed);
  std::mt19937_64 random(seed);
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
  for (uint64_t seq : {uint64_t{1}, uint64_t{127}, uint64_t{128}, ~uint64_t{0}}) {
    pb::PublishResponse response;
    REQUIRE(response.ParseFromString(encode_published(seq_no(seq)).head));
    CHECK(response.success());
    CHECK(response.result_code() == "ok");
    CHECK(response.seq() == seq);
  }
}

TEST_CASE("publish wire: a run of small and large records keeps its order, and large ones are not copied") {
  reply out;
  out.head = "head";
  message_run run(out);
  slice large = slice::copy_of(as_bytes(std::string(5'000, 'L')));
  run.add_stored(slice::copy_of(as_bytes("a")));
  run.add_stored(large);
  run.text() += "b";
  run.add_stored(slice::copy_of(as_bytes("c")));
  run.add_stored(large);
  run.text() += "end";
  run.finish();
  std::string all = out.head;
  for (const slice& part : out.body) all += as_text(part.bytes());
  CHECK(all == "heada" + std::string(5'000, 'L') + "bc" + std::string(5'000, 'L') + "end");
  CHECK(out.body[0].data() == large.data());
}

}  // namespace
}  // namespace weir
