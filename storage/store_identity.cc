#include "storage/store_identity.h"

#include <algorithm>
#include <cstdio>

#include "storage/crc32c.h"
#include "storage/quarantine.h"

namespace weir {

namespace {

constexpr std::string_view first_line = "weir shard directory\n";
constexpr std::string_view format_line = "format 1\n";
constexpr size_t identity_bytes_max = 4096;

std::string hex(uint64_t value, int digits) {
  char text[24];
  std::snprintf(text, sizeof text, "%0*llx", digits, static_cast<unsigned long long>(value));
  return text;
}

uint64_t mixed(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

std::string sum_line(std::string_view before) {
  return "crc " + hex(crc32c(as_bytes(before)), 8) + "\n";
}

std::string make_identity(clock_port& clock) {
  auto wall = static_cast<uint64_t>(clock.wall().raw());
  auto mono = static_cast<uint64_t>(clock.mono().raw());
  std::string text(first_line);
  text += format_line;
  text += "id " + hex(mixed(wall ^ (mono << 20)), 16) + hex(mixed(mono + wall), 16) + "\n";
  return text + sum_line(text);
}

// Whole if its last line is the checksum of those before.
bool whole(std::string_view text) {
  if (!text.ends_with('\n')) return false;
  size_t last = text.rfind('\n', text.size() - 2);
  return last != std::string_view::npos && text.substr(last + 1) == sum_line(text.substr(0, last + 1));
}

bool is_ours(std::string_view name) {
  constexpr std::string_view known[] = {"SHARD.new", "journal/", "watermark", "streams/", "quarantine/"};
  return name.starts_with("snapshot-") || std::find(std::begin(known), std::end(known), name) != std::end(known);
}

result<std::string> read_text(disk& where, const std::string& path) {
  auto opened = where.open(path, disk::mode::read);
  if (!opened) return opened.err();
  std::string text(identity_bytes_max, '\0');
  auto got = (*opened)->read_at(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()});
  if (!got) return got.err();
  text.resize(*got);
  return text;
}

result<void> write_identity(disk& where, const std::string& root, clock_port& clock) {
  std::string temporary = root + "/SHARD.new";
  if (where.exists(temporary)) {
    auto removed = where.remove(temporary);
    if (!removed) return removed;
  }
  auto opened = where.open(temporary, disk::mode::create);
  if (!opened) return opened.err();
  std::string text = make_identity(clock);
  auto done = (*opened)->write_at(0, as_bytes(text));
  if (done) done = (*opened)->sync();
  if (done) done = where.rename(temporary, root + "/SHARD");
  if (done) done = where.sync_dir(root);
  return done;
}

}  // namespace

result<void> claim_directory(disk& where, const std::string& root, clock_port& clock, recovery_report& report) {
  auto made = make_dir_durable(where, root);
  if (!made) return made;
  auto names = where.list(root);
  if (!names) return names.err();
  std::string path = root + "/SHARD";
  bool all_ours =
      std::all_of(names->begin(), names->end(), [](const auto& name) { return name == "SHARD" || is_ours(name); });
  bool has_journal = std::find(names->begin(), names->end(), "journal/") != names->end();
  if (!where.exists(path)) {
    if (!all_ours) return fail(errc::foreign_directory, root + " holds files that are not weir's");
    if (has_journal) report.notes.push_back(path + " was gone and is written again");
    return write_identity(where, root, clock);
  }
  auto text = read_text(where, path);
  if (!text) return text.err();
  if (whole(*text)) {
    if (!text->starts_with(first_line)) return fail(errc::foreign_directory, path + " is not weir's");
    if (std::string_view(*text).substr(first_line.size()).starts_with(format_line)) return ok();
    return fail(errc::foreign_directory, path + " is of another format than this program's (1)");
  }
  if (!all_ours || !has_journal) return fail(errc::foreign_directory, path + " is not weir's");
  auto moved = quarantine(where, root, path);
  if (!moved) return moved.err();
  report.quarantined.push_back(*moved);
  report.notes.push_back(path + " was damaged and is written again");
  return write_identity(where, root, clock);
}

}  // namespace weir
