#include "net/record_wire.h"

#include <doctest/doctest.h>

#include "waymaker/streams.pb.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

std::string text_of(const reply& message) {
  std::string all = message.head;
  for (const slice& part : message.body) all += as_text(part.bytes());
  return all;
}

delivery stored(uint64_t seq, size_t payload_bytes, uint32_t deliver_count) {
  const std::string payload(payload_bytes, 'p');
  const std::string headers = encode_headers({{"key", "one"}, {"key", "two"}});
  const record_fields fields{"orders.new", wall_ms(1'234), as_bytes(headers), as_bytes(payload)};
  std::string bytes(record_size(fields, seq_no(seq)), '\0');
  encode_record(reinterpret_cast<uint8_t*>(bytes.data()), fields, seq_no(seq), 7);
  return {found_record{seq_no(seq), slice::copy_of(as_bytes(bytes))}, deliver_count};
}

void check_message(const pb::MessagePb& message, const delivery& sent, size_t payload_bytes) {
  CHECK(message.seq() == sent.record.seq.raw());
  CHECK(message.subject() == "orders.new");
  CHECK(message.ts_ms() == 1'234);
  CHECK(message.payload() == std::string(payload_bytes, 'p'));
  CHECK(message.deliver_count() == sent.deliver_count);
  REQUIRE(message.headers_size() == 2);
  CHECK(message.headers(1).value() == "two");
}

TEST_CASE("record wire: a run of small and large records keeps its order, and large ones are not copied") {
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
  CHECK(text_of(out) == "heada" + std::string(5'000, 'L') + "bc" + std::string(5'000, 'L') + "end");
  CHECK(out.body[0].data() == large.data());
}

TEST_CASE("record wire: a pushed message is a SubscribeEvent, small or large, first delivery or later") {
  for (size_t payload_bytes : {size_t{0}, size_t{100}, size_t{1'024}, size_t{5'000}, size_t{300'000}}) {
    for (uint32_t deliver_count : {1u, 2u, 1'000u}) {
      const delivery sent = stored(42, payload_bytes, deliver_count);
      result<reply> encoded = encode_event(sent);
      REQUIRE(encoded);
      pb::SubscribeEvent event;
      REQUIRE(event.ParseFromString(text_of(*encoded)));
      REQUIRE(event.has_message());
      check_message(event.message(), sent, payload_bytes);
    }
  }
}

TEST_CASE("record wire: the first delivery of a large message is sent from where it lies") {
  const delivery sent = stored(42, 5'000, 1);
  result<reply> encoded = encode_event(sent);
  REQUIRE(encoded);
  REQUIRE(encoded->body.size() == 1);
  CHECK(encoded->body[0].data() == sent.record.bytes.data() + 1);
}

TEST_CASE("record wire: what was fetched is a FetchResponse with its messages and damaged sequences") {
  fetch_outcome fetched;
  fetched.deliveries = {stored(1, 10, 1), stored(2, 5'000, 3), stored(5, 5'000, 1), stored(900, 0, 2)};
  fetched.damaged = {seq_no(3), seq_no(400)};
  result<reply> encoded = encode_fetched(fetched);
  REQUIRE(encoded);
  pb::FetchResponse response;
  REQUIRE(response.ParseFromString(text_of(*encoded)));
  CHECK(response.success());
  CHECK(response.result_code() == "ok");
  REQUIRE(response.messages_size() == 4);
  const size_t sizes[] = {10, 5'000, 5'000, 0};
  for (size_t n = 0; n < 4; ++n) check_message(response.messages(static_cast<int>(n)), fetched.deliveries[n], sizes[n]);
  CHECK(std::vector<uint64_t>(response.damaged_seqs().begin(), response.damaged_seqs().end()) ==
        std::vector<uint64_t>{3, 400});
}

TEST_CASE("record wire: the end of a subscription says why") {
  pb::SubscribeEvent event;
  REQUIRE(event.ParseFromString(text_of(encode_stopped("consumer deleted"))));
  REQUIRE(event.has_stopped());
  CHECK(event.stopped().reason() == "consumer deleted");
}

}  // namespace
}  // namespace weir
