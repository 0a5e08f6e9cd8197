// Opening a store: whose directory it is, the newest readable snapshot, the journal after it, the blocks, what is left
// over.
#include <algorithm>

#include "storage/block_salvage.h"
#include "storage/journal_segment.h"
#include "storage/quarantine.h"
#include "storage/store_identity.h"
#include "storage/store_impl.h"

namespace weir {

result<void> store_impl::recover(lane& commits, clock_port& clock) {
  auto step = claim_directory(host_.where, host_.root, clock, host_.report);
  if (step) step = make_dir_durable(host_.where, host_.root + "/streams");
  if (!step) return step;
  client_.attach(*this);
  auto from = load_newest();
  if (!from) return from.err();
  auto opened = journal::open(host_.where, commits, clock, host_.root, config_.journal, *from, *this);
  if (!opened) return opened.err();
  journal_ = std::move(*opened);
  host_.entries = journal_.get();
  for (auto& [id, log] : logs_) {
    step = log->finish_recovery();
    if (!step) return step;
    if (log->damaged_count() != 0) {
      host_.report.notes.push_back("stream " + std::to_string(id.raw()) + ": " + std::to_string(log->damaged_count()) +
                                   " messages are lost to damage");
    }
  }
  step = find_orphans();
  if (!step) return step;
  auto free = host_.where.free_bytes();
  short_of_space_ = free && *free < config_.disk_reserve_bytes;
  journal_->on_progress = [this] { on_progress(); };
  journal_->on_roll = [this] { want_checkpoint(); };
  // A stop may have come between a snapshot and the release of what it replaced.
  if (older_) journal_->release_before(*older_);
  recovering_ = false;
  changed_ = rebuilding_ || !host_.report.quarantined.empty();
  return ok();
}

// Snapshots

// Loads the newest snapshot that can be read; returns where the journal goes on from.
result<lsn> store_impl::load_newest() {
  auto all = list_snapshots(host_.where, host_.root);
  if (!all) return all.err();
  for (lsn at : *all) {
    auto read = read_snapshot(host_.where, host_.root, at);
    if (read) {
      if (newest_) {
        older_ = at;
        break;
      }
      newest_ = at;
      auto loaded = load(std::move(*read));
      if (!loaded) return loaded.err();
      continue;
    }
    std::string path = snapshot_path(host_.root, at);
    auto moved = quarantine(host_.where, host_.root, path);
    if (!moved) return moved.err();
    host_.report.quarantined.push_back(*moved);
    host_.report.notes.push_back(path + ": damaged; the one before it and the journal take its place");
  }
  if (newest_) return *newest_;
  auto whole = all->empty() ? journal_is_whole() : false;
  if (!whole) return whole.err();
  if (*whole) return lsn();  // what block files there are belong to a first checkpoint that did not end
  auto blocks = any_blocks();
  if (!blocks) return blocks.err();
  rebuilding_ = *blocks || !all->empty();
  if (rebuilding_) {
    host_.report.notes.push_back(host_.root + ": no snapshot can be read; rebuilding from block files and the journal");
    auto rebuilt = rebuild();
    if (!rebuilt) return rebuilt.err();
  }
  return lsn();
}

// True if the journal still has its first segment, and so everything.
result<bool> store_impl::journal_is_whole() const {
  const std::string path = host_.root + "/journal/" + segment_name(1);
  if (!host_.where.exists(path)) return false;
  auto opened = host_.where.open(path, disk::mode::read);
  if (!opened) return opened.err();
  const auto header = read_segment_header(**opened);
  if (!header) return header.err();
  return *header && (*header)->number == 1 && (*header)->base_lsn == 0;
}

result<void> store_impl::load(snapshot&& from) {
  for (log_snapshot& each : from.logs) {
    auto made = std::make_shared<stored_log>(host_, each.id, each.options);
    logs_[each.id] = made;
    made->restore(std::move(each));
  }
  return client_.load_state(as_bytes(from.state));
}

// The journal

result<void> store_impl::on_entry(const journal_entry& entry) {
  ++host_.report.entries;
  host_.report.bytes += entry.payload.size();
  if (entry.kind == entry_kind::group) return on_group(entry);
  return take(entry);
}

result<void> store_impl::on_group(const journal_entry& entry) {
  const auto parts = group_parts(entry.payload.bytes());
  if (!parts) {
    host_.report.notes.push_back("a group entry of the journal is malformed");
    return ok();
  }
  for (const group_part& part : *parts) {
    const auto kind = static_cast<entry_kind>(part.header.kind);
    auto taken = take(journal_entry{entry.at, entry.end, kind, stream_id(part.header.stream),
                                    entry.payload.sub(part.at, part.header.payload_bytes)});
    if (!taken) return taken;
  }
  return ok();
}

result<void> store_impl::take(const journal_entry& entry) {
  if (entry.kind == entry_kind::state) return client_.apply(entry.stream, entry.payload.bytes());
  return replay(entry);
}

result<void> store_impl::replay(const journal_entry& entry) {
  if (!logs_.contains(entry.stream) && holes_ + (rebuilding_ ? 1 : 0) != 0) {
    // Its creation was lost with something else; its messages need not be.
    auto adopted = client_.adopt(entry.stream, {});
    if (!adopted) return adopted;
  }
  auto found = logs_.find(entry.stream);
  if (found == logs_.end()) {
    host_.report.notes.push_back("the journal names stream " + std::to_string(entry.stream.raw()) +
                                 ", which does not exist");
    return ok();
  }
  stored_log& log = *found->second;
  byte_span payload = entry.payload.bytes();
  switch (entry.kind) {
    case entry_kind::records:
      log.replay_records(entry.payload);
      return ok();
    case entry_kind::remove_before:
      if (payload.size() == 8) log.replay_remove_before(seq_no(load_le<uint64_t>(payload.data())));
      return ok();
    case entry_kind::remove:
      log.replay_remove(payload);
      return ok();
    case entry_kind::state:
    case entry_kind::group:
      break;
  }
  return ok();
}

void store_impl::on_hole(lsn from, lsn to) {
  if (rebuilding_ && from == lsn()) return;  // what came before the oldest segment is in the blocks
  ++holes_;
  host_.report.notes.push_back("the journal is damaged between " + std::to_string(from.raw()) + " and " +
                               std::to_string(to.raw()));
}

void store_impl::on_cut(lsn from, lsn to) {
  host_.report.torn_bytes += to.raw() - from.raw();
}

// Without a snapshot

namespace {

// Directories of streams, with their ids.
result<std::vector<std::pair<stream_id, std::string>>> stream_dirs(disk& where, const std::string& root) {
  auto names = where.list(root + "/streams");
  if (!names) return names.err();
  std::vector<std::pair<stream_id, std::string>> found;
  for (const std::string& name : *names) {
    auto id = parse_stream_dir(name);
    if (id && name.ends_with('/')) found.emplace_back(*id, root + "/streams/" + name.substr(0, name.size() - 1));
  }
  return found;
}

// First sequences of the block files of a directory, rising.
result<std::vector<seq_no>> block_bases(disk& where, const std::string& dir) {
  auto names = where.list(dir);
  if (!names) return names.err();
  std::vector<seq_no> bases;
  for (const std::string& name : *names) {
    auto base = parse_block_name(name);
    if (base) bases.push_back(*base);
  }
  return bases;
}

std::string label_of(disk& where, const std::string& path) {
  auto opened = where.open(path, disk::mode::read);
  if (!opened) return {};
  std::vector<uint8_t> bytes(block_format::header_page + block_format::label_bytes_max);
  auto got = (*opened)->read_at(0, bytes);
  const uint64_t at = got ? block_header_offset(byte_span(bytes).first(*got)) : 0;
  if (at != 0) got = (*opened)->read_at(at, bytes);
  if (!got) return {};
  bytes.resize(*got);
  auto header = decode_block_header(bytes);
  return header ? header->header.label : std::string();
}

}  // namespace

result<bool> store_impl::any_blocks() {
  auto dirs = stream_dirs(host_.where, host_.root);
  if (!dirs) return dirs.err();
  for (const auto& [id, dir] : *dirs) {
    auto bases = block_bases(host_.where, dir);
    if (!bases) return bases.err();
    if (!bases->empty()) return true;
  }
  return false;
}

result<void> store_impl::rebuild() {
  auto dirs = stream_dirs(host_.where, host_.root);
  if (!dirs) return dirs.err();
  for (const auto& [id, dir] : *dirs) {
    auto adopted = adopt_stream(id, dir);
    if (!adopted) return adopted;
  }
  return ok();
}

result<void> store_impl::adopt_stream(stream_id stream, const std::string& dir) {
  auto bases = block_bases(host_.where, dir);
  if (!bases) return bases.err();
  if (bases->empty()) return ok();
  std::string label;
  for (seq_no base : *bases) {
    auto finished = finish_salvage(host_.where, host_.root, stream, base);
    if (!finished) return finished;
    if (label.empty()) label = label_of(host_.where, block_path(host_.root, stream, base));
  }
  auto adopted = client_.adopt(stream, as_bytes(label));
  if (!adopted) return adopted;
  auto found = logs_.find(stream);
  if (found == logs_.end()) {
    host_.report.notes.push_back(dir + ": not adopted");
    return ok();
  }
  return adopt_blocks(*found->second, *bases);
}

result<void> store_impl::adopt_blocks(stored_log& into, const std::vector<seq_no>& bases) {
  for (size_t i = 0; i < bases.size(); ++i) {
    std::string path = block_path(host_.root, into.id(), bases[i]);
    seq_no keep_to = i + 1 < bases.size() ? bases[i + 1].prev() : seq_no(~uint64_t{0});
    auto opened = host_.where.open(path, disk::mode::read);
    if (!opened) return opened.err();
    interval_set present;
    auto read = load_block(**opened, into.id(), bases[i], std::nullopt);
    result<void> rows = read ? ok() : result<void>(read.err());
    for (size_t p = 0; rows && p < read->parts.size(); ++p) {
      for (uint32_t g = 0; rows && g < read->parts[p]->info.groups(); ++g) {
        auto group = load_group(**opened, *read->parts[p], g, true);
        if (!group) rows = group.err();
        for (const block_row& row : group ? group->rows : std::vector<block_row>()) present.add(row.seq);
      }
    }
    if (rows && read->last() <= keep_to) {
      into.adopt_block(std::make_shared<block>(std::move(*read)), present);
      continue;
    }
    auto saved = salvage_block(host_.where, host_.root, into.id(), bases[i], keep_to);
    if (!saved) return saved.err();
    host_.report.quarantined.push_back(saved->quarantined);
    if (saved->made) into.adopt_block(saved->made, saved->present);
  }
  return ok();
}

// Left over

// Files in the streams' directories that the recovered state does not need: of a checkpoint that did not end, or
// replaced ones that an older snapshot still names. They go when no snapshot needs them; after damage to the journal
// they are set aside, because they may hold what it lost.
result<void> store_impl::find_orphans() {
  auto dirs = stream_dirs(host_.where, host_.root);
  if (!dirs) return dirs.err();
  for (const auto& [id, dir] : *dirs) {
    auto done = orphans_of(id, dir);
    if (!done) return done;
  }
  auto names = host_.where.list(host_.root);
  if (!names) return names.err();
  for (const std::string& name : *names) {
    bool unfinished = name.starts_with("snapshot-") && name.ends_with(".new");
    auto removed = unfinished ? host_.where.remove(host_.root + "/" + name) : ok();
    if (!removed) return removed;
  }
  return ok();
}

result<void> store_impl::orphans_of(stream_id stream, const std::string& dir) {
  auto names = host_.where.list(dir);
  if (!names) return names.err();
  auto found = logs_.find(stream);
  // A stream that the journal dropped is still in the snapshot: its files are retired by drop_log().
  bool dropped =
      std::any_of(retired_.begin(), retired_.end(), [&](const retired& each) { return each.path == dir + "/"; });
  if (dropped) return ok();
  if (found == logs_.end() && (names->empty() || holes_ == 0)) {
    retired_.push_back(retired{dir + "/", stream, newest_});
    return ok();
  }
  std::set<std::string> used;
  for (const block_ref& each : found != logs_.end() ? found->second->blocks() : std::vector<block_ref>()) {
    used.insert(block_path(host_.root, stream, each->base));
  }
  for (const std::string& name : *names) {
    const std::string path = dir + "/" + name;
    auto done = used.contains(path) ? ok() : orphan(stream, path);
    if (!done) return done;
  }
  return ok();
}

result<void> store_impl::orphan(stream_id stream, const std::string& path) {
  if (holes_ == 0) {
    retired_.push_back(retired{path, stream, newest_});
    return ok();
  }
  auto moved = quarantine(host_.where, host_.root, path);
  if (!moved) return moved.err();
  host_.report.quarantined.push_back(*moved);
  return ok();
}

}  // namespace weir
