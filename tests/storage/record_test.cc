#include "storage/record.h"

#include <doctest/doctest.h>

#include <random>

#include "storage/crc32c.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

std::vector<uint8_t> encode(const record_fields& fields, seq_no seq, uint64_t epoch) {
  size_t size = record_size(fields, seq);
  std::vector<uint8_t> padded(size + 16, 0xee);
  encode_record(padded.data(), fields, seq, epoch);
  for (size_t i = size; i < padded.size(); ++i) REQUIRE(padded[i] == 0xee);  // never past its size
  std::vector<uint8_t> bytes(padded.begin(), padded.begin() + static_cast<ptrdiff_t>(size));
  return bytes;
}

std::vector<uint8_t> sample() {
  static const std::string headers = encode_headers({{"k", "v"}, {"k", "w"}});
  return encode({"a.b", wall_ms(1'700'000'000'000), as_bytes(headers), as_bytes("hello")}, seq_no(300), 7);
}

// The checksum made right again, so that only the form is wrong.
void mend(std::vector<uint8_t>& bytes) {
  store_le(bytes.data() + bytes.size() - 4, crc32c({bytes.data(), bytes.size() - 6}));
}

TEST_CASE("record: every byte stands where FORMAT.md says") {
  std::string headers = encode_headers({{"k", "v"}});
  auto bytes = encode({"a.b", wall_ms(1000), as_bytes(headers), as_bytes("hi")}, seq_no(300), 0x0807060504030201);
  std::vector<uint8_t> expected = {0x22, 40,                                         // MessagePb, length
                                   0x08, 0xac, 0x02,                                 // seq 300
                                   0x12, 3,    'a',  '.', 'b',                       // subject
                                   0x18, 0xe8, 0x07,                                 // time 1000
                                   0x22, 6,    0x0a, 1,   'k', 0x12, 1, 'v',         // header
                                   0x2a, 2,    'h',  'i',                            // payload
                                   0x30, 1,                                          // delivery count
                                   0xc1, 0x3e, 1,    2,   3,   4,    5, 6,   7, 8};  // epoch
  expected[1] = static_cast<uint8_t>(expected.size() - 2 + 6);                       // and the checksum
  uint32_t crc = crc32c(expected);
  expected.insert(expected.end(), {0xcd, 0x3e});
  for (unsigned shift = 0; shift < 32; shift += 8) expected.push_back(static_cast<uint8_t>(crc >> shift));
  CHECK(bytes == expected);
}

TEST_CASE("record: what is encoded is decoded, whatever the sizes") {
  auto [first, last] = test_seeds(1, 20);
  for (uint64_t seed = first; seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 2000; ++i) {
      std::string subject(1 + random() % 200, 's');
      std::string payload(random() % 3 == 0 ? 0 : random() % 20000, 'p');
      std::vector<header> list(random() % 4, header{"key", std::string(random() % 200, 'v')});
      std::string headers = encode_headers(list);
      auto time = wall_ms(random() % 4 == 0 ? 0 : static_cast<int64_t>(random()) >> (random() % 64));
      auto seq = seq_no(1 + (random() >> (random() % 64)) % (UINT64_MAX - 1));
      uint64_t epoch = random();
      auto bytes = encode({subject, time, as_bytes(headers), as_bytes(payload)}, seq, epoch);
      bytes.push_back(0x22);  // the next record begins here
      auto record = decode_record(bytes);
      REQUIRE(record);
      REQUIRE(record->seq == seq);
      REQUIRE(record->subject == subject);
      REQUIRE(record->time == time);
      REQUIRE(as_text(record->payload) == payload);
      REQUIRE(record->epoch == epoch);
      REQUIRE(record->whole.size() == bytes.size() - 1);
      auto decoded = decode_headers(record->headers);
      REQUIRE(decoded);
      REQUIRE(*decoded == list);
      REQUIRE(check_headers(record->headers));
    }
  }
}

TEST_CASE("record: no flipped bit and no cut goes unnoticed") {
  auto bytes = sample();
  REQUIRE(decode_record(bytes));
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      auto bad = bytes;
      bad[i] ^= static_cast<uint8_t>(1u << bit);
      auto record = decode_record(bad);
      REQUIRE(!record);
      REQUIRE(record.err().code == errc::data_loss);
    }
    REQUIRE_FALSE(decode_record({bytes.data(), i}));
  }
}

