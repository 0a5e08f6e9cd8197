#include "storage/journal_impl.h"

#include <algorithm>

namespace weir {
namespace {

constexpr int64_t watermark_every_ns = 1'000'000'000;
constexpr int64_t quiet_ns = 20'000;  // since the last commit: whoever comes now comes alone

// Nothing that a publisher could guess: a payload that looks like an entry must not pass for one (FORMAT.md).
uint32_t make_salt(clock_port& clock, uint64_t number) {
  uint64_t mixed =
      static_cast<uint64_t>(clock.mono().raw()) ^ (static_cast<uint64_t>(clock.wall().raw()) << 20) ^ number;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  return static_cast<uint32_t>(mixed >> 32);
}

// co_await until no job of the journal is on the lane.
struct idle_wait {
  bool idle;
  std::coroutine_handle<>& slot;
  bool await_ready() const noexcept { return idle; }
  void await_suspend(std::coroutine_handle<> caller) noexcept { slot = caller; }
  void await_resume() const noexcept {}
};

}  // namespace

result<std::unique_ptr<journal>> journal::open(disk& where, lane& commits, clock_port& clock, std::string dir,
                                               const journal_config& config, lsn from, journal_visitor& visitor) {
  WEIR_CHECK(config.segment_bytes >= segment_bytes_min && config.segment_bytes <= segment_bytes_limit);
  WEIR_CHECK(config.segment_bytes % segment_data_offset == 0 && config.segments_max >= 2);
  std::string segments = dir + "/journal";
  auto made = make_dir_durable(where, segments);
  if (!made) return made.err();
  auto mark = watermark::open(where, dir + "/watermark");
  if (!mark) return mark.err();
  journal_recovery recovery(where, segments, dir + "/quarantine", config.segment_bytes, (*mark)->last(), from, visitor);
  auto found = recovery.run();
  if (!found) return found.err();
  auto opened = std::make_unique<journal_impl>(where, commits, clock, segments, config, std::move(*mark));
  auto started = opened->start(std::move(*found));
  if (!started) return started.err();
  return std::unique_ptr<journal>(std::move(opened));
}

journal_impl::journal_impl(disk& where, lane& commits, clock_port& clock, const std::string& directory,
                           const journal_config& config, std::unique_ptr<watermark> mark)
    : disk_(where),
      lane_(commits),
      clock_(clock),
      directory_(directory),
      config_(config),
      watermark_(std::move(mark)),
      commit_(where, directory),
      pool_(where, commits, clock, directory, config.segment_bytes),
      marked_at_(clock.mono()) {
  commit_.on_done = [this] { commit_done(); };
  pool_.on_step = [this](const result<void>& outcome) { pool_step(outcome); };
}

result<void> journal_impl::start(recovered_journal found) {
  appended_ = written_end_ = durable_end_ = found.end;
  next_number_ = found.next_number;
  next_base_ = found.next_base;
  pool_.number_from(found.next_free_number);
  for (auto& each : found.segments) {
    const auto names = disk_.names_of(each.path);
    if (!names) return names.err();
    segments_.push_back(segment{each.header, each.path, each.end, *names > 1});
  }
  // From now on the watermark no longer says that nothing follows: something will.
  auto marked = watermark_->write(lsn(found.end), false);
  if (!marked) return marked;
  if (found.goes_on) {
    const segment& last = segments_.back();
    auto opened = disk_.open(last.path, disk::mode::onwards);
    if (!opened) return opened.err();
    current_file_ = std::make_shared<segment_file>(segment_file{std::move(*opened), false});
    base_ = last.header.base_lsn;
    offset_ = found.end - base_;
    limit_ = last.header.bytes;
    salt_ = last.header.salt;
  }
  for (auto& path : found.spare) {
    const auto names = disk_.names_of(path);
    if (!names) return names.err();
    keep_or_discard(std::move(path), config_.segment_bytes, *names > 1);
  }
  if (limit_ == 0 && pool_.ready() == 0 && spares_wanted() != 0) {
    auto made = pool_.make_now();
    if (!made) return made;
  }
  for (auto& path : found.useless) pool_.discard(std::move(path));
  want_segments();
  return ok();
}

// Reserving

journal::reserved journal_impl::reserve(entry_kind kind, stream_id stream, size_t payload_bytes) {
  if (pending_ != nullptr) return reserve_part(kind, stream, payload_bytes);
  uint64_t need = entry_size(payload_bytes);
  if (offset_ + need > limit_) roll();
  WEIR_CHECK(offset_ + need <= limit_);
  if (chunk_at_ + need > chunk_end_) next_chunk(need);
  if (open_.empty()) begin_batch();
  pending_ = chunk_->data() + chunk_at_;
  pending_payload_ = payload_bytes;
  uint64_t at = base_ + offset_;
  entry_header header;
  header.payload_bytes = static_cast<uint32_t>(payload_bytes);
  header.at = at;
  header.batch_back = static_cast<uint32_t>(at - open_.start);
  header.kind = static_cast<uint8_t>(kind);
  header.flags = open_.flags;
  header.stream = stream.raw();
  encode_entry_header(pending_, header);
  return reserved{pending_ + entry_header_size, chunk_};
}

lsn journal_impl::seal() {
  WEIR_CHECK(pending_ != nullptr);
  if (in_group_) return seal_part();
  size_t size = entry_size(pending_payload_);
  seal_entry(pending_, pending_payload_, salt_);
  bool continues = !open_.spans.empty() && open_.spans.back().owner == chunk_;
  if (!continues) open_.spans.push_back(write_span{chunk_, pending_, 0, offset_});
  open_.spans.back().size += size;
  open_.bytes += size;
  unsubmitted_bytes_ += size;
  chunk_at_ += size;
  offset_ += size;
  appended_ = open_.end = base_ + offset_;
  pending_ = nullptr;
  ++stats_.entries;
  stats_.bytes += size;
  return lsn(appended_);
}

void journal_impl::begin_group(size_t group_bytes) {
  WEIR_CHECK(!in_group_ && pending_ == nullptr);
  reserve(entry_kind::group, stream_id(), group_bytes);
  in_group_ = true;
  group_used_ = 0;
}

lsn journal_impl::end_group() {
  WEIR_CHECK(in_group_ && !part_open_ && group_used_ == pending_payload_);
  in_group_ = false;
  return seal();
}

journal::reserved journal_impl::reserve_part(entry_kind kind, stream_id stream, size_t payload_bytes) {
  WEIR_CHECK(in_group_ && !part_open_);
  WEIR_CHECK(group_part_header + payload_bytes <= pending_payload_ - group_used_);
  part_open_ = true;
  uint8_t* at = pending_ + entry_header_size + group_used_;
  encode_part_header(at, part_header{static_cast<uint32_t>(payload_bytes), static_cast<uint8_t>(kind), stream.raw()});
  group_used_ += group_part_header + payload_bytes;
  return reserved{at + group_part_header, chunk_};
}

lsn journal_impl::seal_part() {
  WEIR_CHECK(part_open_);
  part_open_ = false;
  return lsn(base_ + offset_ + entry_size(pending_payload_));
}

// The next entry goes into a new segment. room() made sure of a spare.
void journal_impl::roll() {
  if (!open_.empty()) closed_batches_.push_back(std::exchange(open_, batch{}));
  if (limit_ != 0) segments_.back().end = appended_;
  segment_header header;
  header.number = next_number_++;
  header.base_lsn = next_base_;
  header.prev_end = appended_;
  header.bytes = config_.segment_bytes;
  header.salt = make_salt(clock_, header.number);
  auto order = std::make_unique<roll_order>();
  order->previous = std::exchange(current_file_, std::make_shared<segment_file>());
  order->spare_path = pool_.take();
  order->path = directory_ + "/" + segment_name(header.number);
  order->header = header;
  reserve_only_ = pool_.ready() == 0 && !segments_.empty();
  segments_.push_back(segment{header, order->path, 0});
  next_base_ += header.bytes;
  base_ = header.base_lsn;
  offset_ = segment_data_offset;
  limit_ = header.bytes;
  salt_ = header.salt;
  chunk_end_ = 0;  // a chunk holds bytes of one segment: see chunk::origin()
  open_.roll = std::move(order);
}

void journal_impl::begin_batch() {
  open_.target = current_file_;
  open_.start = base_ + offset_;
  bool sync_under_way = committing_ && commit_.syncs() && commit_.what().end == appended_;
  bool previous_synced = open_.roll != nullptr || durable_end_ == appended_ || sync_under_way;
  open_.flags = previous_synced ? entry_flag_previous_synced : 0;
}

void journal_impl::next_chunk(size_t bytes_min) {
  // An entry lies at the same place in its page in memory and in the file, so that it is written without a copy.
  chunk_at_ = offset_ % chunk_alignment;
  chunk_ = chunks_.take(chunk_at_ + bytes_min);
  chunk_->set_origin(base_ + offset_ - chunk_at_);
  chunk_end_ = chunk_->capacity();
}

// Committing

bool journal_impl::has_work() const {
  bool unsynced = written_end_ > durable_end_ && sync_asked_ > durable_end_;
  return !open_.empty() || !closed_batches_.empty() || unsynced;
}

void journal_impl::flush() {
  if (failure_) return;
  flush_asked_ = true;
  if (!committing_ && has_work()) start_commit();
}

void journal_impl::hasten(bool sync) {
  if (failure_ || committing_ || clock_.mono().raw() - committed_at_.raw() < quiet_ns) return;
  if (sync) sync_asked_ = std::max(sync_asked_, appended_);
  flush();
}

void journal_impl::start_commit() {
  batch next;
  if (!closed_batches_.empty()) {
    next = std::move(closed_batches_.front());
    closed_batches_.pop_front();
  } else if (!open_.empty()) {
    next = std::exchange(open_, batch{});
  } else {
    next.target = current_file_;  // written already, not synced
    next.end = written_end_;
  }
  flush_asked_ = !closed_batches_.empty() || !open_.empty();
  unsubmitted_bytes_ -= next.bytes;
  committing_ = true;
  commit_.fill(std::move(next), sync_asked_ > durable_end_);
  lane_.submit(commit_);
}

void journal_impl::commit_done() {
  committing_ = false;
  committed_at_ = clock_.mono();
  batch written = std::move(commit_.what());
  if (!commit_.outcome()) poison(commit_.outcome().err());
  if (failure_) return after_job();  // nothing becomes durable any more, not even what just went well
  bool rolled = written.roll != nullptr;
  written_end_ = written.end;
  if (rolled) durable_end_ = written.roll->header.prev_end;
  if (commit_.syncs()) {
    durable_end_ = written_end_;
    ++stats_.syncs;
  }
  ++stats_.commits;
  written.spans.clear();
  if (flush_asked_ && has_work()) start_commit();  // keep the disk busy while the waiters run
  settle_waiters();
  announce_end(rolled);
  want_segments();
  wake_room();
  watermark_if_due(rolled);
  after_job();
}

void journal_impl::poison(const error& cause) {
  if (failure_) return;
  failure_ = fail(errc::storage_failed, "the journal failed and takes nothing until restart: " + cause.message);
  pool_.stop();
  closed_batches_.clear();
  open_ = batch{};
  unsubmitted_bytes_ = 0;
  settle_waiters();
  wake_room();
}

void journal_impl::settle_waiters() {
  if (on_progress) on_progress();
  waiters_.resume_if([this](waiter& node) { return ready(node); });
}

bool journal_impl::ready(waiter& node) {
  bool reached = node.end.raw() <= (node.needs_sync ? durable_end_ : written_end_);
  if (!reached && failure_) node.outcome = *failure_;
  return reached || failure_;
}

void journal_impl::wait(waiter& node) {
  WEIR_CHECK(node.end.raw() <= appended_);
  if (node.needs_sync) sync_asked_ = std::max(sync_asked_, node.end.raw());
  waiters_.add(node);
}

result<void> journal_impl::failure() const {
  if (failure_) return *failure_;
  return ok();
}

void journal_impl::tick() {
  if (failure_ || closing_) return;
  if (written_end_ > durable_end_) sync_asked_ = std::max(sync_asked_, written_end_);
  flush();
  chunks_.shrink();
  want_segments();
  watermark_if_due(false);
  wake_room();
  asked_to_release_ = false;
  if (!publishers_.empty() || !freers_.empty()) ask_to_release();
}

// Watermark

void journal_impl::watermark_if_due(bool now) {
  if (marking_ || failure_ || closing_ || watermark_->last().durable.raw() == durable_end_) return;
  if (!now && clock_.mono().raw() - marked_at_.raw() < watermark_every_ns) return;
  write_watermark(false);
}

void journal_impl::write_watermark(bool clean) {
  marked_at_ = clock_.mono();
  marking_ = true;
  mark_job_.durable = lsn(durable_end_);
  mark_job_.clean = clean;
  lane_.submit(mark_job_);
}

void journal_impl::watermark_done() {
  marking_ = false;
  if (!mark_job_.outcome) poison(mark_job_.outcome.err());
  after_job();
}

// Closing

void journal_impl::after_job() {
  if (closer_ && lane_is_idle()) std::exchange(closer_, nullptr).resume();
}

task<result<void>> journal_impl::close() {
  WEIR_CHECK(!closing_);
  closing_ = true;
  pool_.stop();
  wake_room();
  sync_asked_ = std::max(sync_asked_, appended_);
  for (;;) {
    flush();
    bool idle = lane_is_idle();
    if (idle && (failure_ || durable_end_ == appended_)) break;
    idle_wait waiting{idle, closer_};
    co_await waiting;
  }
  if (failure_) co_return failure();
  write_watermark(limit_ != 0);
  idle_wait waiting{lane_is_idle(), closer_};
  co_await waiting;
  co_return failure();
}

}  // namespace weir
