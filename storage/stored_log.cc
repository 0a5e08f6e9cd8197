#include "storage/stored_log.h"

#include <algorithm>

namespace weir {

namespace {

constexpr size_t arena_bytes_min = 4 << 10;
constexpr size_t arena_bytes_max = 256 << 10;
// An ephemeral log keeps at most so many dead nodes for each live one.
constexpr size_t dead_per_live_max = 4;
constexpr size_t dead_free = 4096;
constexpr size_t ahead = 8;  // records of a run: what they follow at their subjects is fetched so much earlier

}  // namespace

stored_log::stored_log(store_host& host, stream_id id, const log_options& options) : host_(host), id_(id) {
  reconfigure(options);
  stats_.first = seq_no(1);
}

void stored_log::reconfigure(const log_options& options) {
  options_ = options;
  options_.block_records = std::max<uint64_t>(1, options_.block_records);
}

// Appending

size_t stored_log::append_bytes(const record_fields& fields) const {
  return record_size(fields, stats_.last.next());
}

slice stored_log::encode_in_arena(const record_fields& fields, seq_no seq, uint64_t epoch) {
  size_t size = record_size(fields, seq);
  if (arena_.size() < size) {
    size_t wanted = std::clamp<size_t>(stats_.bytes / 8, arena_bytes_min, arena_bytes_max);
    chunk_ref fresh = chunk_ref::make(std::max(wanted, size));
    uint8_t* data = fresh->data();
    size_t capacity = fresh->capacity();
    arena_ = slice(std::move(fresh), data, capacity);
  }
  slice taken = arena_.sub(0, size);
  // Nobody has seen these bytes of the arena yet.
  encode_record(const_cast<uint8_t*>(taken.data()), fields, seq, epoch);
  arena_ = arena_.sub(size, arena_.size() - size);
  return taken;
}

stored_log::appended stored_log::append(const record_fields& fields, uint64_t epoch) {
  appended done{stats_.last.next(), lsn()};
  if (options_.ephemeral) {
    const slice bytes = encode_in_arena(fields, done.seq, epoch);
    place_appended(done.seq, bytes.owner(), bytes.bytes(), fields.time, ordinal_of(fields.subject));
  } else {
    const size_t size = record_size(fields, done.seq);
    const journal::reserved room = host_.entries->reserve(entry_kind::records, id_, size);
    encode_record(room.payload, fields, done.seq, epoch);
    done.end = host_.entries->seal();
    place_appended(done.seq, room.owner, {room.payload, size}, fields.time, ordinal_of(fields.subject));
  }
  show_when_safe(done.seq, done.end);
  return done;
}

// Inlined into its callers.
inline void stored_log::place_appended(seq_no seq, const chunk_ref& owner, byte_span bytes, wall_ms time,
                                       subject_index::ordinal subject) {
  tail_node& node = tail_.append(seq, owner, bytes, time);
  if (stats_.count == 0) stats_.first = seq;
  stats_.last = seq;
  ++stats_.count;
  index_append(seq, node, subject);
}

// What was appended from `first` on, by an entry that ends at `end`.
inline void stored_log::show_when_safe(seq_no first, lsn end) {
  if (options_.ephemeral) {
    visible_ = stats_.last;
    return;
  }
  last_change_ = end;
  auto& queue = options_.written_is_visible ? host_.written_next : host_.durable_next;
  queue.push(end, this, first, stats_.last);
}

size_t stored_log::run_bytes(const std::vector<record_fields>& run) const {
  return records_size(run, stats_.last.next());
}

stored_log::appended stored_log::append_run(const std::vector<record_fields>& run, uint64_t epoch) {
  WEIR_CHECK(!run.empty());
  const seq_no first = stats_.last.next();
  if (options_.ephemeral) {
    for (const record_fields& fields : run) append(fields, epoch);
    return appended{first, lsn()};
  }
  const size_t bytes = run_bytes(run);
  const journal::reserved room = host_.entries->reserve(entry_kind::records, id_, bytes);
  index_.find_or_add(run, ordinals_);
  seq_no seq = first;
  uint8_t* at = room.payload;
  record_encoder encoder(epoch);
  std::span<uint8_t> before;
  for (size_t i = 0; i < run.size(); ++i) {
    if (i + ahead < run.size() && ordinals_[i + ahead] != ordinals_[i])
      tail_.expect(index_.at(ordinals_[i + ahead]).last);
    const size_t size = encoder.encode(at, run[i], seq);
    if (i != 0) record_encoder::seal(before.data(), before.size());
    before = {at, size};
    place_appended(seq, room.owner, before, run[i].time, ordinals_[i]);
    at += size;
    seq = seq.next();
  }
  record_encoder::seal(before.data(), before.size());
  WEIR_CHECK(at == room.payload + bytes);
  const lsn end = host_.entries->seal();
  show_when_safe(first, end);
  return appended{first, end};
}

subject_index::ordinal stored_log::ordinal_of(std::string_view subject) {
  if (hint_ == subject_index::none || index_.at(hint_).name != subject) hint_ = index_.find_or_add(subject);
  return hint_;
}

// The record is in the tail already.
void stored_log::index_append(seq_no seq, tail_node& node, subject_index::ordinal subject) {
  subject_index::line& line = index_.at(subject);
  const bool chained = line.count > 0 && !line.last_stale && line.last > settled_;
  node.subject = subject;
  if (chained) tail_.link(seq, node, line.last);
  if (line.count++ == 0) {
    line.first = seq;
    line.first_bytes = node.size;
  }
  if (line.last_stale) clear_stale(line, false);
  line.last = seq;
  line.last_bytes = node.size;
  stats_.bytes += node.size;
}

// Removing

bool stored_log::is_live(seq_no seq) const {
  return seq >= stats_.first && seq <= stats_.last && !removed_.contains(seq);
}

seq_no stored_log::next_live(seq_no from) const {
  seq_no found = removed_.next_absent(std::max(from, stats_.first));
  return std::min(found, stats_.last.next());
}

uint64_t stored_log::live_since(seq_no from) const {
  from = std::max(from, stats_.first);
  if (from > stats_.last) return 0;
  return stats_.last.raw() + 1 - from.raw() - removed_.count_in(from, stats_.last);
}

void stored_log::journal_removal(entry_kind kind, byte_span payload) {
  if (options_.ephemeral) return;
  journal::reserved room = host_.entries->reserve(kind, id_, payload.size());
  std::memcpy(room.payload, payload.data(), payload.size());
  last_change_ = host_.entries->seal();
  last_removal_ = last_change_;
}

// One live message goes.
void stored_log::take_out(seq_no seq) {
  removed_.add(seq);
  --stats_.count;
  suspect_.erase(seq, seq);
  if (lost_.erase(seq, seq) != 0) return;
  const tail_node* node = tail_.find(seq);
  if (node == nullptr) return account_settled(seq);
  account(seq, node->size, node->subject, node);
  tail_.remove(seq);
}

// The first live message is above what is removed from the front.
void stored_log::raise_first() {
  if (stats_.count == 0) {
    stats_.first = stats_.last.next();
    removed_.clear();
    return;
  }
  if (!removed_.contains(stats_.first)) return;
  stats_.first = removed_.next_absent(stats_.first);
  removed_.erase(seq_no(0), stats_.first.prev());
}

uint64_t stored_log::remove(const std::vector<seq_no>& seqs) {
  std::vector<uint8_t> payload;
  for (seq_no seq : seqs) {
    if (!is_live(seq)) continue;
    take_out(seq);
    payload.resize(payload.size() + 8);
    store_le<uint64_t>(payload.data() + payload.size() - 8, seq.raw());
  }
  if (payload.empty()) return 0;
  raise_first();
  journal_removal(entry_kind::remove, payload);
  after_removal();
  return payload.size() / 8;
}

uint64_t stored_log::remove_before(seq_no first_kept) {
  first_kept = std::min(first_kept, stats_.last.next());
  if (first_kept <= stats_.first) return 0;
  uint64_t gone = remove_range(stats_.first, first_kept.prev());
  uint8_t payload[8];
  store_le<uint64_t>(payload, first_kept.raw());
  journal_removal(entry_kind::remove_before, payload);
  after_removal();
  return gone;
}

// Everything live in [first, to] goes; `from` is the first live message.
uint64_t stored_log::remove_range(seq_no from, seq_no to) {
  uint64_t before = stats_.count;
  if (to >= stats_.last) {
    forget_everything();
    return before;
  }
  // Runs of settled messages, then those in memory.
  seq_no settled_end = std::min(to, settled_);
  for (seq_no at = from; at <= settled_end;) {
    seq_no end = removed_.next_present(at).value_or(settled_end.next());
    end = std::min(end, settled_end.next());
    if (at < end) pending_.add(at, end.prev());
    at = removed_.next_absent(end);
  }
  for (auto at = lost_.next_present(from); at && *at <= to; at = lost_.next_present(at->next())) {
    pending_.erase(*at, *at);
  }
  std::vector<seq_no> in_memory;
  tail_.for_each(from, to, [&](const tail_run& run, const tail_node& node) {
    in_memory.push_back(run.seq_of(node));
    return true;
  });
  stats_.count -= to.raw() - from.raw() + 1 - removed_.count_in(from, to);
  stats_.first = to.next();
  lost_.erase(from, to);
  suspect_.erase(from, to);
  removed_.erase(from, to);
  raise_first();
  account_known(to);
  for (seq_no seq : in_memory) {
    const tail_node* node = tail_.find(seq);
    account(seq, node->size, node->subject, node);
    tail_.remove(seq);
  }
  return before - stats_.count;
}

void stored_log::forget_everything() {
  index_.clear();
  tail_.drop_through(stats_.last);
  removed_.clear();
  lost_.clear();
  suspect_.clear();
  pending_.clear();
  stale_ = std::vector<uint32_t>();
  stale_lines_ = 0;
  hint_ = subject_index::none;
  known_ = std::vector<known_record>();
  stats_.count = 0;
  stats_.bytes = 0;
  stats_.first = stats_.last.next();
}

void stored_log::after_removal() {
  if (options_.ephemeral && tail_.nodes() > tail_.live() * dead_per_live_max + dead_free) tail_.compact();
  if (!exact() && !accounting_ && !host_.background.closed()) host_.background.spawn(run_accounts());
}

// A failed journal

void stored_log::drop_above(seq_no last) {
  for (seq_no seq = stats_.last; seq > last; seq = seq.prev()) {
    const tail_node* node = tail_.find(seq);
    if (node == nullptr) continue;
    --stats_.count;
    stats_.last = seq.prev();
    account(seq, node->size, node->subject, node);
    tail_.remove(seq);
  }
  stats_.last = std::min(stats_.last, last);
  tail_.drop_above(last);
  removed_.erase(last.next(), seq_no(~uint64_t{0}));
  stats_.first = std::min(stats_.first, stats_.last.next());
  raise_first();
}

// The index

const subject_info* stored_log::find_subject(std::string_view subject) const {
  auto found = index_.find(subject);
  return found == subject_index::none ? nullptr : &index_.at(found);
}

void stored_log::for_each_subject(std::string_view prefix, const std::function<bool(const subject_info&)>& each) const {
  index_.for_each(prefix, [&](const subject_index::line& line) { return each(line); });
}

// Checkpoint

log_snapshot stored_log::snapshot() const {
  log_snapshot taken;
  taken.id = id_;
  taken.options = options_;
  taken.first = stats_.first;
  taken.last = stats_.last;
  taken.removed = removed_;
  taken.lost = lost_;
  return taken;
}

settle_request stored_log::begin_settle() {
  settle_request request;
  request.where = &host_.where;
  request.root = host_.root;
  request.stream = id_;
  request.label = options_.label;
  request.block_records = options_.block_records;
  request.new_directory = blocks_.empty();
  if (!blocks_.empty() && !blocks_.back()->closed) request.open_block = blocks_.back();
  request.runs = tail_.freeze();
  return request;
}

void stored_log::end_settle(const settle_outcome& outcome, seq_no through) {
  WEIR_CHECK(through <= stats_.last);
  if (outcome.open_block_failed) {
    auto closed = std::make_shared<block>(*blocks_.back());
    closed->closed = true;
    blocks_.back() = std::move(closed);
  }
  if (!outcome.status) {
    tail_.thaw();
    return;
  }
  for (const block_ref& made : outcome.blocks) {
    if (!blocks_.empty() && blocks_.back()->base == made->base) blocks_.pop_back();
    install(std::make_shared<block>(*made));
  }
  tail_.drop_through(through);
  tail_.thaw();
  settled_ = std::max(settled_, through);
}

void stored_log::set_uids(block& made) {
  if (made.file_uid == 0) made.file_uid = host_.new_uid();
  for (const part_ref& part : made.parts) {
    // Not shared with anyone yet.
    if (part->uid == 0) std::const_pointer_cast<block_part>(part)->uid = host_.new_uid();
  }
}

void stored_log::install(std::shared_ptr<block> made) {
  set_uids(*made);
  blocks_.push_back(std::move(made));
}

std::vector<block_ref> stored_log::take_dead_blocks() {
  std::vector<block_ref> dead;
  std::erase_if(blocks_, [&](const block_ref& each) {
    bool alive = next_live(each->first()) <= each->last() || pending_.count_in(each->first(), each->last()) != 0;
    if (!alive) dead.push_back(each);
    return !alive;
  });
  return dead;
}

}  // namespace weir
