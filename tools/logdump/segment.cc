#include <fmt/core.h>

#include "storage/journal.h"
#include "storage/journal_segment.h"
#include "tools/logdump/dump.h"

namespace weir {
namespace {

const char* kind_name(uint8_t kind) {
  switch (static_cast<entry_kind>(kind)) {
    case entry_kind::records:
      return "records";
    case entry_kind::remove_before:
      return "remove_before";
    case entry_kind::remove:
      return "remove";
    case entry_kind::state:
      return "state";
    case entry_kind::group:
      return "group";
  }
  return "unknown";
}

// False if a record in it is damaged.
bool print_records(byte_span run, const dump_options& options) {
  while (!run.empty()) {
    const auto record = decode_record(run);
    if (!record) {
      fmt::print("    damaged: {}\n", record.err().message);
      return false;
    }
    if (options.records) print_record(*record, options);
    run = run.subspan(record->whole.size());
  }
  return true;
}

bool print_group(byte_span payload, const dump_options& options) {
  const auto parts = group_parts(payload);
  if (!parts) {
    fmt::print("    damaged: not a run of parts\n");
    return false;
  }
  bool good = true;
  for (const group_part& part : *parts) {
    fmt::print("    part {} stream {} payload {}\n", kind_name(part.header.kind), part.header.stream,
               part.header.payload_bytes);
    if (static_cast<entry_kind>(part.header.kind) != entry_kind::records) continue;
    good = print_records(payload.subspan(part.at, part.header.payload_bytes), options) && good;
  }
  return good;
}

bool print_entry(const found_entry& entry, const segment_reader& in, const dump_options& options) {
  const entry_header& header = entry.header;
  fmt::print("  offset {} lsn {} {} stream {} payload {} batch at {}{}\n", entry.offset, in.lsn_at(entry.offset),
             kind_name(header.kind), header.stream, header.payload_bytes, entry.batch_start(),
             entry.proves_what_is_before() ? " (the batch before was synced)" : "");
  if (static_cast<entry_kind>(header.kind) == entry_kind::group) return print_group(entry.payload.bytes(), options);
  if (static_cast<entry_kind>(header.kind) != entry_kind::records) return true;
  return print_records(entry.payload.bytes(), options);
}

}  // namespace

result<bool> dump_segment(file& segment, const dump_options& options) {
  auto read = read_segment_header(segment);
  if (!read) return std::move(read).err();
  if (!*read) {
    fmt::print("  both copies of the segment header are damaged\n");
    return false;
  }
  const segment_header& header = **read;
  fmt::print("  journal segment {}: format {}, base lsn {}, the data before ends at lsn {}, {} bytes\n", header.number,
             header.version, header.base_lsn, header.prev_end, header.bytes);
  segment_reader in(segment, header);
  bool good = true;
  uint64_t entries = 0;
  uint64_t at = segment_data_offset;
  while (const auto entry = in.next_entry(at)) {
    if (entry->offset != at) {
      fmt::print("  offset {} to {}: not an entry\n", at, entry->offset);
      good = false;
    }
    good = print_entry(*entry, in, options) && good;
    ++entries;
    at = entry->end;
  }
  if (!in.failure()) return in.failure().err();
  fmt::print("  {} entries, the data ends at offset {} (lsn {}){}\n", entries, at, in.lsn_at(at),
             in.is_zero_from(at) ? "" : "; remains of something else follow");
  return good;
}

}  // namespace weir