TEST_CASE("record: garbage is refused, never read past its end") {
  auto [first, last] = test_seeds(1, 50);
  for (uint64_t seed = first; seed < last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 20000; ++i) {
      // On the heap and of the exact size, so that a sanitizer sees every byte too far. Half of them look right at
      // first.
      std::vector<uint8_t> bytes(random() % 80);
      for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
      if (bytes.size() > 40 && random() % 2 == 0) {
        auto good = sample();
        size_t keep = random() % bytes.size();
        std::copy_n(good.begin(), std::min(keep, good.size()), bytes.begin());
      }
      bytes.shrink_to_fit();
      auto record = decode_record(bytes);
      if (record) REQUIRE(record->whole.size() <= bytes.size());
      auto headers = decode_headers(bytes);
      if (headers) REQUIRE(encode_headers(*headers).size() >= headers->size());
    }
  }
}

TEST_CASE("record: a form that the encoder never writes is refused even with a good checksum") {
  auto refused = [](std::vector<uint8_t> bytes) {
    bytes[1] = static_cast<uint8_t>(bytes.size() - 2);
    mend(bytes);
    return !decode_record(bytes);
  };
  auto base = encode({"s", wall_ms(5), {}, as_bytes("p")}, seq_no(1), 0);
  REQUIRE_FALSE(refused(base));  // 22 len 08 01 12 01 73 18 05 2a 01 70 30 01 ...

  SUBCASE("a length that is not the shortest") {
    auto bad = base;
    bad[3] = 0x81;
    bad.insert(bad.begin() + 4, 0x00);
    CHECK(refused(bad));
  }
  SUBCASE("a zero that would have been left out") {
    auto bad = base;
    bad[8] = 0;
    CHECK(refused(bad));
  }
  SUBCASE("an empty payload that would have been left out") {
    auto bad = base;
    bad[10] = 0;
    bad.erase(bad.begin() + 11);
    CHECK(refused(bad));
  }
  SUBCASE("no sequence number") {
    auto bad = base;
    bad[3] = 0;
    CHECK(refused(bad));
  }
  SUBCASE("fields in another order") {
    auto bad = base;
    std::swap_ranges(bad.begin() + 7, bad.begin() + 9, bad.begin() + 9);
    CHECK(refused(bad));
  }
  SUBCASE("an unknown field") {
    auto bad = base;
    bad.insert(bad.begin() + 12, {0x38, 0x01});
    CHECK(refused(bad));
  }
  SUBCASE("another delivery count") {
    auto bad = base;
    bad[13] = 2;
    CHECK(refused(bad));
  }
  SUBCASE("a number of more than 64 bits") {
    auto bad = base;
    bad.erase(bad.begin() + 3);
    bad.insert(bad.begin() + 3, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02});
    CHECK(refused(bad));
  }
}

TEST_CASE("record: headers keep order and duplicates, and bad ones are refused by name") {
  std::vector<header> list = {{"b", "1"}, {"a", ""}, {"b", "2"}, {"", "x"}};
  auto decoded = decode_headers(as_bytes(encode_headers(list)));
  REQUIRE(decoded);
  CHECK(*decoded == list);
  CHECK(decode_headers({})->empty());
  using namespace std::string_view_literals;
  for (std::string_view bad : {"\x22"sv, "\x22\x05\x0a"sv, "\x12\x00"sv, "\x22\x03\x0a\x01\xff"sv, "\x22\x02\x18\x01"sv,
                               "\x22\x06\x12\x01v\x0a\x01k"sv, "\x22\x80\x00"sv, "\x22\x02\x0a\x7f"sv}) {
    auto refused = check_headers(as_bytes(bad));
    REQUIRE(!refused);
    CHECK(refused.err().code == errc::invalid_argument);
    CHECK(refused.err().message.find("headers") != std::string::npos);
    CHECK_FALSE(decode_headers(as_bytes(bad)));
  }
}

TEST_CASE("record: re-encoded it carries the wanted delivery count and neither epoch nor checksum") {
  auto bytes = sample();
  auto record = decode_record(bytes);
  REQUIRE(record);
  std::string kept(bytes.begin() + 2, bytes.end() - 18);
  std::string out = "before";
  append_reencoded(out, 0x22, *record, 300);
  CHECK(out == "before\x22" + std::string(1, static_cast<char>(kept.size() + 3)) + kept + "\x30\xac\x02");
  out.clear();
  append_reencoded(out, 0x1a, *record, 0);
  CHECK(out == "\x1a" + std::string(1, static_cast<char>(kept.size())) + kept);
}

TEST_CASE("crc32c: the check value of the standard, and going on from a prefix") {
  CHECK(crc32c(as_bytes("123456789")) == 0xe3069283);
  CHECK(crc32c(as_bytes("56789"), crc32c(as_bytes("1234"))) == 0xe3069283);
  CHECK(crc32c({}) == 0);
}

}  // namespace
}  // namespace weir
