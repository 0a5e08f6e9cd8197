// A log at open: from a snapshot, the journal behind it, and the block files; and a damaged block put right, at open or
// later.
#include <algorithm>

#include "storage/block_salvage.h"
#include "storage/stored_log.h"

namespace weir {

namespace {

std::string number(seq_no seq) {
  return std::to_string(seq.raw());
}

}  // namespace

// What the snapshot and the journal say. Counts of messages are right at every step, sizes and subjects at the end.

void stored_log::restore(log_snapshot from) {
  stats_.first = from.first;
  stats_.last = from.last;
  settled_ = from.last;
  removed_ = std::move(from.removed);
  lost_ = std::move(from.lost);
  known_blocks_ = std::move(from.blocks);
  recount();
}

void stored_log::recount() {
  stats_.count = stats_.last.raw() + 1 - stats_.first.raw() - removed_.count();
  raise_first();
  visible_ = stats_.last;
}

void stored_log::adopt_block(block_ref found, const interval_set& present) {
  seq_no from = blocks_.empty() ? found->first() : stats_.last.next();
  if (blocks_.empty()) stats_.first = from;
  for (seq_no at = from; at <= found->last();) {
    seq_no end = present.next_present(at).value_or(found->last().next());
    removed_.add(at, end.prev());
    at = present.next_absent(end);
  }
  stats_.last = settled_ = found->last();
  install(std::make_shared<block>(*found));
  recount();
}

void stored_log::replay_records(const slice& payload) {
  for (size_t at = 0; at < payload.size();) {
    auto record = parse_record(payload.bytes().subspan(at));
    if (!record) {
      host_.report.notes.push_back("stream " + std::to_string(id_.raw()) + ": a journal entry holds no record");
      return;
    }
    size_t size = record->whole.size();
    if (record->seq > stats_.last) {
      if (record->seq > stats_.last.next()) {
        host_.report.damaged_records += lost_.add(stats_.last.next(), record->seq.prev());
      }
      tail_.append(record->seq, payload.owner(), payload.bytes().subspan(at, size), record->time);
      stats_.last = record->seq;
    }
    at += size;
  }
  recount();
}

void stored_log::replay_remove_before(seq_no first_kept) {
  first_kept = std::min(first_kept, stats_.last.next());
  if (first_kept <= stats_.first) return;
  std::vector<seq_no> in_memory;
  tail_.for_each(stats_.first, first_kept.prev(), [&](const tail_run& run, const tail_node& node) {
    in_memory.push_back(run.seq_of(node));
    return true;
  });
  for (seq_no seq : in_memory) tail_.remove(seq);
  lost_.erase(stats_.first, first_kept.prev());
  removed_.erase(seq_no(0), first_kept.prev());
  stats_.first = first_kept;
  recount();
}

void stored_log::replay_remove(byte_span payload) {
  for (size_t at = 0; at + 8 <= payload.size(); at += 8) {
    seq_no seq(load_le<uint64_t>(payload.data() + at));
    if (!is_live(seq)) continue;
    removed_.add(seq);
    lost_.erase(seq, seq);
    if (tail_.find(seq) != nullptr) tail_.remove(seq);
  }
  recount();
}

// The blocks

result<void> stored_log::finish_recovery() {
  for (const block_snapshot& each : std::exchange(known_blocks_, {})) {
    auto recovered = recover_block(each);
    if (!recovered) return recovered;
  }
  seq_no before;
  for (size_t i = 0; i < blocks_.size();) {
    block_ref in = blocks_[i];
    auto indexed = index_block(*in);
    if (!indexed && indexed.err().code == errc::data_loss) indexed = salvage_now(in);
    if (!indexed) return indexed;
    if (i < blocks_.size() && blocks_[i] == in) {
      find_lost(before.next(), in->first().prev(), interval_set());
      before = in->last();
      ++i;
    }
  }
  find_lost(before.next(), settled_, interval_set());
  tail_.for_each(seq_no(1), stats_.last, [&](const tail_run& run, const tail_node& node) {
    const seq_no seq = run.seq_of(node);
    const std::string_view subject = record_subject(run.bytes(node));
    WEIR_CHECK(!subject.empty());  // it was taken apart when it was replayed
    index_append(seq, *tail_.find(seq), ordinal_of(subject));
    return true;
  });
  hint_ = subject_index::none;
  return ok();
}

// A block that the snapshot names. One that is gone or cannot be read any more costs its records, not the log.
result<void> stored_log::recover_block(const block_snapshot& from) {
  auto finished = finish_salvage(host_.where, host_.root, id_, from.base);
  if (!finished) return finished;
  std::string path = block_path(host_.root, id_, from.base);
  if (!host_.where.exists(path)) {
    host_.report.notes.push_back(path + ": the file is missing");
    return ok();
  }
  auto opened = host_.where.open(path, disk::mode::read);
  if (!opened) return opened.err();
  auto found = load_block(**opened, id_, from.base, from.length);
  if (!found || found->last() != from.last) {
    // A repaired file has a length of its own.
    found = load_block(**opened, id_, from.base, std::nullopt);
    bool repaired = found && (found->parts.back()->info.flags & part_info::salvaged) != 0 && found->last() <= from.last;
    if (!repaired) return salvage_file(from.base, from.last);
  }
  found->closed = found->closed || from.closed;
  install(std::make_shared<block>(std::move(*found)));
  return ok();
}

// Instead of what `blocks_` has or had of it: what can be saved. Appends or replaces.
result<void> stored_log::salvage_file(seq_no base, seq_no last) {
  auto saved = salvage_block(host_.where, host_.root, id_, base, last);
  if (!saved) return saved.err();
  place_salvaged(base, last, *saved);
  return ok();
}

void stored_log::place_salvaged(seq_no base, seq_no last, const salvaged_block& saved) {
  host_.report.quarantined.push_back(saved.quarantined);
  host_.report.notes.push_back(block_path(host_.root, id_, base) + ": damaged; " +
                               std::to_string(saved.present.count()) + " records up to " + number(last) +
                               " were saved into a new file");
  auto at = std::lower_bound(blocks_.begin(), blocks_.end(), base,
                             [](const block_ref& each, seq_no wanted) { return each->base < wanted; });
  if (at != blocks_.end() && (*at)->base == base) {
    host_.cache.forget_file((*at)->file_uid);
    at = blocks_.erase(at);
  }
  if (saved.made) {
    auto made = std::make_shared<block>(*saved.made);
    set_uids(*made);
    blocks_.insert(at, std::move(made));
  }
  find_lost(base, last, saved.present);
}

result<void> stored_log::salvage_now(const block_ref& damaged) {
  return salvage_file(damaged->base, damaged->last());
}

// Live messages in the range that no record is left of.
void stored_log::find_lost(seq_no from, seq_no to, const interval_set& present) {
  from = std::max(from, stats_.first);
  to = std::min(to, settled_);
  uint64_t found = 0;
  for (seq_no at = from; at <= to;) {
    seq_no end = std::min(present.next_present(at).value_or(to.next()), to.next());
    for (seq_no gap = removed_.next_absent(at); gap < end;) {
      seq_no gap_end = std::min(removed_.next_present(gap).value_or(end), end);
      found += lost_.add(gap, gap_end.prev());
      gap = removed_.next_absent(gap_end);
    }
    at = present.next_absent(end);
  }
  host_.report.damaged_records += found;
}

// Adds what a block says of subjects and sizes. data_loss: nothing was added.
result<void> stored_log::index_block(const block& in) {
  std::unique_ptr<file> from;
  auto opened = open_file(from, in);
  if (!opened) return opened;
  struct subject {
    std::string name;
    block_slot slot;
  };
  std::vector<subject> subjects;  // of parts without removed records
  std::vector<row_group> groups;  // of the others
  uint64_t bytes = 0;
  for (const auto& part : in.parts) {
    const part_info& info = part->info;
    seq_no low = std::max(info.first, stats_.first);
    if (low > info.last) continue;
    uint64_t gone = removed_.count_in(low, info.last) + lost_.count_in(low, info.last);
    uint64_t live = info.last.raw() + 1 - low.raw() - gone;
    if (live == 0) continue;
    bool repaired = (info.flags & part_info::salvaged) != 0;
    if (live == info.rows && !repaired) {
      bytes += info.record_bytes;
      auto read = weir::for_each_subject(*from, *part, [&](std::string_view name, const block_slot& slot) {
        subjects.push_back(subject{std::string(name), slot});
      });
      if (!read) return read;
      continue;
    }
    interval_set present;
    for (uint32_t g = 0; g < info.groups(); ++g) {
      auto group = load_group(*from, *part, g, true);
      if (!group) return group.err();
      for (const block_row& row : group->rows) present.add(row.seq);
      std::erase_if(group->rows, [&](const block_row& row) { return !readable(row.seq); });
      groups.push_back(std::move(*group));
    }
    find_lost(info.first, info.last, present);  // a repaired file lacks what was damaged
  }
  for (const subject& each : subjects) {
    subject_index::line& line = index_.at(index_.find_or_add(each.name));
    bool only = line.count == 0;
    line.first = only ? each.slot.first : std::min(line.first, each.slot.first);
    line.first_bytes = only && each.slot.count == 1 ? each.slot.last_length : line.first_bytes;
    bool newer = only || each.slot.last > line.last;
    line.last_bytes = newer ? each.slot.last_length : line.last_bytes;
    line.last = newer ? each.slot.last : line.last;
    line.count += each.slot.count;
  }
  for (const row_group& group : groups) index_rows(group);
  stats_.bytes += bytes;
  host_.cache.give_file(in.file_uid, std::move(from));
  return ok();
}

void stored_log::index_rows(const row_group& rows) {
  for (const block_row& row : rows.rows) {
    subject_index::line& line = index_.at(index_.find_or_add(rows.names[row.slot]));
    if (line.count == 0 || row.seq < line.first) {
      line.first = row.seq;
      line.first_bytes = row.length;
    }
    if (line.count == 0 || row.seq > line.last) {
      line.last = row.seq;
      line.last_bytes = row.length;
    }
    ++line.count;
    stats_.bytes += row.length;
  }
}

// While the store runs

task<result<void>> stored_log::repair(block_ref damaged, error why) {
  if (why.code != errc::data_loss) co_return why;
  co_await host_.files.take();
  if (!is_current(damaged)) {
    host_.files.pass();
    co_return ok();
  }
  seq_no last = damaged->last();
  auto work = [&] { return salvage_block(host_.where, host_.root, id_, damaged->base, last); };
  auto saved = co_await run_on(host_.pool, work);
  if (saved && is_current(damaged)) place_salvaged(damaged->base, last, *saved);
  host_.files.pass();
  if (!saved) co_return saved.err();
  co_return ok();
}

}  // namespace weir
