// Accounting of removals: sizes, and the subject index's counts and ends. What lies in memory is accounted at once; a
// settled record's row is read from its block first, in the background.
#include <algorithm>

#include "storage/stored_log.h"

namespace weir {

namespace {

constexpr size_t rows_per_look = 16;  // of a subject, when its next live record is looked for

struct part_subject {
  std::string name;
  uint32_t count;
};

}  // namespace

void stored_log::mark_stale(uint32_t subject, bool first) {
  subject_index::line& line = index_.at(subject);
  bool& flag = first ? line.first_stale : line.last_stale;
  if (flag) return;
  flag = true;
  ++stale_lines_;
  stale_.push_back(subject);
}

void stored_log::clear_stale(subject_index::line& line, bool first) {
  bool& flag = first ? line.first_stale : line.last_stale;
  if (flag) --stale_lines_;
  flag = false;
}

void stored_log::erase_line(uint32_t subject) {
  clear_stale(index_.at(subject), true);
  clear_stale(index_.at(subject), false);
  if (hint_ == subject) hint_ = subject_index::none;
  index_.erase(subject);
}

// None of the records that the line counts can be found: they were lost to damage. Unless some that it counts are still
// to be accounted; then it stays stale, and is looked at again after them.
void stored_log::lose_line(uint32_t subject) {
  if (!pending_.empty()) return;
  known_ = std::vector<known_record>();
  erase_line(subject);
}

// With one message left both ends are that one.
void stored_log::fix_ends(uint32_t subject) {
  subject_index::line& line = index_.at(subject);
  if (line.count != 1) return;
  if (!line.last_stale && is_live(line.last)) {
    line.first = line.last;
    line.first_bytes = line.last_bytes;
    clear_stale(line, true);
  } else if (!line.first_stale && is_live(line.first)) {
    line.last = line.first;
    line.last_bytes = line.first_bytes;
    clear_stale(line, false);
  }
}

// A record that is no longer live leaves the sums. `node`: it is still in the tail.
void stored_log::account(seq_no seq, uint32_t bytes, uint32_t subject, const tail_node* node) {
  stats_.bytes -= bytes;
  if (!index_.knows(subject) || index_.at(subject).count == 0) return;  // only after damage
  subject_index::line& line = index_.at(subject);
  if (--line.count == 0) return erase_line(subject);
  if (seq == line.first) {
    const tail_node* after = node == nullptr ? nullptr : tail_.find(node->after);
    if (after != nullptr) {
      line.first = node->after;
      line.first_bytes = after->size;
    } else {
      mark_stale(subject, true);
    }
  }
  if (seq == line.last) {
    const tail_node* before = node == nullptr ? nullptr : tail_.find(node->before);
    if (before != nullptr) {
      line.last = node->before;
      line.last_bytes = before->size;
    } else {
      mark_stale(subject, false);
    }
  }
  fix_ends(subject);
}

void stored_log::account_settled(seq_no seq) {
  // A key that was overwritten: the older record of the subject appended last.
  if (hint_ != subject_index::none) {
    const subject_index::line& line = index_.at(hint_);
    if (line.first == seq && !line.first_stale && line.first_bytes != 0) {
      return account(seq, line.first_bytes, hint_, nullptr);
    }
  }
  auto known = std::lower_bound(known_.begin(), known_.end(), seq,
                                [](const known_record& each, seq_no wanted) { return each.seq < wanted; });
  if (known != known_.end() && known->seq == seq) return account(seq, known->bytes, known->subject, nullptr);
  pending_.add(seq);
}

// Those of the pending up to `to` that oldest() has read.
void stored_log::account_known(seq_no to) {
  size_t used = 0;
  for (; used < known_.size() && known_[used].seq <= to; ++used) {
    known_record known = known_[used];
    if (pending_.erase(known.seq, known.seq) != 0) account(known.seq, known.bytes, known.subject, nullptr);
  }
  known_.erase(known_.begin(), known_.begin() + static_cast<ptrdiff_t>(used));
}

// The background

task<result<void>> stored_log::become_exact() {
  auto alive = shared_from_this();
  while (!exact()) {
    if (accounting_) {
      co_await accounts_ended_.wait();
    } else {
      co_await run_accounts();
    }
    if (!accounts_outcome_) co_return accounts_outcome_;
  }
  co_return ok();
}

task<void> stored_log::run_accounts() {
  auto alive = shared_from_this();
  accounting_ = true;
  accounts_outcome_ = co_await account_all();
  accounting_ = false;
  accounts_ended_.wake_all();
}

task<result<void>> stored_log::account_all() {
  for (;;) {
    result<void> step;
    if (!pending_.empty()) {
      step = co_await account_next();
    } else if (!stale_.empty()) {
      uint32_t subject = stale_.back();
      stale_.pop_back();
      if (!index_.knows(subject)) continue;
      const subject_index::line& line = index_.at(subject);
      if (!line.first_stale && !line.last_stale) continue;
      std::string name(line.name);
      step = co_await resolve_last(name);
      if (step) step = co_await resolve_first(name);
      // Whatever happened, a subject that is still stale is looked at again.
      auto again = index_.find(name);
      bool left = again != subject_index::none && (index_.at(again).first_stale || index_.at(again).last_stale);
      if (left) stale_.push_back(again);
    } else {
      co_return ok();
    }
    if (!step) co_return step;
  }
}

task<result<void>> stored_log::account_next() {
  seq_no from = *pending_.next_present(seq_no(0));
  auto at = find_place(from);
  if (!at) {
    // Not in any block: nothing was ever counted for it.
    pending_.clear();
    co_return ok();
  }
  const part_info& info = at->part->info;
  if (from < info.first) {
    pending_.erase(from, info.first.prev());
    co_return ok();
  }
  bool whole = from == info.first && pending_.count_in(info.first, info.last) == info.rows;
  result<void> done;
  if (whole) {
    done = co_await account_whole_part(*at);
  } else {
    done = co_await account_group(*at, from);
  }
  co_return done;
}

// Every record of the part was live until now: its subject table says it all.
task<result<void>> stored_log::account_whole_part(place at) {
  std::vector<part_subject> subjects;
  std::unique_ptr<file> from = host_.cache.take_file(at.in->file_uid);
  auto work = [&]() -> result<void> {
    auto opened = open_file(from, *at.in);
    if (!opened) return opened;
    return weir::for_each_subject(*from, *at.part, [&](std::string_view name, const block_slot& slot) {
      subjects.push_back(part_subject{std::string(name), slot.count});
    });
  };
  auto read = co_await run_on(host_.pool, work);
  host_.cache.give_file(at.in->file_uid, std::move(from));
  if (!read) {
    auto repaired = co_await repair(at.in, read.err());
    co_return repaired;
  }
  const part_info& info = at.part->info;
  if (pending_.count_in(info.first, info.last) != info.rows) co_return ok();  // forgotten meanwhile
  pending_.erase(info.first, info.last);
  stats_.bytes -= info.record_bytes;
  for (const part_subject& each : subjects) {
    auto which = index_.find(each.name);
    if (which == subject_index::none) continue;
    subject_index::line& line = index_.at(which);
    line.count -= std::min<uint64_t>(line.count, each.count);
    if (line.count == 0) {
      erase_line(which);
      continue;
    }
    if (line.first >= info.first && line.first <= info.last) mark_stale(which, true);
    if (line.last >= info.first && line.last <= info.last) mark_stale(which, false);
    fix_ends(which);
  }
  co_return ok();
}

task<result<void>> stored_log::account_group(place at, seq_no from) {
  uint32_t number = group_of(*at.part, from);
  auto group = co_await group_at(at, number, true);
  if (!group) {
    auto repaired = co_await repair(at.in, group.err());
    co_return repaired;
  }
  const row_group& rows = **group;
  for (const block_row& row : rows.rows) {
    if (pending_.erase(row.seq, row.seq) == 0) continue;
    auto which = index_.find(rows.names[row.slot]);
    if (which != subject_index::none) {
      account(row.seq, row.length, which, nullptr);
    } else {
      stats_.bytes -= row.length;
    }
  }
  // What has no row here was never counted.
  const seq_no end = last_of(*at.part, number, rows);
  if (from <= end) pending_.erase(from, end);
  co_return ok();
}

// The lowest live record of a subject whose known first is gone.
task<result<void>> stored_log::resolve_first(std::string subject) {
  for (;;) {
    auto which = index_.find(subject);
    if (which == subject_index::none || !index_.at(which).first_stale) co_return ok();
    seq_no gone = index_.at(which).first;
    seq_no through = settled_;
    auto rows = co_await subject_rows(subject, gone.next(), through, rows_per_look, false);
    if (!rows) co_return rows.err();
    which = index_.find(subject);
    if (which == subject_index::none || !index_.at(which).first_stale) co_return ok();
    subject_index::line& line = index_.at(which);
    if (line.first != gone || settled_ != through) continue;  // the world has changed
    auto found =
        std::find_if(rows->begin(), rows->end(), [&](const subject_row& each) { return readable(each.row.seq); });
    if (found != rows->end()) {
      line.first = found->row.seq;
      line.first_bytes = found->row.length;
      clear_stale(line, true);
      co_return ok();
    }
    if (rows->size() == rows_per_look) {
      line.first = rows->back().row.seq;
      continue;
    }
    // Not in the blocks: the earliest in memory.
    const tail_node* node = line.last > settled_ ? tail_.find(line.last) : nullptr;
    if (node == nullptr) {
      lose_line(which);
      co_return ok();
    }
    seq_no first = line.last;
    // A link may lead to what was settled since.
    while (const tail_node* before = tail_.find(node->before)) {
      first = node->before;
      node = before;
    }
    line.first = first;
    line.first_bytes = node->size;
    clear_stale(line, true);
    co_return ok();
  }
}

// The highest live record of a subject whose known last is gone. It is not in the tail: there the chain knows it.
task<result<void>> stored_log::resolve_last(std::string subject) {
  for (;;) {
    auto which = index_.find(subject);
    if (which == subject_index::none || !index_.at(which).last_stale) co_return ok();
    seq_no gone = index_.at(which).last;
    auto rows = co_await subject_rows(subject, seq_no(1), std::min(settled_, gone.prev()), rows_per_look, true);
    if (!rows) co_return rows.err();
    which = index_.find(subject);
    if (which == subject_index::none || !index_.at(which).last_stale) co_return ok();
    subject_index::line& line = index_.at(which);
    if (line.last != gone) continue;
    auto found =
        std::find_if(rows->begin(), rows->end(), [&](const subject_row& each) { return readable(each.row.seq); });
    if (found != rows->end()) {
      line.last = found->row.seq;
      line.last_bytes = found->row.length;
      clear_stale(line, false);
      co_return ok();
    }
    if (rows->size() == rows_per_look) {
      line.last = rows->back().row.seq;
      continue;
    }
    lose_line(which);
    co_return ok();
  }
}

}  // namespace weir
