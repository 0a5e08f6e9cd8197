#include "net/publish_lane.h"

#include "net/parse_fault.h"
#include "net/streams_convert.h"
#include "weir/v1/broker.pb.h"

namespace weir {

namespace {

// A crossing is placed in one turn of the other reactor.
constexpr size_t crossing_bytes_max = 128 << 10;
constexpr size_t spare_max = 8;
constexpr size_t spare_records_max = 1'024;  // more are not worth their memory between frames

}  // namespace

task<result<void>> publish_lane::run() {
  call_.finish_on_stop();
  gate beside;
  beside.spawn(place_frames());
  beside.spawn(answer());
  auto outcome = co_await read_frames();
  read_all_ = true;
  frame_read_.wake();
  co_await beside.close();
  if (!refused_) co_return std::move(refused_);
  co_return outcome;
}

// --- reading ---

bool publish_lane::over_limits() const {
  const size_t open = unplaced_.size() + going_.size() + unanswered_.size();
  return open >= limits_.inflight_frames_max || open_bytes_ >= limits_.inflight_bytes_max;
}

std::unique_ptr<decoded_batch> publish_lane::take_decoded() {
  if (spare_.empty()) return std::make_unique<decoded_batch>();
  auto taken = std::move(spare_.back());
  spare_.pop_back();
  return taken;
}

task<result<void>> publish_lane::read_frames() {
  for (;;) {
    while (over_limits() && !over_) co_await frame_answered_.wait();
    if (!refused_) co_return ok();
    auto bytes = co_await call_.read();
    if (!bytes || !refused_) co_return ok();
    auto decoded = take_decoded();
    if (!decode_publish_batch(*bytes, limits_.frame_messages_max, *decoded)) {
      co_return fail(errc::invalid_argument, parse_fault(*bytes, *v1::PublishBatch::descriptor()));
    }
    const std::string_view named = decoded->stream;
    if (!named.empty() && (!stream_ || named != *stream_)) stream_ = std::make_shared<const std::string>(named);
    if (!stream_) {
      co_return fail(errc::invalid_argument, "stream: is empty; the first frame names the stream it goes to");
    }
    for (publish_request& one : decoded->records) one.stream = *stream_;
    open_bytes_ += bytes->size();
    unplaced_.push_back(read_frame{std::move(decoded), call_.hold_message(), stream_, bytes->size(),
                                   &shards_.of(*stream_), std::nullopt});
    frame_read_.wake();
  }
}

// --- placing ---

task<void> publish_lane::place_frames() {
  for (;;) {
    while (unplaced_.empty() && !read_all_) co_await frame_read_.wait();
    if (unplaced_.empty()) break;
    take_going();
    auto append = [this](shard& there) { return place_there(there); };
    auto placed = co_await shard_map::ask_at(here_, *going_.front().where, append);
    take_placed();
    frame_placed_.wake();
    if (placed) continue;
    refused_ = std::move(placed);
    unplaced_.clear();
    call_.stop_reading();
    break;
  }
  placed_all_ = true;
  frame_placed_.wake();
}

// What can go to one shard together.
void publish_lane::take_going() {
  size_t bytes = 0;
  do {
    bytes += unplaced_.front().bytes;
    going_.push_back(std::move(unplaced_.front()));
    unplaced_.pop_front();
  } while (!unplaced_.empty() && unplaced_.front().where == going_.front().where && bytes < crossing_bytes_max);
}

// An error ends the call; what comes after it is not tried.
task<result<void>> publish_lane::place_there(shard& there) {
  for (read_frame& one : going_) {
    auto placed = co_await there.place_batch(one.decoded->records, one.decoded->atomic);
    if (!placed && is_status(placed.err().code)) co_return std::move(placed).err();
    one.outcome.emplace(std::move(placed));
  }
  co_return ok();
}

void publish_lane::take_placed() {
  for (read_frame& one : going_) {
    if (!one.outcome) break;
    unanswered_.push_back(placed_frame{one.decoded->frame, one.bytes, one.where, std::move(*one.outcome)});
    const bool keep = spare_.size() < spare_max && one.decoded->records.capacity() <= spare_records_max;
    if (keep) spare_.push_back(std::move(one.decoded));
  }
  going_.clear();
}

// --- answers ---

task<void> publish_lane::answer() {
  for (;;) {
    while (unanswered_.empty() && !placed_all_) co_await frame_placed_.wait();
    if (unanswered_.empty()) break;
    co_await await_oldest();
    const bool taken = co_await write_answers();
    if (!taken) break;
    frame_answered_.wake();
  }
  over_ = true;
  frame_answered_.wake();
}

bool publish_lane::is_safe(const placed_frame& one) const {
  if (!one.outcome || one.outcome->end == lsn()) return true;
  return one.where == asked_ && one.outcome->level <= safe_level_ && one.outcome->end <= safe_end_;
}

task<void> publish_lane::await_oldest() {
  if (is_safe(unanswered_.front())) co_return;
  const shard_place& where = *unanswered_.front().where;
  const durability level = unanswered_.front().outcome->level;
  const lsn end = unanswered_.front().outcome->end;
  auto ask = [level, end](shard& there) { return there.batch_safe(level, end); };
  auto reached = co_await shard_map::ask_at(here_, where, ask);
  if (!reached) {
    unanswered_.front().outcome = std::move(reached).err();
    co_return;
  }
  asked_ = &where;
  safe_level_ = level;
  safe_end_ = *reached;
}

task<bool> publish_lane::write_answers() {
  while (!unanswered_.empty() && is_safe(unanswered_.front())) {
    const placed_frame& one = unanswered_.front();
    reply answer = encode_batch_ack(one.frame, one.outcome, told_limits_ ? nullptr : &limits_);
    told_limits_ = true;
    const bool more = unanswered_.size() > 1 && is_safe(unanswered_[1]);
    const bool taken = co_await call_.write(answer, more);
    if (!taken) co_return false;
    open_bytes_ -= unanswered_.front().bytes;
    unanswered_.pop_front();
  }
  co_return true;
}

}  // namespace weir
