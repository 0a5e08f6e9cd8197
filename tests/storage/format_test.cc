// The worked examples of storage/FORMAT.md are what the code writes.
#include <cstdio>
#include <fstream>
#include <sstream>

#include "storage/block_writer.h"
#include "storage/record.h"
#include "storage/snapshot.h"
#include "tests/storage/journal_fixture.h"
#include "tests/storage/source_dir.h"

namespace weir {
namespace {

// Like `hexdump -C`, without the lines that are all zero.
std::string hex_dump(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (size_t line = 0; line < bytes.size(); line += 16) {
    size_t size = std::min<size_t>(16, bytes.size() - line);
    auto from = bytes.begin() + static_cast<ptrdiff_t>(line);
    if (std::all_of(from, from + static_cast<ptrdiff_t>(size), [](uint8_t byte) { return byte == 0; })) continue;
    char piece[24];
    std::snprintf(piece, sizeof piece, "%08zx ", line);
    text += piece;
    for (size_t i = 0; i < 16; ++i) {
      std::snprintf(piece, sizeof piece, i == 8 ? "  %02x" : " %02x", i < size ? bytes[line + i] : 0u);
      text += piece;
    }
    text += "  |";
    for (size_t i = 0; i < size; ++i) {
      uint8_t byte = bytes[line + i];
      text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
    }
    text += "|\n";
  }
  return text;
}

std::string format_page() {
  std::ifstream in(WEIR_SOURCE_DIR "/storage/FORMAT.md");
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

void check_page_shows(const std::string& dump) {
  INFO("the code writes:\n" << dump);
  CHECK(format_page().find(dump) != std::string::npos);
}

TEST_CASE("format: the example of a journal in FORMAT.md is what the code writes") {
  sim_disk disk;
  manual_clock clock;
  journal_config config;
  config.segment_bytes = segment_bytes_min;
  journal_on<inline_lane> j(disk, clock, config);
  REQUIRE(j.open());
  std::string headers = encode_headers({{"k", "v"}});
  record_fields fields{"orders.eu", wall_ms(1'700'000'000'000), as_bytes(headers), as_bytes("hello")};
  auto space = j.it->reserve(entry_kind::records, stream_id(7), record_size(fields, seq_no(1)));
  encode_record(space.payload, fields, seq_no(1), 1);
  j.it->seal();
  append(*j.it, std::string_view("\x02\0\0\0\0\0\0\0", 8), 7, entry_kind::remove_before);
  REQUIRE(j.close());
  check_page_shows(hex_dump(disk.contents("j/journal/1.wj")));
  check_page_shows(hex_dump(disk.contents("j/watermark")));
}

std::vector<uint8_t> make_record(seq_no seq, const record_fields& fields) {
  std::vector<uint8_t> bytes(record_size(fields, seq));
  encode_record(bytes.data(), fields, seq, 1);
  return bytes;
}

TEST_CASE("format: the example of a block file in FORMAT.md is what the code writes") {
  sim_disk disk;
  REQUIRE(disk.make_dir("s"));
  auto writer = block_writer::create(disk, "s/block", block_header{stream_id(7), seq_no(1), "L"});
  REQUIRE(writer);
  std::string headers = encode_headers({{"k", "v"}});
  const record_fields one{"orders.eu", wall_ms(1'700'000'000'000), as_bytes(headers), as_bytes("hello")};
  const record_fields other{"orders.us", wall_ms(1'700'000'000'001), {}, as_bytes("hi")};
  const std::vector<uint8_t> first = make_record(seq_no(1), one);
  const std::vector<uint8_t> third = make_record(seq_no(3), other);
  REQUIRE(writer->add(first, seq_no(1), one.subject, one.time));
  REQUIRE(writer->add(third, seq_no(3), other.subject, other.time));
  REQUIRE(writer->finish(false));
  check_page_shows(hex_dump(disk.contents("s/block")));
}

TEST_CASE("format: the example of a snapshot in FORMAT.md is what the code writes") {
  snapshot all;
  all.at = lsn(0x1080);
  all.state = "broker";
  log_snapshot& log = all.logs.emplace_back();
  log.id = stream_id(7);
  log.options.block_records = 100'000;
  log.options.label = "L";
  log.first = seq_no(1);
  log.last = seq_no(3);
  log.removed.add(seq_no(2));
  log.blocks.push_back(block_snapshot{seq_no(1), seq_no(3), 4501, false});
  std::string bytes = encode(all);
  check_page_shows(hex_dump({bytes.begin(), bytes.end()}));
}

}  // namespace
}  // namespace weir
