#include "storage/block_reader.h"

#include <algorithm>
#include <map>

#include "storage/block_writer.h"
#include "storage/crc32c.h"
#include "storage/record.h"

namespace weir {

using namespace block_format;

namespace {

constexpr size_t pages_at_once = 256;
constexpr size_t read_bytes_max = 1 << 20;
constexpr size_t gap_bytes_max = 8 << 10;  // records this near to each other are read in one piece
constexpr size_t piece_bytes = 256 << 10;
constexpr uint64_t expected_windows = 5;  // who asks for so many bytes of groups will soon ask for more of them
constexpr uint32_t lookup_window = 512;
constexpr size_t scattered_slots = 64;  // more subjects than this in a group: all slots are read in one go
constexpr uint8_t zeros[slot_bytes] = {};

}  // namespace

part_reader::part_reader(file& from, const part_info& part)
    : from_(from), part_(part), content_(new uint8_t[part.content_bytes()]), loaded_(part.pages()) {}

void part_reader::fail_with(error why) {
  if (status_) status_ = std::move(why);
}

void part_reader::damaged() {
  fail_with(fail(errc::data_loss, "damaged index in a block file"));
}

void part_reader::load_pages(uint64_t first, uint64_t last) {
  std::vector<uint8_t> bytes;
  while (first <= last && status_) {
    if (loaded_[first]) {
      ++first;
      continue;
    }
    uint64_t run = 1;
    while (run < pages_at_once && first + run <= last && !loaded_[first + run]) ++run;
    uint64_t content = std::min(part_.content_bytes(), (first + run) * page_content) - first * page_content;
    bytes.resize(content + 4 * run);
    auto got = from_.read_at(part_.pages_at() + first * page_bytes, bytes);
    if (!got) return fail_with(got.err());
    if (*got != bytes.size()) return damaged();
    for (byte_span left = bytes; !left.empty(); ++first) {
      byte_span page = left.first(std::min(left.size(), page_bytes));
      left = left.subspan(page.size());
      byte_span inside = page.first(page.size() - 4);
      if (crc32c(inside) != load_le<uint32_t>(page.data() + inside.size())) return damaged();
      std::memcpy(content_.get() + first * page_content, inside.data(), inside.size());
      loaded_[first] = true;
    }
  }
}

const uint8_t* part_reader::need(uint64_t offset, size_t size) {
  if (!status_) return zeros;
  if (offset + size > part_.content_bytes()) return damaged(), zeros;
  uint64_t first = offset / page_content;
  uint64_t last = (offset + size - 1) / page_content;
  if (!loaded_[first] || !loaded_[last]) load_pages(first, last);
  return status_ ? content_.get() + offset : zeros;
}

void part_reader::ahead(uint64_t from, uint64_t to) {
  if (from < to && status_) load_pages(from / page_content, (std::min(to, part_.content_bytes()) - 1) / page_content);
}

block_row part_reader::row(uint32_t at) {
  block_row row = decode_row(need(part_.rows_at() + uint64_t{at} * row_bytes, row_bytes), part_.base);
  bool sound = uint64_t{row.offset} + row.length <= part_.marker && row.slot < part_.subjects;
  if (!sound) damaged();
  return status_ ? row : block_row{};
}

block_slot part_reader::slot(uint32_t at) {
  block_slot slot = decode_slot(need(part_.slots_at() + uint64_t{at} * slot_bytes, slot_bytes), part_.base);
  bool sound = uint64_t{slot.postings} + slot.count <= part_.rows &&
               uint64_t{slot.name_offset} + slot.name_length <= part_.name_bytes;
  if (!sound) damaged();
  return status_ ? slot : block_slot{};
}

uint32_t part_reader::posting(uint32_t at) {
  uint32_t row = load_le<uint32_t>(need(part_.postings_at() + uint64_t{at} * posting_bytes, posting_bytes));
  if (row >= part_.rows) damaged();
  return status_ ? row : 0;
}

std::string_view part_reader::name(const block_slot& slot) {
  if (slot.name_length == 0) return {};
  const uint8_t* bytes = need(part_.names_at() + slot.name_offset, slot.name_length);
  return status_ ? as_text({bytes, slot.name_length}) : std::string_view();
}

seq_no part_reader::group_first(uint32_t group) {
  uint32_t delta = load_le<uint32_t>(need(part_.groups_at() + uint64_t{group} * group_bytes, group_bytes));
  return seq_no(part_.base.raw() + delta);
}

uint32_t part_reader::lookup_hash(uint32_t at) {
  return load_le<uint32_t>(need(part_.lookup_at() + uint64_t{at} * lookup_bytes, lookup_bytes));
}

std::optional<uint32_t> part_reader::find_subject(std::string_view name) {
  uint32_t hash = subject_hash(name);
  uint32_t low = 0;
  uint32_t high = part_.subjects;
  // Hashes are spread evenly, so the place is nearly known; most look-ups read only around it.
  auto guess = static_cast<uint32_t>(uint64_t{hash} * part_.subjects >> 32);
  uint32_t near = guess > lookup_window ? guess - lookup_window : 0;
  uint32_t far = std::min(part_.subjects, guess + lookup_window);
  ahead(part_.lookup_at() + uint64_t{near} * lookup_bytes, part_.lookup_at() + uint64_t{far} * lookup_bytes);
  if (near > 0 && lookup_hash(near) < hash) low = near;
  if (far < part_.subjects && lookup_hash(far) >= hash) high = far;
  while (low < high && status_) {
    uint32_t middle = low + (high - low) / 2;
    if (lookup_hash(middle) < hash) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (; low < part_.subjects && status_ && lookup_hash(low) == hash; ++low) {
    uint32_t found = load_le<uint32_t>(need(part_.lookup_at() + uint64_t{low} * lookup_bytes + 4, 4));
    if (found >= part_.subjects) return damaged(), std::nullopt;
    if (this->name(slot(found)) == name) return found;
  }
  return std::nullopt;
}

bool part_reader::copy_rows(part_builder& to) {
  ahead(part_.rows_at(), part_.postings_at());
  ahead(part_.slots_at(), part_.content_bytes());
  std::vector<std::string_view> names(part_.subjects);
  for (uint32_t i = 0; i < part_.subjects; ++i) names[i] = name(slot(i));
  seq_no before;
  for (uint32_t i = 0; i < part_.rows && status_; ++i) {
    block_row found = row(i);
    if (found.seq <= before) damaged();
    before = found.seq;
    if (status_) to.add(found.seq, found.offset, found.length, names[found.slot], found.time);
  }
  to.resolve();  // the names go with this reader
  return status_ ? true : false;
}

// Blocks

namespace {

error no_trailer() {
  return fail(errc::data_loss, "a block file has no whole trailer where one should be");
}

result<std::shared_ptr<const block_part>> load_part(file& from, uint64_t trailer, stream_id stream, seq_no base) {
  std::vector<uint8_t> bytes(trailer_bytes);
  auto got = from.read_at(trailer, bytes);
  if (!got) return got.err();
  auto info = *got == trailer_bytes ? decode_trailer(bytes, trailer) : std::nullopt;
  if (!info || info->stream != stream || info->base != base) return no_trailer();
  auto part = std::make_shared<block_part>();
  part->info = *info;
  if (!info->dense()) {
    part_reader reader(from, part->info);
    for (uint32_t i = 0; i < info->groups(); ++i) part->group_first.push_back(reader.group_first(i));
    auto read = reader.status();
    if (!read) return read.err();
    bool rising = part->group_first.front() == info->first && part->group_first.back() <= info->last &&
                  std::is_sorted(part->group_first.begin(), part->group_first.end());
    if (!rising) return no_trailer();
  }
  return std::shared_ptr<const block_part>(std::move(part));
}

}  // namespace

result<block> load_block(file& from, stream_id stream, seq_no base, std::optional<uint64_t> length) {
  auto size = from.size();
  if (!size) return size.err();
  block found;
  found.stream = stream;
  found.base = base;
  found.length = length.value_or(*size);
  if (found.length > *size || found.length < header_page + trailer_bytes) return no_trailer();
  for (uint64_t trailer = found.length - trailer_bytes; trailer != 0;) {
    auto part = load_part(from, trailer, stream, base);
    if (!part) return part.err();
    if (!found.parts.empty() && (*part)->info.last >= found.first()) return no_trailer();
    trailer = (*part)->info.previous;
    found.parts.insert(found.parts.begin(), std::move(*part));
  }
  found.closed = (found.parts.back()->info.flags & (part_info::sealed | part_info::salvaged)) != 0;
  return found;
}

result<void> for_each_subject(file& from, const block_part& part,
                              const std::function<void(std::string_view, const block_slot&)>& each) {
  part_reader reader(from, part.info);
  reader.ahead(part.info.slots_at(), part.info.content_bytes());
  for (uint32_t i = 0; i < part.info.subjects; ++i) {
    block_slot slot = reader.slot(i);
    std::string_view name = reader.name(slot);
    if (!reader.status()) break;
    each(name, slot);
  }
  return reader.status();
}

// Rows

size_t row_group::bytes() const {
  size_t total = sizeof(row_group) + rows.capacity() * sizeof(block_row) + pieces.capacity() * sizeof(uint32_t);
  for (const std::string& name : names) total += sizeof(std::string) + name.size();
  return total;
}

uint32_t row_group::first_at(seq_no seq) const {
  const auto first = std::lower_bound(rows.begin(), rows.end(), seq,
                                      [](const block_row& row, seq_no wanted) { return row.seq < wanted; });
  return static_cast<uint32_t>(first - rows.begin());
}

uint32_t row_group::piece_of(uint32_t row) const {
  return static_cast<uint32_t>(std::upper_bound(pieces.begin(), pieces.end(), row) - pieces.begin() - 1);
}

uint32_t row_group::end_of(uint32_t piece) const {
  return piece + 1 < pieces.size() ? pieces[piece + 1] : static_cast<uint32_t>(rows.size());
}

seq_no last_of(const block_part& part, uint32_t group, const row_group& rows) {
  return group + 1 == part.info.groups() ? part.info.last : rows.rows.back().seq;
}

uint32_t group_of(const block_part& part, seq_no seq) {
  if (seq <= part.info.first) return 0;
  if (part.group_first.empty()) return static_cast<uint32_t>((seq.raw() - part.info.first.raw()) / group_rows);
  auto after = std::upper_bound(part.group_first.begin(), part.group_first.end(), seq);
  return static_cast<uint32_t>(after - part.group_first.begin()) - 1;
}

namespace {

// Runs of records that lie close to each other, of about piece_bytes.
void cut_pieces(row_group& group) {
  for (uint32_t i = 0; i < group.rows.size(); ++i) {
    const block_row& row = group.rows[i];
    bool begins = i == 0;
    if (!begins) {
      const block_row& before = group.rows[i - 1];
      uint64_t start = group.rows[group.pieces.back()].offset;
      begins = row.offset < before.offset + before.length ||
               row.offset - (before.offset + before.length) > gap_bytes_max ||
               uint64_t{row.offset} + row.length - start > piece_bytes;
    }
    if (begins) group.pieces.push_back(i);
  }
}

}  // namespace

result<row_group> load_group(file& from, const block_part& part, uint32_t group, bool with_names) {
  const part_info& info = part.info;
  part_reader reader(from, info);
  row_group loaded;
  loaded.first_row = group * group_rows;
  loaded.with_names = with_names;
  uint32_t end = std::min(info.rows, loaded.first_row + group_rows);
  reader.ahead(info.rows_at() + uint64_t{loaded.first_row} * row_bytes, info.rows_at() + uint64_t{end} * row_bytes);
  loaded.rows.reserve(end - loaded.first_row);
  std::map<uint32_t, uint32_t> place;  // slot to index in names
  for (uint32_t i = loaded.first_row; i < end; ++i) {
    loaded.rows.push_back(reader.row(i));
    if (with_names) place.emplace(loaded.rows.back().slot, static_cast<uint32_t>(place.size()));
  }
  auto read = reader.status();
  if (!read) return read.err();
  if (with_names) {
    if (place.size() > scattered_slots) reader.ahead(info.slots_at(), info.content_bytes());
    loaded.names.resize(place.size());
    for (auto [slot, index] : place) loaded.names[index] = reader.name(reader.slot(slot));
    for (block_row& row : loaded.rows) row.slot = place[row.slot];
  }
  read = reader.status();
  if (!read) return read.err();
  cut_pieces(loaded);
  return loaded;
}

namespace {

// Index of the lowest row at or after seq (rows if none).
uint32_t find_row(part_reader& reader, const block_part& part, seq_no seq) {
  const part_info& info = part.info;
  if (seq <= info.first) return 0;
  if (seq > info.last) return info.rows;
  if (info.dense()) return static_cast<uint32_t>(seq.raw() - info.first.raw());
  uint32_t low = group_of(part, seq) * group_rows;
  uint32_t high = std::min(info.rows, low + group_rows);
  while (low < high && reader.status()) {
    uint32_t middle = low + (high - low) / 2;
    if (reader.row(middle).seq < seq) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

result<std::vector<block_row>> load_subject_rows(file& from, const block_part& part, std::string_view subject,
                                                 seq_no first, seq_no last, size_t limit, bool newest_first) {
  part_reader reader(from, part.info);
  std::vector<block_row> found;
  auto which = reader.find_subject(subject);
  if (which) {
    block_slot slot = reader.slot(*which);
    // The subject's postings are row numbers in order: [low, high) are those in range.
    auto position = [&](uint32_t row) {
      uint32_t low = 0;
      uint32_t high = slot.count;
      while (low < high && reader.status()) {
        uint32_t middle = low + (high - low) / 2;
        if (reader.posting(slot.postings + middle) < row) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      return low;
    };
    uint32_t low = position(find_row(reader, part, first));
    uint32_t high = last >= part.info.last ? slot.count : position(find_row(reader, part, last.next()));
    if (high > low && high - low > limit) {
      (newest_first ? low : high) =
          newest_first ? high - static_cast<uint32_t>(limit) : low + static_cast<uint32_t>(limit);
    }
    for (uint32_t i = low; i < high && reader.status(); ++i) {
      found.push_back(reader.row(reader.posting(slot.postings + i)));
    }
    if (newest_first) std::reverse(found.begin(), found.end());
  }
  auto read = reader.status();
  if (!read) return read.err();
  return found;
}

// Records

namespace {

// The record at `row` if it is sound and the one the index means.
std::optional<slice> checked(const chunk_ref& owner, const uint8_t* at, const block_row& row) {
  byte_span bytes(at, row.length);
  auto record = decode_record(bytes);
  if (!record || record->whole.size() != row.length || record->seq != row.seq) return std::nullopt;
  return slice(owner, at, row.length);
}

void load_run(file& from, std::span<const block_row> rows, std::vector<std::optional<slice>>& to) {
  uint64_t begin = rows.front().offset;
  size_t size = static_cast<size_t>(uint64_t{rows.back().offset} + rows.back().length - begin);
  chunk_ref owner = chunk_ref::make(size);
  auto got = from.read_at(begin, {owner->data(), size});
  if (!got && rows.size() > 1) {
    // One bad place of the medium must not hide its neighbours.
    for (size_t i = 0; i < rows.size(); ++i) load_run(from, rows.subspan(i, 1), to);
    return;
  }
  size_t have = got ? *got : 0;
  for (const block_row& row : rows) {
    size_t at = static_cast<size_t>(row.offset - begin);
    bool inside = at + row.length <= have;
    to.push_back(inside ? checked(owner, owner->data() + at, row) : std::nullopt);
  }
}

}  // namespace

std::vector<std::optional<slice>> load_records(file& from, std::span<const block_row> rows) {
  std::vector<std::optional<slice>> found;
  found.reserve(rows.size());
  for (size_t first = 0; first < rows.size();) {
    size_t end = first + 1;
    while (end < rows.size()) {
      uint64_t before = uint64_t{rows[end - 1].offset} + rows[end - 1].length;
      uint64_t after = uint64_t{rows[end].offset} + rows[end].length;
      if (rows[end].offset < before || rows[end].offset - before > gap_bytes_max) break;
      if (after - rows[first].offset > read_bytes_max) break;
      ++end;
    }
    load_run(from, rows.subspan(first, end - first), found);
    first = end;
  }
  return found;
}

size_t data_piece::bytes() const {
  size_t total = sizeof(data_piece) + records.capacity() * sizeof(records[0]);
  const chunk_ref* counted = nullptr;
  for (const auto& each : records) {
    if (!each || (counted != nullptr && *counted == each->owner())) continue;
    counted = &each->owner();
    total += each->owner()->capacity();
  }
  return total;
}

result<std::vector<loaded_group>> load_groups(file& source, const block_part& part, seq_no from, uint64_t bytes,
                                              bool with_names) {
  std::vector<loaded_group> loaded;
  uint64_t have = 0;
  for (uint32_t number = group_of(part, from); number < part.info.groups() && have < bytes; ++number) {
    auto group = load_group(source, part, number, with_names);
    if (!group) return group.err();
    const std::vector<block_row>& rows = group->rows;
    loaded_group made{number, nullptr, {}, last_of(part, number, *group)};
    const uint32_t first = group->first_at(from);
    for (uint32_t piece = 0; piece < group->pieces.size(); ++piece) {
      const uint32_t begin = group->pieces[piece];
      const uint32_t end = group->end_of(piece);
      if (end <= first) continue;
      if (have >= bytes) {
        made.through = rows[begin - 1].seq;
        break;
      }
      if (have == 0) source.expect(rows[begin].offset, expected_windows * bytes);
      auto data = std::make_shared<data_piece>();
      data->first_row = begin;
      data->records = load_records(source, std::span(rows).subspan(begin, end - begin));
      have += uint64_t{rows[end - 1].offset} + rows[end - 1].length - rows[begin].offset;
      made.pieces.push_back(loaded_piece{piece, std::move(data)});
    }
    made.rows = std::make_shared<row_group>(std::move(*group));
    loaded.push_back(std::move(made));
  }
  return loaded;
}

}  // namespace weir
