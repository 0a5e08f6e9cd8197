#include "storage/journal_recovery.h"

#include <algorithm>
#include <array>

namespace weir {

journal_recovery::journal_recovery(disk& where, const std::string& directory, const std::string& quarantine,
                                   uint64_t segment_bytes, const watermark::state& mark, lsn from,
                                   journal_visitor& visitor)
    : disk_(where),
      directory_(directory),
      quarantine_(quarantine),
      segment_bytes_(segment_bytes),
      mark_(mark),
      from_(from.raw()),
      visitor_(visitor),
      at_(from.raw()),
      proven_(mark.durable.raw()) {}

result<recovered_journal> journal_recovery::run() {
  auto step = find_files();
  if (step) step = check_order();
  if (step) step = replay_segments();
  if (step && proven_ > at_) hole(proven_);  // the last segments are gone
  if (step) step = disk_.sync_dir(directory_);
  if (!step) return step.err();
  found_.end = at_;
  uint64_t pages = (at_ + segment_data_offset - 1) / segment_data_offset;
  found_.next_base = pages * segment_data_offset;
  if (!found_.segments.empty()) {
    const segment_header& last = found_.segments.back().header;
    found_.next_base = std::max(found_.next_base, last.base_lsn + last.bytes);
  }
  return std::move(found_);
}

// Files

result<void> journal_recovery::find_files() {
  auto names = disk_.list(directory_);
  if (!names) return names.err();
  for (const std::string& name : *names) {
    result<void> step;
    if (auto number = segment_number(name)) {
      found_.next_number = std::max(found_.next_number, *number + 1);
      step = look_at(name, *number);
    } else if (auto free_number = free_segment_number(name)) {
      found_.next_free_number = std::max(found_.next_free_number, *free_number + 1);
      auto opened = disk_.open(directory_ + "/" + name, disk::mode::read);
      if (!opened) return opened.err();
      auto size = (*opened)->size();
      if (!size) return size.err();
      (*size == segment_bytes_ ? found_.spare : found_.useless).push_back(directory_ + "/" + name);
    }
    if (!step) return step;
  }
  std::sort(found_.segments.begin(), found_.segments.end(),
            [](const auto& left, const auto& right) { return left.header.number < right.header.number; });
  return ok();
}

// A segment file is one of three things: it holds data under its own number; it was being made into another segment
// when the power went (its header is ahead of its name); or its header is gone in both copies.
result<void> journal_recovery::look_at(const std::string& name, uint64_t number) {
  std::string path = directory_ + "/" + name;
  auto opened = disk_.open(path, disk::mode::read);
  if (!opened) return opened.err();
  std::array<uint8_t, segment_data_offset> page{};
  auto got = (*opened)->read_at(0, page);
  if (!got) return got.err();
  std::optional<segment_header> good;
  bool other_number = false;
  for (uint64_t copy : {uint64_t{0}, segment_header_copy}) {
    auto header = decode_segment_header({page.data() + copy, segment_header_size});
    if (!header) continue;
    if (header->version != journal_format_version) {
      return fail(errc::foreign_directory, path + " has journal format version " + std::to_string(header->version) +
                                               ", this program knows " + std::to_string(journal_format_version));
    }
    other_number = other_number || header->number != number;
    good = header;
  }
  if (!good) return set_aside(name);
  if (!other_number) {
    found_.segments.push_back(recovered_segment{*good, path, 0});
    return ok();
  }
  auto size = (*opened)->size();
  if (!size) return size.err();
  (*size == segment_bytes_ ? found_.spare : found_.useless).push_back(path);
  return ok();
}

result<void> journal_recovery::set_aside(const std::string& name) {
  auto step = make_dir_durable(disk_, quarantine_);
  if (step) step = disk_.rename(directory_ + "/" + name, quarantine_ + "/" + name);
  if (step) step = disk_.sync_dir(quarantine_);
  return step;
}

result<void> journal_recovery::check_order() const {
  for (size_t i = 1; i < found_.segments.size(); ++i) {
    const auto& before = found_.segments[i - 1];
    const auto& after = found_.segments[i];
    if (after.header.base_lsn < before.header.base_lsn + before.header.bytes) {
      return fail(errc::foreign_directory, after.path + " does not come from the same journal as " + before.path);
    }
  }
  return ok();
}

// Replay

result<void> journal_recovery::replay_segments() {
  for (size_t i = 0; i < found_.segments.size(); ++i) {
    recovered_segment& segment = found_.segments[i];
    const recovered_segment* next = i + 1 < found_.segments.size() ? &found_.segments[i + 1] : nullptr;
    if (segment.header.prev_end > at_) hole(segment.header.prev_end);
    uint64_t whole_end = segment.header.base_lsn + segment.header.bytes;
    if (whole_end > at_) {
      auto done = replay(segment, next);
      if (!done) return done;
    }
    segment.end = next != nullptr ? std::min(next->header.prev_end, whole_end) : std::min(at_, whole_end);
  }
  return ok();
}

result<void> journal_recovery::replay(recovered_segment& segment, const recovered_segment* next) {
  bool is_last = next == nullptr;
  auto opened = disk_.open(segment.path, is_last ? disk::mode::read_write : disk::mode::read);
  if (!opened) return opened.err();
  segment_reader in(**opened, segment.header);
  uint64_t whole_end = segment.header.base_lsn + segment.header.bytes;
  at_ = std::max(at_, segment.header.base_lsn + segment_data_offset);
  // A next segment that follows this one says where the data ends. If one is missing between, nobody knows.
  bool stop_is_known = !is_last && next->header.prev_end <= whole_end;
  uint64_t stop = stop_is_known ? next->header.prev_end : whole_end;
  if (!is_last) proven_ = std::max(proven_, stop);
  auto done = walk(in, stop, is_last, stop_is_known || is_last);
  if (done && is_last) done = finish(**opened, in);
  if (done && !in.failure()) done = in.failure();
  return done;
}

result<void> journal_recovery::walk(segment_reader& in, uint64_t stop, bool is_last, bool stop_is_known) {
  uint64_t base = in.header().base_lsn;
  while (at_ < stop && in.failure()) {
    auto entry = in.entry_at(at_ - base);
    if (entry) {
      if (entry->proves_what_is_before()) proven_ = std::max(proven_, entry->batch_start());
      auto delivered = deliver(in, *entry);
      if (!delivered) return delivered;
      continue;
    }
    if (is_last && at_ >= proven_) proven_ = std::max(proven_, furthest_proof(in, at_));
    if (at_ >= proven_) break;
    uint64_t known = std::min(proven_, stop);
    auto next = in.next_entry(at_ - base + entry_alignment);
    bool usable = next && base + next->offset <= known;
    if (!usable && !stop_is_known) break;
    hole(usable ? base + next->offset : known);
  }
  return ok();
}

// Looks at all sound entries after `at`, notes how far they reach, and returns the lsn before which everything had been
// synced according to them (0 if they do not say).
uint64_t journal_recovery::furthest_proof(segment_reader& in, uint64_t at) {
  uint64_t base = in.header().base_lsn;
  uint64_t proof = 0;
  if (in.looks_like_entry(at - base)) torn_to_ = std::max(torn_to_, at + entry_header_size);
  for (auto entry = in.next_entry(at - base); entry; entry = in.next_entry(entry->end)) {
    torn_to_ = std::max(torn_to_, base + entry->end);
    if (entry->proves_what_is_before()) proof = std::max(proof, entry->batch_start());
  }
  return proof;
}

result<void> journal_recovery::deliver(const segment_reader& in, const found_entry& entry) {
  uint64_t end = in.lsn_at(entry.end);
  at_ = end;
  if (end <= from_) return ok();
  return visitor_.on_entry(journal_entry{lsn(entry.header.at), lsn(end), static_cast<entry_kind>(entry.header.kind),
                                         stream_id(entry.header.stream), entry.payload});
}

void journal_recovery::hole(uint64_t to) {
  visitor_.on_hole(lsn(at_), lsn(to));
  at_ = to;
}

// The end of the last segment: makes sure of what was replayed, and finds out if writing can go on behind it.
result<void> journal_recovery::finish(file& opened, segment_reader& in) {
  const segment_header& header = in.header();
  uint64_t first = header.base_lsn + segment_data_offset;
  uint64_t whole_end = header.base_lsn + header.bytes;
  bool clean = mark_.clean && mark_.durable.raw() == at_;
  if (!clean && at_ <= whole_end) {
    auto again = write_again(opened, header, std::max({proven_, first, from_}), at_);
    if (!again) return again;
  }
  if (torn_to_ > at_) visitor_.on_cut(lsn(at_), lsn(torn_to_));
  auto size = opened.size();
  if (!size) return size.err();
  bool writable = *size == header.bytes && at_ <= whole_end && at_ % entry_alignment == 0;
  found_.goes_on = writable && torn_to_ <= at_ && (clean || in.is_zero_from(at_ - header.base_lsn));
  return ok();
}

result<void> journal_recovery::write_again(file& opened, const segment_header& header, uint64_t from, uint64_t to) {
  std::vector<uint8_t> window;
  while (from < to) {
    window.resize(std::min<uint64_t>(to - from, segment_reader::window_bytes));
    auto got = opened.read_at(from - header.base_lsn, window);
    if (!got) return got.err();
    // A file cut within the padding of its last entry lacks nothing but zeros.
    if (*got + entry_alignment <= window.size()) {
      return fail(errc::storage_failed, "a journal segment shrank while it was read");
    }
    std::fill(window.begin() + static_cast<ptrdiff_t>(*got), window.end(), uint8_t{0});
    auto put = opened.write_at(from - header.base_lsn, window);
    if (!put) return put;
    from += window.size();
  }
  return opened.sync();
}

}  // namespace weir
