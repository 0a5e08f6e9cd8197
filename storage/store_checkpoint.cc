// Checkpoints: one consistent cut at a journal position, written while the shard goes on.
#include <algorithm>

#include "storage/block_salvage.h"
#include "storage/store_impl.h"

namespace weir {

namespace {

constexpr size_t settling_at_once = 4;

}  // namespace

task<result<void>> store_impl::checkpoint() {
  co_await host_.files.take();
  checkpoint_wanted_ = false;
  auto done = co_await take_checkpoint();
  checkpoint_is_full_ = !done && done.err().code == errc::disk_full;
  checkpoint_failed_ = !done;
  host_.files.pass();
  co_return done;
}

task<result<void>> store_impl::take_checkpoint() {
  if (failed()) co_return fail(errc::storage_failed, "the journal failed");
  if (newest_ == journal_->appended() && !changed_) {
    auto freed = co_await free_journal();
    co_return freed;
  }
  // The cut: nothing is awaited until it is complete.
  snapshot made;
  made.at = journal_->appended();
  made.state = client_.encode_state();
  const std::vector<filled_segment> segments = segments_to_take();
  std::vector<cut> cuts = cut_logs(segments);
  size_t retired_before = retired_.size();
  changed_ = false;

  // The wait begins before the flush, so that the flush knows that a sync is wanted.
  result<void> durable;
  gate waiting;
  waiting.spawn(wait_durable(made.at, durable));
  journal_->flush();
  auto ended = waiting.close();
  co_await ended;
  if (!durable) {
    for (cut& each : cuts) each.log->cancel_settle();
    co_return durable;
  }
  auto settled = co_await make_directories(cuts);
  if (!settled) {
    for (cut& each : cuts) each.log->cancel_settle();
    co_return settled;
  }
  settled = co_await settle_all(cuts);
  if (!settled) co_return settled;
  for (cut& each : cuts) {
    for (const block_ref& in : each.log->blocks()) {
      each.taken.blocks.push_back(block_snapshot{in->base, in->last(), in->length, in->closed});
    }
    made.logs.push_back(std::move(each.taken));
  }
  lsn at = made.at;
  auto kept = co_await keep_snapshot(std::move(made));
  if (!kept) co_return kept;
  for (size_t i = 0; i < retired_before; ++i) {
    if (!retired_[i].since) retired_[i].since = at;
  }
  auto freed = co_await free_journal();
  co_return freed;
}

// Gives back what neither snapshot needs.
task<result<void>> store_impl::free_journal() {
  journal_->release_before(older_.value_or(lsn()));  // nothing may be free, but somebody may be waiting to hear that
  if (older_) co_await delete_retired(*older_);
  if (failed() || !journal_is_short()) co_return ok();
  auto given_up = co_await give_up_older();
  co_return given_up;
}

// True if what the older snapshot needs of the journal is nearly all that it may hold: then going on is worth more than
// a second snapshot.
bool store_impl::journal_is_short() const {
  uint64_t kept = journal_->appended().raw() - older_.value_or(lsn()).raw();
  uint64_t segments = config_.journal.segments_max > 2 ? config_.journal.segments_max - 2 : 1;
  return kept > segments * config_.journal.segment_bytes;
}

// Lets go of the older snapshot, and so of all of the journal that the newest does not need.
task<result<void>> store_impl::give_up_older() {
  lsn newest = *newest_;
  auto work = [&]() -> result<void> {
    auto all = list_snapshots(host_.where, host_.root);
    if (!all) return all.err();
    for (lsn each : *all) {
      auto removed = each == newest ? ok() : host_.where.remove(snapshot_path(host_.root, each));
      if (!removed) return removed;
    }
    return host_.where.sync_dir(host_.root);
  };
  auto removed = co_await run_on(host_.pool, work);
  if (!removed) co_return removed;
  older_.reset();
  journal_->release_before(newest);
  co_await delete_retired(newest);
  co_return ok();
}

task<void> store_impl::wait_durable(lsn end, result<void>& outcome) {
  auto wait = journal_->durable(end);
  outcome = co_await wait;
}

// The current one is among them if little is lost by ending it here.
std::vector<filled_segment> store_impl::segments_to_take() {
  if (config_.journal.segment_bytes >= config_.taken_bytes_min) journal_->end_segment();
  std::vector<filled_segment> all = journal_->filled_segments();
  std::erase_if(all, [&](const filled_segment& each) { return each.bytes < config_.taken_bytes_min; });
  return all;
}

std::vector<store_impl::cut> store_impl::cut_logs(std::span<const filled_segment> segments) {
  std::vector<cut> cuts;
  for (auto& [id, log] : logs_) {
    if (log->options().ephemeral) continue;
    for (const block_ref& dead : log->take_dead_blocks()) {
      host_.cache.forget_file(dead->file_uid);
      retired_.push_back(retired{block_path(host_.root, id, dead->base), id, std::nullopt});
    }
    cuts.push_back(cut{log, log->snapshot(), log->begin_settle()});
    cuts.back().work.segments = segments;
  }
  return cuts;
}

// Those of logs that settle for the first time, with one sync for all.
task<result<void>> store_impl::make_directories(const std::vector<cut>& cuts) {
  std::vector<std::string> dirs;
  for (const cut& each : cuts) {
    bool wanted = each.work.new_directory && !each.work.runs.empty();
    if (wanted) dirs.push_back(stream_dir(host_.root, each.work.stream));
  }
  if (dirs.empty()) co_return ok();
  auto work = [&]() -> result<void> {
    for (const std::string& dir : dirs) {
      auto made = host_.where.make_dir(dir);
      if (!made) return made;
    }
    return host_.where.sync_dir(host_.root + "/streams");
  };
  auto made = co_await run_on(host_.pool, work);
  co_return made;
}

task<result<void>> store_impl::settle_all(std::vector<cut>& cuts) {
  result<void> outcome;
  size_t next = 0;
  gate workers;
  for (size_t i = 0; i < settling_at_once; ++i) workers.spawn(settle_some(cuts, next, outcome));
  auto all = workers.close();
  co_await all;
  co_return outcome;
}

// Takes the next log as long as there is one. After a failure the rest stays in memory.
task<void> store_impl::settle_some(std::vector<cut>& cuts, size_t& next, result<void>& outcome) {
  while (next < cuts.size()) {
    cut& mine = cuts[next++];
    if (!outcome) {
      mine.log->cancel_settle();
      continue;
    }
    settle_outcome done;
    if (!mine.work.runs.empty()) {
      auto work = [&mine] { return settle(mine.work); };
      done = co_await run_on(host_.pool, work);
    }
    mine.work.runs.clear();
    for (lsn base : done.taken) journal_->taken_over(base);
    changed_ = changed_ || done.open_block_failed;
    if (!done.status && outcome) outcome = done.status;
    mine.log->end_settle(done, mine.taken.last);
  }
}

task<result<void>> store_impl::keep_snapshot(snapshot made) {
  std::vector<lsn> dropped;
  auto work = [&]() -> result<void> {
    auto written = write_snapshot(host_.where, host_.root, made);
    if (!written) return written;
    // Of the snapshots on disk the newest two stay.
    auto all = list_snapshots(host_.where, host_.root);
    if (!all) return all.err();
    for (size_t i = 2; i < all->size(); ++i) {
      auto removed = host_.where.remove(snapshot_path(host_.root, (*all)[i]));
      if (!removed) return removed;
    }
    return ok();
  };
  auto kept = co_await run_on(host_.pool, work);
  if (!kept) co_return kept;
  if (newest_ != made.at) older_ = newest_;
  newest_ = made.at;
  co_return ok();
}

// True if the name was taken by a live file again.
bool store_impl::in_use(const retired& item) const {
  auto found = logs_.find(item.stream);
  if (found == logs_.end()) return false;
  const auto& blocks = found->second->blocks();
  return item.path.ends_with('/') || std::any_of(blocks.begin(), blocks.end(), [&](const block_ref& each) {
           return block_path(host_.root, each->stream, each->base) == item.path;
         });
}

// Files that both snapshots do without.
task<void> store_impl::delete_retired(lsn needed_from) {
  std::vector<std::string> paths;
  std::vector<retired> rest;
  for (retired& item : retired_) {
    if (!item.since || *item.since > needed_from) {
      rest.push_back(std::move(item));
    } else if (!in_use(item)) {
      paths.push_back(std::move(item.path));
    }
  }
  retired_ = std::move(rest);
  if (paths.empty()) co_return;
  std::vector<std::string> notes;
  auto work = [&] {
    for (std::string path : paths) {
      std::vector<std::string> files{path};
      if (path.ends_with('/')) {
        path.pop_back();
        files.clear();
        auto names = host_.where.exists(path) ? host_.where.list(path) : std::vector<std::string>();
        for (const std::string& name : names ? *names : std::vector<std::string>()) files.push_back(path + "/" + name);
        if (host_.where.exists(path)) files.push_back(path);
      }
      for (const std::string& each : files) {
        auto removed = host_.where.exists(each) ? host_.where.remove(each) : ok();
        if (!removed) notes.push_back(removed.err().message);
      }
    }
    return true;
  };
  co_await run_on(host_.pool, work);
  host_.report.notes.insert(host_.report.notes.end(), notes.begin(), notes.end());
}

}  // namespace weir
