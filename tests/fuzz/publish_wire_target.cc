// The decoders of net/publish_wire.h read what protobuf reads, and nothing that protobuf refuses; text and headers are
// left to the broker to check.
//
// The first byte of an input says which message the rest is: a frame of the fast lane, a PublishRequest, or a
// PublishAllRequest.
#include "net/publish_wire.h"

#include <google/protobuf/stubs/logging.h>

#include "tests/fuzz/lenient.pb.h"
#include "tests/fuzz/target.h"
#include "waymaker/streams.pb.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

constexpr size_t messages_max = 1'000;

template <class Message>
bool parses(byte_span bytes, Message& into) {
  return into.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

template <class Message>
void same_message(const publish_request& decoded, const Message& expected) {
  must_hold(decoded.subject == expected.subject(), "subject");
  must_hold(as_text(decoded.payload) == expected.payload(), "payload");
  must_hold(decoded.ts_ms == expected.ts_ms(), "ts_ms");
  must_hold(decoded.expected_last_seq.has_value() == expected.has_expected_last_seq(), "expected_last_seq is there");
  must_hold(decoded.expected_last_seq.value_or(0) == expected.expected_last_seq(), "expected_last_seq");
  must_hold(decoded.message_id == expected.message_id(), "message_id");
  must_hold(decoded.ttl_ms == expected.ttl_ms(), "ttl_ms");
  must_hold(decoded.deliver_at_ms == expected.deliver_at_ms(), "deliver_at_ms");
  lenient::Headers headers;
  must_hold(parses(decoded.headers, headers), "headers are a run of elements");
  must_hold(headers.headers_size() == expected.headers_size(), "number of headers");
  for (int i = 0; i < headers.headers_size(); ++i) must_hold(headers.headers(i) == expected.headers(i), "header");
}

void check_frame(byte_span bytes) {
  decoded_batch decoded;
  const bool good = decode_publish_batch(bytes, messages_max, decoded);
  if (decoded.records.size() > messages_max) return;  // not read to its end
  lenient::PublishBatch expected;
  must_hold(good == parses(bytes, expected), "a frame is read if protobuf reads it");
  v1::PublishBatch contract;
  must_hold(good || !parses(bytes, contract), "a frame of the contract is read");
  if (!good) return;
  must_hold(decoded.stream == expected.stream(), "stream");
  must_hold(decoded.frame == expected.frame(), "frame");
  must_hold(decoded.atomic == expected.atomic(), "atomic");
  must_hold(decoded.records.size() == static_cast<size_t>(expected.messages_size()), "number of records");
  for (size_t i = 0; i < decoded.records.size(); ++i) {
    same_message(decoded.records[i], expected.messages(static_cast<int>(i)));
  }
}

void check_request(byte_span bytes) {
  decoded_publish decoded;
  const bool good = decode_publish(bytes, decoded);
  lenient::PublishRequest expected;
  must_hold(good == parses(bytes, expected), "a request is read if protobuf reads it");
  waymaker::streams::PublishRequest contract;
  must_hold(good || !parses(bytes, contract), "a request of the contract is read");
  if (!good) return;
  must_hold(decoded.request.stream == expected.stream(), "stream");
  same_message(decoded.request, expected);
}

void check_all(byte_span bytes) {
  std::deque<decoded_publish> decoded;
  const bool good = decode_publish_all(bytes, messages_max, decoded);
  if (decoded.size() > messages_max) return;
  lenient::PublishAllRequest expected;
  must_hold(good == parses(bytes, expected), "a run is read if protobuf reads it");
  if (!good) return;
  must_hold(decoded.size() == static_cast<size_t>(expected.messages_size()), "number of messages");
  for (size_t i = 0; i < decoded.size(); ++i) {
    must_hold(decoded[i].request.stream == expected.messages(static_cast<int>(i)).stream(), "stream of a message");
    same_message(decoded[i].request, expected.messages(static_cast<int>(i)));
  }
}

template <class Record>
void fill(Record& record, int n) {
  record.set_subject("orders." + std::to_string(n));
  record.set_payload(std::string(static_cast<size_t>(n) * 50, 'x'));
  if (n == 0) return;
  for (int i = 0; i < n; ++i) {
    record.add_headers()->set_key("key");
    record.mutable_headers(i)->set_value(std::to_string(i));
  }
  record.set_ts_ms(n == 1 ? -5 : 1'700'000'000'000);
  if (n == 2) record.set_expected_last_seq(0);
  record.set_message_id("id-" + std::to_string(n));
  record.set_ttl_ms(60'000);
  record.set_deliver_at_ms(1'800'000'000'000);
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds;
  const std::string frame_kind(1, '\0'), request_kind(1, '\1'), all_kind(1, '\2');
  v1::PublishBatch frame;
  waymaker::streams::PublishRequest request;
  v1::PublishAllRequest all;
  for (int n = 0; n < 4; ++n) {
    frame.set_stream("s");
    frame.set_frame(static_cast<uint64_t>(n) * 100);
    frame.set_atomic(n % 2 == 1);
    fill(*frame.add_messages(), n);
    request.set_stream("s");
    request.clear_headers();
    fill(request, n);
    *all.add_messages() = request;
    seeds.push_back(frame_kind + frame.SerializeAsString());
    seeds.push_back(request_kind + request.SerializeAsString());
    seeds.push_back(all_kind + all.SerializeAsString());
  }
  const std::string unknown = "\x7a\x03xyz\x78\x05" + std::string("\x7d\x01\x02\x03\x04", 5) + "\x7b\x08\x01\x7c";
  for (const std::string& kind : {frame_kind, request_kind, all_kind}) seeds.push_back(kind + unknown);
  return seeds;
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool quiet = google::protobuf::SetLogHandler(nullptr) != nullptr;
  if (size == 0 || !quiet) return 0;
  const weir::byte_span bytes(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      weir::check_frame(bytes);
      break;
    case 1:
      weir::check_request(bytes);
      break;
    default:
      weir::check_all(bytes);
  }
  return 0;
}
