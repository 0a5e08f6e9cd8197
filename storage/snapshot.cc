#include "storage/snapshot.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "storage/codec.h"
#include "storage/crc32c.h"

namespace weir {

namespace {

constexpr std::string_view magic = "WEIRSNP1";
constexpr uint32_t version = 1;
constexpr size_t header_bytes = 40;
constexpr std::string_view prefix = "snapshot-";
constexpr std::string_view unfinished = ".new";
constexpr size_t digits = 20;

constexpr uint8_t flag_written_is_visible = 1;
constexpr uint8_t flag_closed = 1;

void encode_log(byte_writer& to, const log_snapshot& log) {
  to.u64(log.id.raw());
  to.u8(log.options.written_is_visible ? flag_written_is_visible : 0);
  to.varint(log.options.block_records);
  to.counted(log.options.label);
  to.varint(log.first.raw());
  to.varint(log.last.raw());
  log.removed.encode(to);
  log.lost.encode(to);
  to.varint(log.blocks.size());
  for (const block_snapshot& block : log.blocks) {
    to.varint(block.base.raw());
    to.varint(block.last.raw());
    to.varint(block.length);
    to.u8(block.closed ? flag_closed : 0);
  }
}

log_snapshot decode_log(byte_reader& from) {
  log_snapshot log;
  log.id = stream_id(from.u64());
  log.options.written_is_visible = (from.u8() & flag_written_is_visible) != 0;
  log.options.block_records = from.varint();
  log.options.label = from.counted();
  log.first = seq_no(from.varint());
  log.last = seq_no(from.varint());
  log.removed = interval_set::decode(from);
  log.lost = interval_set::decode(from);
  if (log.first.raw() > log.last.raw() + 1) from.bad();
  uint64_t blocks = from.varint();
  seq_no before;
  for (uint64_t i = 0; i < blocks && from.good(); ++i) {
    block_snapshot block;
    block.base = seq_no(from.varint());
    block.last = seq_no(from.varint());
    block.length = from.varint();
    block.closed = (from.u8() & flag_closed) != 0;
    if (block.base <= before || block.last < block.base || block.last > log.last) from.bad();
    before = block.last;
    log.blocks.push_back(block);
  }
  return log;
}

}  // namespace

// Header: magic 0, version 8, zero 12, lsn 16, body bytes 24, body crc 32, crc 36. Body: state, logs.
std::string encode(const snapshot& from) {
  std::string bytes(header_bytes, '\0');
  byte_writer to(bytes);
  to.counted(from.state);
  to.varint(from.logs.size());
  for (const log_snapshot& log : from.logs) encode_log(to, log);
  auto* header = reinterpret_cast<uint8_t*>(bytes.data());
  byte_span body = as_bytes(bytes).subspan(header_bytes);
  std::memcpy(header, magic.data(), magic.size());
  store_le<uint32_t>(header + 8, version);
  store_le<uint64_t>(header + 16, from.at.raw());
  store_le<uint64_t>(header + 24, body.size());
  store_le<uint32_t>(header + 32, crc32c(body));
  store_le<uint32_t>(header + 36, crc32c({header, 36}));
  return bytes;
}

result<snapshot> decode_snapshot(byte_span bytes) {
  error damaged = fail(errc::data_loss, "damaged snapshot");
  if (bytes.size() < header_bytes || as_text(bytes.first(magic.size())) != magic) return damaged;
  const uint8_t* header = bytes.data();
  byte_span body = bytes.subspan(header_bytes);
  bool whole = load_le<uint32_t>(header + 36) == crc32c(bytes.first(36)) && load_le<uint32_t>(header + 8) == version &&
               load_le<uint64_t>(header + 24) == body.size() && load_le<uint32_t>(header + 32) == crc32c(body);
  if (!whole) return damaged;
  snapshot read;
  read.at = lsn(load_le<uint64_t>(header + 16));
  byte_reader from(body);
  read.state = from.counted();
  uint64_t logs = from.varint();
  for (uint64_t i = 0; i < logs && from.good(); ++i) read.logs.push_back(decode_log(from));
  if (!from.good() || from.left() != 0) return damaged;
  return read;
}

std::string snapshot_path(const std::string& root, lsn at) {
  char name[48];
  std::snprintf(name, sizeof name, "/snapshot-%020llu", static_cast<unsigned long long>(at.raw()));
  return root + name;
}

result<std::vector<lsn>> list_snapshots(disk& where, const std::string& root) {
  auto names = where.list(root);
  if (!names) return names.err();
  std::vector<lsn> found;
  for (const std::string& name : *names) {
    std::string_view rest = name;
    if (!rest.starts_with(prefix) || rest.size() != prefix.size() + digits) continue;
    rest.remove_prefix(prefix.size());
    uint64_t at = 0;
    auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), at);
    if (failure == std::errc() && end == rest.data() + rest.size()) found.push_back(lsn(at));
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

result<void> write_snapshot(disk& where, const std::string& root, const snapshot& from) {
  std::string bytes = encode(from);
  std::string path = snapshot_path(root, from.at);
  std::string temporary = path + std::string(unfinished);
  if (where.exists(temporary)) {
    auto removed = where.remove(temporary);
    if (!removed) return removed;
  }
  auto opened = where.open(temporary, disk::mode::create);
  if (!opened) return opened.err();
  auto done = (*opened)->write_at(0, as_bytes(bytes));
  if (done) done = (*opened)->sync();
  if (done) done = where.rename(temporary, path);
  if (done) return where.sync_dir(root);
  // What did not become a snapshot only takes room.
  [[maybe_unused]] auto removed = where.remove(temporary);
  return done;
}

result<snapshot> read_snapshot(disk& where, const std::string& root, lsn at) {
  auto opened = where.open(snapshot_path(root, at), disk::mode::read);
  if (!opened) return opened.err();
  auto size = (*opened)->size();
  if (!size) return size.err();
  std::vector<uint8_t> bytes(*size);
  auto got = (*opened)->read_at(0, bytes);
  if (!got) return got.err();
  bytes.resize(*got);
  auto read = decode_snapshot(bytes);
  if (read && read->at != at) return fail(errc::data_loss, "a snapshot under another one's name");
  return read;
}

}  // namespace weir
