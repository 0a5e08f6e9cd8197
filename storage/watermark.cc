#include "storage/watermark.h"

#include <array>
#include <optional>

#include "storage/crc32c.h"

namespace weir {
namespace {

constexpr std::string_view slot_magic = "WEIRWMK1";
constexpr uint64_t slot_stride = 4096;
constexpr size_t slot_size = 32;
constexpr size_t slot_crc_at = slot_size - 4;
constexpr uint32_t flag_clean = 1;

using page = std::array<uint8_t, slot_stride>;

page encode_slot(const watermark::state& state) {
  page to{};
  std::memcpy(to.data(), slot_magic.data(), slot_magic.size());
  store_le(to.data() + 8, state.counter);
  store_le(to.data() + 16, state.durable.raw());
  store_le(to.data() + 24, state.clean ? flag_clean : 0);
  store_le(to.data() + slot_crc_at, crc32c({to.data(), slot_crc_at}));
  return to;
}

std::optional<watermark::state> decode_slot(byte_span slot) {
  if (slot.size() < slot_size || as_text(slot.first(slot_magic.size())) != slot_magic) return std::nullopt;
  const uint8_t* from = slot.data();
  if (load_le<uint32_t>(from + slot_crc_at) != crc32c(slot.first(slot_crc_at))) return std::nullopt;
  watermark::state state;
  state.counter = load_le<uint64_t>(from + 8);
  state.durable = lsn(load_le<uint64_t>(from + 16));
  state.clean = (load_le<uint32_t>(from + 24) & flag_clean) != 0;
  return state;
}

result<std::unique_ptr<file>> make_file(disk& where, const std::string& path) {
  auto made = where.open(path, disk::mode::create);
  if (!made) return made;
  page zeros{};
  for (uint64_t slot = 0; slot < 2; ++slot) {
    auto put = (*made)->write_at(slot * slot_stride, zeros);
    if (!put) return put.err();
  }
  auto synced = (*made)->sync();
  if (synced) synced = where.sync_dir(parent_of(path));
  if (!synced) return synced.err();
  return made;
}

}  // namespace

result<std::unique_ptr<watermark>> watermark::open(disk& where, const std::string& path) {
  bool there = where.exists(path);
  auto opened = there ? where.open(path, disk::mode::read_write) : make_file(where, path);
  if (!opened) return opened.err();
  std::unique_ptr<watermark> made(new watermark(std::move(*opened)));
  for (uint64_t slot = 0; slot < 2; ++slot) {
    std::array<uint8_t, slot_size> bytes{};
    auto got = made->file_->read_at(slot * slot_stride, bytes);
    if (!got) return got.err();
    auto state = decode_slot({bytes.data(), *got});
    if (state && state->counter >= made->last_.counter) made->last_ = *state;
  }
  return made;
}

result<void> watermark::write(lsn durable, bool clean) {
  state next{last_.counter + 1, durable, clean};
  auto put = file_->write_at(next.counter % 2 * slot_stride, encode_slot(next));
  if (put) put = file_->sync();
  if (put) last_ = next;
  return put;
}

}  // namespace weir
