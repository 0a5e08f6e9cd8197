#include "net/publish_lane.h"

#include "net/parse_fault.h"
#include "net/streams_convert.h"
#include "weir/v1/broker.pb.h"

namespace weir {

task<result<void>> publish_lane::run() {
  call_.finish_on_stop();
  gate answering;
  answering.spawn(answer());
  auto outcome = co_await take_frames();
  taken_all_ = true;
  frame_placed_.wake();
  co_await answering.close();
  co_return outcome;
}

bool publish_lane::over_limits() const {
  return unanswered_.size() >= limits_.inflight_frames_max || unanswered_bytes_ >= limits_.inflight_bytes_max;
}

task<result<void>> publish_lane::take_frames() {
  for (;;) {
    while (over_limits() && !over_) co_await frame_answered_.wait();
    auto bytes = co_await call_.read();
    if (!bytes) co_return ok();
    if (!decode_publish_batch(*bytes, limits_.frame_messages_max, decoded_)) {
      co_return fail(errc::invalid_argument, parse_fault(*bytes, *v1::PublishBatch::descriptor()));
    }
    if (!decoded_.stream.empty()) stream_ = decoded_.stream;
    if (stream_.empty()) {
      co_return fail(errc::invalid_argument, "stream: is empty; the first frame names the stream it goes to");
    }
    for (publish_request& one : decoded_.records) one.stream = stream_;
    const shard_place& where = shards_.of(stream_);
    auto placed = co_await place(where);
    if (!placed && is_status(placed.err().code)) co_return std::move(placed).err();
    unanswered_bytes_ += bytes->size();
    unanswered_.push_back(placed_frame{decoded_.frame, bytes->size(), &where, std::move(placed)});
    frame_placed_.wake();
  }
}

task<result<batch_outcome>> publish_lane::place(const shard_place& where) {
  auto append = [this](shard& there) { return there.place_batch(decoded_.records, decoded_.atomic); };
  auto placed = co_await shard_map::ask_at(here_, where, append);
  co_return placed;
}

// --- answers ---

task<void> publish_lane::answer() {
  for (;;) {
    while (unanswered_.empty() && !taken_all_) co_await frame_placed_.wait();
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
    unanswered_bytes_ -= unanswered_.front().bytes;
    unanswered_.pop_front();
  }
  co_return true;
}

}  // namespace weir
