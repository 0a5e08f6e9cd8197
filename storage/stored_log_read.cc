// Reading blocks, through the cache and the pool lane. After every wait the world may have changed (removed, settled
// further, repaired), so each step looks up where it is again.
#include <algorithm>

#include "storage/stored_log.h"

namespace weir {

namespace {

constexpr size_t blocks_per_look = 16;  // that one lane job searches for a subject
constexpr size_t rows_per_time_look = 64;
constexpr size_t whole_piece_share = 8;  // a piece of which at least 1/8 is wanted is read whole and kept

}  // namespace

result<void> stored_log::open_file(std::unique_ptr<file>& from, const block& in) const {
  if (from) return ok();
  auto opened = host_.where.open(block_path(host_.root, in.stream, in.base), disk::mode::read);
  if (!opened) return opened.err();
  from = std::move(*opened);
  return ok();
}

// The part that holds seq or the first record after it; nothing if the blocks end before.
std::optional<stored_log::place> stored_log::find_place(seq_no seq) const {
  auto in = std::lower_bound(blocks_.begin(), blocks_.end(), seq,
                             [](const block_ref& each, seq_no wanted) { return each->last() < wanted; });
  if (in == blocks_.end()) return std::nullopt;
  const auto& parts = (*in)->parts;
  auto part = std::lower_bound(parts.begin(), parts.end(), seq,
                               [](const part_ref& each, seq_no wanted) { return each->info.last < wanted; });
  return place{*in, *part};
}

// False once the block's file was replaced or the block is gone.
bool stored_log::is_current(const block_ref& in) const {
  auto found = std::lower_bound(blocks_.begin(), blocks_.end(), in->base,
                                [](const block_ref& each, seq_no wanted) { return each->base < wanted; });
  return found != blocks_.end() && (*found)->file_uid == in->file_uid;
}

task<result<std::shared_ptr<const row_group>>> stored_log::group_at(place at, uint32_t group, bool names) {
  auto cached = host_.cache.find_group(at.part->uid, group, names);
  if (cached) co_return cached;
  std::unique_ptr<file> from = host_.cache.take_file(at.in->file_uid);
  auto work = [&]() -> result<row_group> {
    auto opened = open_file(from, *at.in);
    if (!opened) return opened.err();
    return load_group(*from, *at.part, group, names);
  };
  auto loaded = co_await run_on(host_.pool, work);
  host_.cache.give_file(at.in->file_uid, std::move(from));
  if (!loaded) co_return loaded.err();
  std::shared_ptr<const row_group> shared = std::make_shared<row_group>(std::move(*loaded));
  host_.cache.put_group(at.part->uid, group, shared);
  co_return shared;
}

// The records of some rows, in order.
task<result<stored_log::found_slices>> stored_log::records_at(place at, std::vector<block_row> rows) {
  std::unique_ptr<file> from = host_.cache.take_file(at.in->file_uid);
  auto work = [&]() -> result<found_slices> {
    auto opened = open_file(from, *at.in);
    if (!opened) return opened.err();
    return load_records(*from, rows);
  };
  auto loaded = co_await run_on(host_.pool, work);
  host_.cache.give_file(at.in->file_uid, std::move(from));
  co_return loaded;
}

// The records of some rows of a group (indexes, rising). Pieces of which much is wanted come from the cache or go
// there.
task<result<stored_log::found_slices>> stored_log::records_of(place at, uint32_t group,
                                                              std::shared_ptr<const row_group> rows,
                                                              std::vector<uint32_t> wanted) {
  found_slices found(wanted.size());
  std::vector<block_row> to_read;
  struct load {
    uint32_t piece;
    bool whole;
    size_t first_wanted;
    size_t end_wanted;
    uint32_t first_row;
    size_t count;  // of rows to read
  };
  std::vector<load> loads;
  for (size_t i = 0; i < wanted.size();) {
    const uint32_t piece_number = rows->piece_of(wanted[i]);
    const uint32_t end_row = rows->end_of(piece_number);
    load next{piece_number, false, i, i, rows->pieces[piece_number], 0};
    uint64_t wanted_bytes = 0;
    for (; next.end_wanted < wanted.size() && wanted[next.end_wanted] < end_row; ++next.end_wanted) {
      wanted_bytes += rows->rows[wanted[next.end_wanted]].length;
    }
    i = next.end_wanted;
    if (auto cached = host_.cache.find_piece(at.part->uid, group, next.piece)) {
      for (size_t w = next.first_wanted; w < i; ++w) found[w] = cached->records[wanted[w] - cached->first_row];
      continue;
    }
    const block_row& last = rows->rows[end_row - 1];
    uint64_t piece_bytes = uint64_t{last.offset} + last.length - rows->rows[next.first_row].offset;
    next.whole = wanted_bytes * whole_piece_share >= piece_bytes;
    next.count = next.whole ? end_row - next.first_row : i - next.first_wanted;
    for (size_t n = 0; n < next.count; ++n) {
      to_read.push_back(rows->rows[next.whole ? next.first_row + n : wanted[next.first_wanted + n]]);
    }
    loads.push_back(next);
  }
  if (to_read.empty()) co_return found;
  auto read = co_await records_at(at, std::move(to_read));
  if (!read) co_return read.err();
  size_t used = 0;
  for (const load& each : loads) {
    auto begin = read->begin() + static_cast<ptrdiff_t>(used);
    auto end = begin + static_cast<ptrdiff_t>(each.count);
    used += each.count;
    for (size_t w = each.first_wanted; w < each.end_wanted; ++w) {
      size_t from = each.whole ? wanted[w] - each.first_row : w - each.first_wanted;
      found[w] = *(begin + static_cast<ptrdiff_t>(from));
    }
    if (!each.whole) continue;
    auto piece = std::make_shared<data_piece>();
    piece->first_row = each.first_row;
    piece->records.assign(std::make_move_iterator(begin), std::make_move_iterator(end));
    host_.cache.put_piece(at.part->uid, group, each.piece, std::move(piece));
  }
  co_return found;
}

// Rows of a subject in [from, to] that are settled, at most `limit`, from the lowest or from the highest.
task<result<std::vector<stored_log::subject_row>>> stored_log::subject_rows(std::string subject, seq_no from, seq_no to,
                                                                            size_t limit, bool newest_first) {
  std::vector<subject_row> found;
  while (from <= to && found.size() < limit) {
    std::vector<place> places;
    for (const block_ref& in : blocks_) {
      for (const part_ref& part : in->parts) {
        bool touched = part->info.last >= from && part->info.first <= to;
        if (touched) places.push_back(place{in, part});
      }
    }
    if (places.empty()) break;
    if (newest_first) std::reverse(places.begin(), places.end());
    if (places.size() > blocks_per_look) places.resize(blocks_per_look);
    std::vector<std::unique_ptr<file>> files;
    for (const place& each : places) files.push_back(host_.cache.take_file(each.in->file_uid));
    std::vector<subject_row> some;
    size_t looked = 0;
    size_t wanted = limit - found.size();
    auto work = [&]() -> result<void> {
      for (; looked < places.size() && some.size() < wanted; ++looked) {
        const place& at = places[looked];
        auto opened = open_file(files[looked], *at.in);
        if (!opened) return opened;
        auto rows = load_subject_rows(*files[looked], *at.part, subject, from, to, wanted - some.size(), newest_first);
        if (!rows) return rows.err();
        for (const block_row& row : *rows) some.push_back(subject_row{at, row});
      }
      return ok();
    };
    auto read = co_await run_on(host_.pool, work);
    for (size_t i = 0; i < places.size(); ++i) host_.cache.give_file(places[i].in->file_uid, std::move(files[i]));
    found.insert(found.end(), some.begin(), some.end());
    if (!read) {
      auto repaired = co_await repair(places[looked].in, read.err());
      if (!repaired) co_return repaired.err();
    }
    if (found.size() >= limit) break;
    // On behind what was looked at.
    if (looked > 0) {
      const part_info& info = places[looked - 1].part->info;
      if (newest_first) {
        to = std::min(to, info.first.prev());
      } else {
        from = std::max(from, info.last.next());
      }
    }
  }
  co_return found;
}

task<result<std::vector<seq_no>>> stored_log::sequences_at(std::string subject, seq_no from, size_t limit) {
  auto alive = shared_from_this();
  std::vector<seq_no> found;
  seq_no at = std::max(from, stats_.first);
  while (at <= settled_ && found.size() < limit) {
    seq_no through = settled_;
    size_t wanted = limit - found.size();
    auto rows = co_await subject_rows(subject, at, through, wanted, false);
    if (!rows) co_return rows.err();
    at = rows->size() < wanted ? through.next() : rows->back().row.seq.next();
    for (const subject_row& each : *rows) {
      if (readable(each.row.seq)) found.push_back(each.row.seq);
    }
  }
  auto which = index_.find(subject);
  if (which == subject_index::none) co_return found;
  tail_.for_each(at, stats_.last, [&](const tail_run& run, const tail_node& node) {
    if (found.size() >= limit) return false;
    if (node.subject == which) found.push_back(run.seq_of(node));
    return true;
  });
  co_return found;
}

// Times

// The first rows at or after `from` whose time is at or after `time`; none if the part has none.
task<result<std::vector<block_row>>> stored_log::rows_since(place at, seq_no from, wall_ms time) {
  std::unique_ptr<file> open = host_.cache.take_file(at.in->file_uid);
  auto work = [&]() -> result<std::vector<block_row>> {
    auto opened = open_file(open, *at.in);
    if (!opened) return opened.err();
    std::vector<block_row> found;
    for (uint32_t g = group_of(*at.part, from); g < at.part->info.groups(); ++g) {
      auto group = load_group(*open, *at.part, g, false);
      if (!group) return group.err();
      for (const block_row& row : group->rows) {
        if (row.seq >= from && row.time >= time) found.push_back(row);
        if (found.size() == rows_per_time_look) return found;
      }
    }
    return found;
  };
  auto rows = co_await run_on(host_.pool, work);
  host_.cache.give_file(at.in->file_uid, std::move(open));
  co_return rows;
}

task<result<seq_no>> stored_log::first_at_or_after(wall_ms time) {
  auto alive = shared_from_this();
  seq_no at = stats_.first;
  while (at <= settled_) {
    auto where = find_place(at);
    if (!where) break;
    if (where->part->info.time_max < time) {
      at = where->part->info.last.next();
      continue;
    }
    auto rows = co_await rows_since(*where, at, time);
    if (!rows) {
      auto repaired = co_await repair(where->in, rows.err());
      if (!repaired) co_return repaired.err();
      continue;
    }
    for (const block_row& row : *rows) {
      if (readable(row.seq)) co_return row.seq;
    }
    at = rows->size() < rows_per_time_look ? where->part->info.last.next() : rows->back().seq.next();
  }
  seq_no found = stats_.last.next();
  tail_.for_each(at, stats_.last, [&](const tail_run& run, const tail_node& node) {
    if (node.time < time) return true;
    found = run.seq_of(node);
    return false;
  });
  co_return found;
}

task<result<wall_ms>> stored_log::time_of(seq_no seq) {
  auto alive = shared_from_this();
  for (;;) {
    if (!is_live(seq)) co_return fail(errc::invalid_argument, "there is no such message");
    if (lost_.contains(seq)) co_return fail(errc::data_loss, "the message was lost to damage");
    if (const tail_node* node = tail_.find(seq)) co_return node->time;
    auto at = find_place(seq);
    if (!at) co_return fail(errc::data_loss, "the message was lost to damage");
    auto group = co_await group_at(*at, group_of(*at->part, seq), false);
    if (!group) {
      auto repaired = co_await repair(at->in, group.err());
      if (!repaired) co_return repaired.err();
      continue;
    }
    const auto& rows = (*group)->rows;
    const uint32_t row = (*group)->first_at(seq);
    if (row < rows.size() && rows[row].seq == seq) co_return rows[row].time;
    if (is_current(at->in)) co_return fail(errc::data_loss, "the message was lost to damage");
  }
}

task<result<std::vector<stream_log::live_record>>> stored_log::oldest(seq_no from, size_t limit) {
  auto alive = shared_from_this();
  std::vector<live_record> found;
  std::vector<known_record> known;
  seq_no at = std::max(from, stats_.first);
  while (at <= settled_ && found.size() < limit) {
    auto where = find_place(at);
    if (!where) break;
    uint32_t number = group_of(*where->part, at);
    auto group = co_await group_at(*where, number, true);
    if (!group) {
      auto repaired = co_await repair(where->in, group.err());
      if (!repaired) co_return repaired.err();
      continue;
    }
    const row_group& rows = **group;
    for (const block_row& row : rows.rows) {
      if (row.seq < at || !readable(row.seq)) continue;
      if (found.size() == limit) break;
      found.push_back(live_record{row.seq, row.length, row.time});
      known.push_back(known_record{row.seq, row.length, index_.find(rows.names[row.slot])});
    }
    at = last_of(*where->part, number, rows).next();
  }
  // Lines may have gone while another group was read.
  std::erase_if(known, [&](const known_record& each) {
    return !is_live(each.seq) || each.subject == subject_index::none || !index_.knows(each.subject);
  });
  known_ = std::move(known);
  const seq_no in_memory_from = std::max(at, std::max(from, stats_.first));
  tail_.for_each(in_memory_from, stats_.last, [&](const tail_run& run, const tail_node& node) {
    if (found.size() >= limit) return false;
    found.push_back(live_record{run.seq_of(node), node.size, node.time});
    return true;
  });
  co_return found;
}

}  // namespace weir
