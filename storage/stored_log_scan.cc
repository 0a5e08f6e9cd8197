// Scanning: from the tail at once, from blocks group by group. Who reads on finds the next piece read already.
#include <algorithm>
#include <utility>

#include "storage/stored_log.h"

namespace weir {

namespace {

constexpr uint64_t seq_max = ~uint64_t{0};
constexpr uint64_t ahead_bytes_max = 1 << 20;
constexpr uint64_t ahead_cache_share = 8;  // of the cache, at most
constexpr size_t ahead_share = 2;          // who skips more than every second record does not read on
constexpr size_t ahead_pieces = 2;         // looked at, before what is wanted next counts as read
// What was read ahead left the cache before it was wanted: many read at once, and so many looks do without.
constexpr size_t ahead_rest = 32;

}  // namespace

struct stored_log::scan_state {
  const scan_request& request;
  scan_result answer;
  seq_no at;  // everything below was looked at
  seq_no to;
  size_t bytes = 0;
  bool full = false;

  bool filtered() const { return request.filter != nullptr && !request.filter->matches_all(); }
  // Whether one more record fits; counts it if so.
  bool take(size_t count, size_t size) {
    bool fits = count < request.records_max && (count == 0 || bytes + size <= request.bytes_max);
    full = full || !fits;
    if (fits) bytes += size;
    return fits;
  }
};

task<result<scan_result>> stored_log::scan(scan_request request) {
  auto alive = shared_from_this();
  scan_state state{request, {}, std::max(request.from, stats_.first), std::min(request.to, stats_.last)};
  while (!state.full && state.at <= state.to) {
    if (state.at > settled_) {
      scan_tail(state);
      continue;
    }
    auto at = find_place(state.at);
    if (!at || at->part->info.first > state.to) {
      state.at = std::max(state.at, std::min(settled_, state.to).next());
      continue;
    }
    result<void> step;
    if (!request.exact_subject.empty()) {
      step = co_await scan_subject(state);
    } else {
      step = co_await scan_group(state, *at);
    }
    if (step) continue;
    if (state.answer.records.empty() && state.answer.damaged.empty()) co_return step.err();
    break;  // what was found is worth more than the error, which comes again at the next call
  }
  scan_lost(state);
  bool all = state.at > state.to;
  state.answer.next = all ? seq_no(request.to.raw() == seq_max ? seq_max : request.to.raw() + 1) : state.at;
  co_return std::move(state.answer);
}

// Reading ahead

// For who reads one run of records after the other: while these are handed out, the next ones are read.
void stored_log::read_on(const scan_state& state, const place& in, const row_group& rows,
                         const std::vector<uint32_t>& wanted, seq_no next) {
  const bool dense = wanted.size() > 1 && wanted.size() * ahead_share > wanted.back() - wanted.front();
  if (!dense) return;
  const bool goes_on = state.at == std::exchange(ahead_.expected, next);
  if (!goes_on || ahead_.running || host_.background.closed()) return;
  const bool names = state.filtered();
  const seq_no last = rows.rows[wanted.back()].seq;
  const bool read_before = ahead_.from <= last && last <= ahead_.through;
  if (read_before && !cached_through(in, last, names)) ahead_.rest = ahead_rest;
  if (ahead_.rest != 0) {
    --ahead_.rest;
    return;
  }
  seq_no from = read_before ? ahead_.through.next() : next;
  for (size_t pieces = 0; pieces < ahead_pieces && from <= settled_; ++pieces) {
    const auto at = find_place(from);
    if (!at) return;
    from = std::max(from, at->part->info.first);
    const auto cached = cached_through(*at, from, names);
    if (!cached) return host_.background.spawn(read_ahead(*at, from, names));
    from = cached->next();
  }
}

// The end of the piece in which the lowest row at or after seq lies; nothing if it is not in the cache.
std::optional<seq_no> stored_log::cached_through(const place& at, seq_no seq, bool names) const {
  const uint32_t number = group_of(*at.part, seq);
  const auto group = host_.cache.find_group(at.part->uid, number, names);
  if (!group) return std::nullopt;
  const uint32_t row = group->first_at(seq);
  if (row == group->rows.size()) return last_of(*at.part, number, *group);
  const uint32_t piece = group->piece_of(row);
  if (!host_.cache.find_piece(at.part->uid, number, piece)) return std::nullopt;
  const uint32_t end = group->end_of(piece);
  return end == group->rows.size() ? last_of(*at.part, number, *group) : group->rows[end - 1].seq;
}

// Brings what lies at `from` and behind it in the same part into the cache, all in one go: this thread is busy with
// what was read before. A failure is the matter of who wants the records.
task<void> stored_log::read_ahead(place at, seq_no from, bool names) {
  auto alive = shared_from_this();
  ahead_.running = true;
  ahead_.part = at.part->uid;
  ahead_.from = ahead_.through = from;
  const uint64_t bytes = std::min(ahead_bytes_max, host_.cache.bytes_max() / ahead_cache_share);
  const part_info& info = at.part->info;
  ahead_.to = seq_no(from.raw() + 2 * bytes * info.rows / std::max<uint64_t>(1, info.record_bytes));
  std::unique_ptr<file> source = host_.cache.take_file(at.in->file_uid);
  auto work = [&]() -> result<std::vector<loaded_group>> {
    auto opened = open_file(source, *at.in);
    if (!opened) return opened.err();
    return load_groups(*source, *at.part, from, bytes, names);
  };
  auto loaded = co_await run_on(host_.pool, work);
  host_.cache.give_file(at.in->file_uid, std::move(source));
  if (loaded) {
    for (loaded_group& each : *loaded) {
      for (loaded_piece& piece : each.pieces) {
        host_.cache.put_piece(at.part->uid, each.number, piece.number, std::move(piece.data));
      }
      ahead_.through = each.through;
      host_.cache.put_group(at.part->uid, each.number, std::move(each.rows));
    }
  }
  ahead_.running = false;
  ahead_.ended.wake_all();
}

// From blocks

// A record that was read, or could not be.
void stored_log::take_found(scan_state& state, seq_no seq, const std::optional<slice>& found) {
  if (!is_live(seq)) return;
  if (found) {
    state.answer.records.push_back(found_record{seq, *found});
    suspect_.erase(seq, seq);
  } else {
    state.answer.damaged.push_back(seq);
    suspect_.add(seq);
  }
}

task<result<void>> stored_log::scan_group(scan_state& state, place at) {
  uint32_t number = group_of(*at.part, state.at);
  auto group = co_await group_at(at, number, state.filtered());
  if (!group) {
    auto repaired = co_await repair(at.in, group.err());
    co_return repaired;
  }
  const std::vector<block_row>& rows = (*group)->rows;
  std::vector<int8_t> matches((*group)->names.size(), -1);  // not asked yet
  auto wants = [&](const block_row& row) {
    if (!readable(row.seq)) return false;
    if (!state.filtered()) return true;
    int8_t& known = matches[row.slot];
    if (known < 0) known = state.request.filter->matches((*group)->names[row.slot]) ? 1 : 0;
    return known == 1;
  };
  std::vector<uint32_t> wanted;
  size_t have = state.answer.records.size() + state.answer.damaged.size();
  seq_no next = last_of(*at.part, number, **group).next();
  for (uint32_t row = (*group)->first_at(state.at); row < rows.size(); ++row) {
    if (rows[row].seq > state.to) break;
    if (!wants(rows[row])) continue;
    if (!state.take(have + wanted.size(), rows[row].length)) {
      next = rows[row].seq;
      break;
    }
    wanted.push_back(row);
  }
  if (!wanted.empty()) {
    if (ahead_.loads(at.part->uid, rows[wanted.back()].seq)) co_await ahead_.ended.wait();
    read_on(state, at, **group, wanted, next);
    auto records = co_await records_of(at, number, *group, wanted);
    if (!records) co_return records.err();
    if (!is_current(at.in)) {
      // Replaced or removed while it was read: look again. What was counted is given back.
      for (uint32_t each : wanted) state.bytes -= rows[each].length;
      state.full = false;
      co_return ok();
    }
    for (size_t i = 0; i < wanted.size(); ++i) take_found(state, rows[wanted[i]].seq, (*records)[i]);
  }
  state.at = next;
  co_return ok();
}

task<result<void>> stored_log::scan_subject(scan_state& state) {
  size_t have = state.answer.records.size() + state.answer.damaged.size();
  size_t wanted = state.request.records_max - std::min(state.request.records_max, have);
  if (wanted == 0) {
    state.full = true;
    co_return ok();
  }
  seq_no through = std::min(settled_, state.to);
  std::string subject(state.request.exact_subject);
  auto rows = co_await subject_rows(std::move(subject), state.at, through, wanted, false);
  if (!rows) co_return rows.err();
  bool all = rows->size() < wanted;
  seq_no next = all ? through.next() : rows->back().row.seq.next();
  std::erase_if(*rows, [&](const subject_row& each) { return !readable(each.row.seq); });
  for (size_t i = 0; i < rows->size() && !state.full;) {
    place at = (*rows)[i].at;
    std::vector<block_row> together;
    for (; i < rows->size() && (*rows)[i].at.part == at.part; ++i) {
      if (!state.take(have + together.size(), (*rows)[i].row.length)) {
        next = (*rows)[i].row.seq;
        break;
      }
      together.push_back((*rows)[i].row);
    }
    if (together.empty()) break;
    auto records = co_await records_at(at, together);
    if (!records) co_return records.err();
    if (!is_current(at.in)) {
      state.at = together.front().seq;
      for (const block_row& each : together) state.bytes -= each.length;
      state.full = false;
      co_return ok();
    }
    for (size_t r = 0; r < together.size(); ++r) take_found(state, together[r].seq, (*records)[r]);
    have = state.answer.records.size() + state.answer.damaged.size();
  }
  state.at = next;
  co_return ok();
}

void stored_log::scan_tail(scan_state& state) {
  uint32_t only = subject_index::none;
  if (!state.request.exact_subject.empty()) {
    only = index_.find(state.request.exact_subject);
    if (only == subject_index::none || index_.at(only).last < state.at) {
      state.at = state.to.next();
      return;
    }
  }
  if (only == subject_index::none && !state.filtered() && state.answer.records.empty()) {
    state.answer.records.reserve(std::min<size_t>(state.request.records_max, live_since(state.at)));
  }
  uint32_t asked = subject_index::none;  // subject that the filter was asked about last, and its answer
  bool matches = true;
  seq_no end = state.to.next();
  tail_.for_each(state.at, state.to, [&](const tail_run& run, const tail_node& node) {
    if (only != subject_index::none && node.subject != only) return true;
    if (state.filtered() && node.subject != asked) {
      asked = node.subject;
      matches = state.request.filter->matches(index_.at(asked).name);
    }
    if (!matches) return true;
    if (!state.take(state.answer.records.size() + state.answer.damaged.size(), node.size)) {
      end = run.seq_of(node);
      return false;
    }
    state.answer.records.push_back(found_record{run.seq_of(node), run.share(node)});
    return true;
  });
  state.at = end;
}

// Lost ones in what was looked at. Their subjects are not known, so only a scan of one subject leaves them out.
void stored_log::scan_lost(scan_state& state) {
  if (lost_.empty() || !state.request.exact_subject.empty()) return;
  for (auto seq = lost_.next_present(std::max(state.request.from, stats_.first)); seq && *seq < state.at;
       seq = lost_.next_present(seq->next())) {
    if (*seq <= state.to) state.answer.damaged.push_back(*seq);
  }
  std::sort(state.answer.damaged.begin(), state.answer.damaged.end());
}

}  // namespace weir
