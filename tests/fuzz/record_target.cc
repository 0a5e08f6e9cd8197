// A stored record is read in one form only, and that is what protobuf reads of it. Damage is reported.
#include <cstring>

#include "storage/crc32c.h"
#include "storage/record.h"
#include "tests/fuzz/lenient.pb.h"
#include "tests/fuzz/target.h"

namespace weir {
namespace {

void check_record(byte_span bytes) {
  const auto view = parse_record(bytes);
  const auto checked = decode_record(bytes);
  must_hold(view || !checked, "what has a good checksum is read without it too");
  if (!view) return;
  must_hold(view->whole.size() <= bytes.size(), "no more than there is");
  const record_fields fields{view->subject, view->time, view->headers, view->payload};
  must_hold(record_size(fields, view->seq) == view->whole.size(), "its size");
  std::string again(view->whole.size(), '\0');
  encode_record(reinterpret_cast<uint8_t*>(again.data()), fields, view->seq, view->epoch);
  const bool same = again == as_text(view->whole);
  must_hold(same == static_cast<bool>(checked), "one form only, and its checksum");
  must_hold(again.compare(0, again.size() - 4, as_text(view->whole), 0, again.size() - 4) == 0, "one form only");

  lenient::Records read;
  must_hold(read.ParseFromArray(view->whole.data(), static_cast<int>(view->whole.size())), "protobuf reads it");
  must_hold(read.messages_size() == 1, "one message");
  const lenient::MessagePb& message = read.messages(0);
  must_hold(message.seq() == view->seq.raw() && message.subject() == view->subject, "seq, subject");
  must_hold(message.ts_ms() == view->time.raw() && message.payload() == as_text(view->payload), "time, payload");
  must_hold(message.deliver_count() == 1 && message.weir_epoch() == view->epoch, "count, epoch");
  lenient::Headers headers;
  must_hold(headers.ParseFromArray(view->headers.data(), static_cast<int>(view->headers.size())), "headers");
  must_hold(headers.headers_size() == message.headers_size(), "number of headers");
  const auto apart = decode_headers(view->headers);
  must_hold(static_cast<bool>(apart) == static_cast<bool>(check_headers(view->headers)), "both checks of headers");
  if (apart) must_hold(encode_headers(*apart) == as_text(view->headers), "headers in one form only");

  std::string other;
  append_reencoded(other, 0x22, *view, 7);
  lenient::Records counted;
  must_hold(counted.ParseFromString(other) && counted.messages_size() == 1, "protobuf reads a redelivery");
  must_hold(counted.messages(0).deliver_count() == 7 && counted.messages(0).payload() == message.payload(),
            "a redelivery");
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  std::vector<std::string> seeds;
  const std::string headers = encode_headers({{"key", "value"}, {"", ""}, {"k", "v"}});
  for (const size_t size : {size_t{0}, size_t{1}, size_t{20}, size_t{200}}) {
    const std::string payload(size, 'x');
    for (const bool with_headers : {false, true}) {
      const record_fields fields{"orders.new", wall_ms(with_headers ? 1'700'000'000'000 : 0),
                                 with_headers ? as_bytes(headers) : byte_span(), as_bytes(payload)};
      std::string bytes(record_size(fields, seq_no(size + 1)), '\0');
      encode_record(reinterpret_cast<uint8_t*>(bytes.data()), fields, seq_no(size + 1), 1);
      seeds.push_back(bytes);
    }
  }
  return seeds;
}

}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weir::check_record({data, size});
  // No search finds a checksum.
  const auto view = weir::parse_record({data, size});
  if (!view) return 0;
  std::string mended(weir::as_text(view->whole));
  const uint32_t crc = weir::crc32c(weir::as_bytes(mended).first(mended.size() - 6));
  for (size_t i = 0; i < 4; ++i) mended[mended.size() - 4 + i] = static_cast<char>(crc >> (8 * i));
  weir::must_hold(static_cast<bool>(weir::decode_record(weir::as_bytes(mended))), "a mended checksum");
  weir::check_record(weir::as_bytes(mended));
  return 0;
}
