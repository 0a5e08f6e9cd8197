// What tools/versus relies on to call a figure a figure: stamps, the ledger, and frames made and read by hand.
#include <doctest/doctest.h>

#include "tools/versus/ledger.h"
#include "tools/versus/stamp.h"
#include "tools/versus/weir_wire.h"
#include "waymaker/streams.pb.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

byte_span bytes_of(const std::string& text) {
  return as_bytes(text);
}

TEST_CASE("versus: a stamp is read back, and a payload with one changed bit is refused") {
  stamper by(7, 128);
  std::string payload(by.payload_bytes(), '\0');
  by.write(reinterpret_cast<uint8_t*>(payload.data()), 12345, 678);
  auto read = read_stamp(bytes_of(payload));
  REQUIRE(read);
  CHECK(read->publisher == 7);
  CHECK(read->number == 12345);
  CHECK(read->sent_ns == 678);
  for (size_t at = 0; at < payload.size(); ++at) {
    std::string changed = payload;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    CHECK_FALSE(read_stamp(bytes_of(changed)));
  }
  CHECK_FALSE(read_stamp(bytes_of(payload.substr(0, stamp_bytes - 1))));
}

TEST_CASE("versus: a renewed payload is the one that would have been written") {
  stamper by(3, 64);
  std::string renewed(by.payload_bytes(), '\0');
  std::string written = renewed;
  by.write(reinterpret_cast<uint8_t*>(renewed.data()), 1, 2);
  by.renew(reinterpret_cast<uint8_t*>(renewed.data()), 9, 10);
  by.write(reinterpret_cast<uint8_t*>(written.data()), 9, 10);
  CHECK(renewed == written);
}

TEST_CASE("versus: a ledger finds nothing wrong when every message came once, in any order, over two connections") {
  ledger one;
  ledger other;
  for (uint64_t n = 0; n < 200; ++n) CHECK((n % 3 == 0 ? one : other).take(1, 199 - n));
  CHECK(one.take(0, 0));
  one.merge(other);
  CHECK(one.taken() == 201);
  CHECK(one.difference({1, 200}).empty());
}

TEST_CASE("versus: a ledger tells what is missing, what came twice and what was never sent") {
  ledger seen;
  for (uint64_t n : {0u, 1u, 2u, 70u}) (void)seen.take(0, n);
  CHECK(seen.difference({71}) == "67 missing, 0 twice, 0 never sent");
  CHECK(seen.difference({3}) == "0 missing, 0 twice, 1 never sent");
  CHECK_FALSE(seen.take(0, 70));
  CHECK(seen.difference({71}) == "67 missing, 1 twice, 0 never sent");
  ledger again;
  (void)again.take(0, 1);
  seen.merge(again);
  CHECK(seen.difference({71}) == "67 missing, 2 twice, 0 never sent");
  CHECK(seen.difference({71, 5}) == "72 missing, 2 twice, 0 never sent");
  (void)seen.take(ledger::publishers_max, 0);
  CHECK(seen.difference({71}) == "67 missing, 2 twice, 1 never sent");
}

TEST_CASE("versus: a frame made by hand is the frame that protobuf reads, each time it is renewed") {
  versus_options options;
  options.size = 100;
  publish_share share(options, 5);
  publish_frame frame("stream", "stream.a", 3, share);
  uint64_t number = 0;
  for (uint64_t count : {1u, 3u, 3u, 2u}) {
    byte_span bytes = frame.renew(share, 1000 + number, count, 42);
    weir::v1::PublishBatch parsed;
    REQUIRE(parsed.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
    CHECK(parsed.stream() == "stream");
    CHECK(parsed.frame() == 1000 + number);
    REQUIRE(parsed.messages_size() == static_cast<int>(count));
    for (const auto& message : parsed.messages()) {
      CHECK(message.subject() == "stream.a");
      CHECK(message.payload().size() == 100);
      auto read = read_stamp(bytes_of(message.payload()));
      REQUIRE(read);
      CHECK(read->publisher == 5);
      CHECK(read->number == number++);
      CHECK(read->sent_ns == 42);
    }
  }
  CHECK(share.sent() == number);
}

TEST_CASE("versus: a paced share is due at its rate, stamps what is late with its due time, and ends with its count") {
  versus_options options;
  options.size = 64;
  options.rate = 2000;  // of two connections: a millisecond apart
  options.connections = 2;
  options.seconds = 0.005;
  publish_share share(options, 0);
  constexpr uint64_t ms = 1'000'000;
  share.begin(100 * ms);
  CHECK(share.paced());
  CHECK(share.due(100 * ms) == 1);
  std::string payload(64, '\0');
  auto* bytes = reinterpret_cast<uint8_t*>(payload.data());
  CHECK(share.next(bytes, 100 * ms) == 100 * ms);
  CHECK(share.due(100 * ms) == 0);
  CHECK(share.next_due_ns() == 101 * ms);
  CHECK(share.due(103 * ms) == 3);
  CHECK(share.renew(bytes, 103 * ms) == 101 * ms);
  CHECK(read_stamp(bytes_of(payload))->sent_ns == 101 * ms);
  CHECK(share.due(109 * ms) == 3);  // five in all
  for (int n = 0; n < 3; ++n) (void)share.next(bytes, 109 * ms);
  CHECK(share.over(109 * ms));
}

TEST_CASE("versus: what protobuf writes as a FetchResponse is read by hand") {
  stamper by(0, 40);
  waymaker::streams::FetchResponse response;
  response.set_success(true);
  response.set_result_code("ok");
  for (uint64_t n = 0; n < 5; ++n) {
    std::string payload(by.payload_bytes(), '\0');
    by.write(reinterpret_cast<uint8_t*>(payload.data()), n, now_ns());
    auto& message = *response.add_messages();
    message.set_seq(1000 + n);
    message.set_subject("stream.a");
    message.set_ts_ms(1'700'000'000'000);
    message.set_payload(payload);
    message.set_deliver_count(1);
    message.set_weir_epoch(1);
    message.set_weir_crc32c(2);
  }
  consume_progress all;
  consume_share share(all);
  delivered_batch batch;
  std::string bytes = response.SerializeAsString();
  read_delivered(bytes_of(bytes), share, batch);
  share.tell();
  CHECK(batch.seqs.size() == 5);
  CHECK(batch.seqs == std::vector<uint64_t>{1000, 1001, 1002, 1003, 1004});
  CHECK(all.received.load() == 5);
  CHECK(share.seen().difference({5}).empty());
}

}  // namespace
}  // namespace weir
