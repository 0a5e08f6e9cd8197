#include "tools/publisher/batch_run.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace weir {
namespace {

constexpr uint64_t ns_per_ms = 1'000'000;
constexpr uint64_t tick_ns = 100 * ns_per_ms;                // how late an interrupt or the progress line may be
constexpr uint64_t answers_wait_ns = 30'000 * ns_per_ms;     // without any answer, when the run ends
constexpr uint64_t interrupted_wait_ns = 5'000 * ns_per_ms;  // the same after an interrupt
constexpr uint64_t goodbye_ns = 1'000 * ns_per_ms;           // for the broker to end calls of which all is answered

}  // namespace

batch_run::batch_run(const publisher_options& options, message_feed& feed, tally& counts, delivery_match* match,
                     const std::atomic<bool>& interrupt)
    : options_(options),
      feed_(feed),
      counts_(counts),
      match_(match),
      interrupt_(interrupt),
      streams_(static_cast<size_t>(options.streams)),
      records_(options, feed) {}

result<void> batch_run::connect() {
  for (uint64_t n = 0; n < options_.connections; ++n) {
    auto connection = h2_connection::connect(options_.server);
    if (!connection) return connection.err();
    lane_results& results = *this;
    lanes_.push_back(std::make_unique<batch_lane>(std::move(*connection), options_, records_, results));
    peers_.push_back(lanes_.back()->peer());
  }
  return ok();
}

void batch_run::go() {
  ask_for_exact_timers();
  while ((feed_.feeding() || records_.holds()) && !aborted_) {
    feed_.end_if_over(now_ns());
    if (interrupt_) abort("interrupted");
    send_due();
    if (!feed_.failure().empty()) {
      ++counts_.totals().errors["input"];
      abort(feed_.failure());
    }
    turn(now_ns(), true);
  }
  wait_for_answers();
  end_lanes();
  counts_.totals().sent = feed_.fed();
  counts_.totals().overdue = feed_.overdue();
}

// The next lane in turn that has room; null: none.
batch_lane* batch_run::next_lane() {
  for (size_t n = 0; n < lanes_.size(); ++n) {
    batch_lane& lane = *lanes_[lane_turn_++ % lanes_.size()];
    if (lane.has_room()) return &lane;
  }
  return nullptr;
}

void batch_run::send_due() {
  // As many frames as there are in flight at most, so that answers are looked at in between.
  for (uint64_t frames = options_.in_flight / options_.batch; frames > 0; --frames) {
    if (aborted_ || !may_send_frame()) return;
    batch_lane* lane = next_lane();
    const uint64_t sent = lane == nullptr ? 0 : lane->send_frame(stream_turn_, options_.batch, now_ns());
    if (sent == 0) return;
    ++frames_in_flight_;
    stream_turn_ = (stream_turn_ + 1) % streams_;
  }
}

// Sends and receives. `sending`: no longer than until something is due that can be sent.
void batch_run::turn(uint64_t at_ns, bool sending) {
  const bool has_room =
      may_send_frame() && std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->has_room(); });
  uint64_t until = at_ns + tick_ns;
  if (sending && has_room) until = records_.holds() ? 0 : std::min(until, feed_.again_ns(at_ns));
  h2_turn(peers_, until);
  look_for_lost_lanes();
  counts_.show_progress(at_ns, feed_.fed());
}

void batch_run::look_for_lost_lanes() {
  for (const auto& lane : lanes_) {
    if (!lane->failure().empty()) abort(fmt::format("{}: {}", options_.server, lane->failure()));
  }
}

bool batch_run::all_idle() const {
  return std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->idle(); });
}

void batch_run::wait_for_answers() {
  last_answer_ns_ = now_ns();
  while (!all_idle()) {
    if (interrupt_ && !aborted_) abort("interrupted");
    turn(now_ns(), false);
    if (now_ns() - last_answer_ns_ <= (interrupt_ ? interrupted_wait_ns : answers_wait_ns)) continue;
    for (const auto& lane : lanes_) {
      if (!lane->idle()) lane->give_up("DEADLINE_EXCEEDED", "no answer came any more");
    }
  }
  if (records_.holds()) {  // fed, and never sent
    const frame_record& held = records_.held();
    counts_.failed("not_sent", fmt::format("{} ({} bytes)", feed_.name_of(held.fed.number), held.size),
                   counts_.totals().stopped);
    records_.take();
  }
}

void batch_run::end_lanes() {
  for (const auto& lane : lanes_) lane->end();
  const uint64_t limit = now_ns() + goodbye_ns;
  while (now_ns() < limit && !std::all_of(lanes_.begin(), lanes_.end(), [](const auto& l) { return l->is_over(); })) {
    h2_turn(peers_, limit);
  }
}

void batch_run::abort(std::string why) {
  run_totals& totals = counts_.totals();
  feed_.stop();
  aborted_ = true;
  totals.interrupted = totals.interrupted || interrupt_;
  if (totals.stopped.empty()) totals.stopped = std::move(why);
}

std::string batch_run::name_of(const sent_frame& frame, uint64_t record) const {
  return fmt::format("{} ({} bytes)", feed_.name_of(frame.first_message + record), frame.sizes[record]);
}

// Records `from` to `from + count` of the frame got consecutive sequences.
void batch_run::stored(const sent_frame& frame, uint64_t from, uint64_t count, uint64_t first_seq, uint64_t at_ns) {
  const uint64_t first = frame.first_message + from;
  const bool whole = count == frame.records();
  uint64_t payload_bytes = whole ? frame.payload_bytes : 0;
  for (uint64_t n = 0; n < count && !whole; ++n) payload_bytes += frame.sizes[from + n];
  if (options_.rate == 0) {
    counts_.acked(frame.sent_ns, at_ns, count, payload_bytes);
  } else {
    for (uint64_t n = 0; n < count; ++n) {
      counts_.acked(feed_.due_ns(first + n, 0), at_ns, 1, n == 0 ? payload_bytes : 0);
    }
  }
  if (match_ != nullptr) match_->acknowledged(frame.stream, first_seq, count, feed_.due_ns(first, frame.sent_ns));
  for (uint64_t n = 0; n < count && options_.verify; ++n) {
    counts_.totals().acknowledged_messages.push_back({first_seq + n, first + n, frame.hashes[from + n], frame.stream});
  }
}

void batch_run::answered(const sent_frame& frame, const weir::v1::PublishBatchAck& answer, uint64_t at_ns) {
  --frames_in_flight_;
  last_answer_ns_ = at_ns;
  if (answer.success() && answer.seqs().empty() && answer.count() == frame.records()) {
    stored(frame, 0, frame.records(), answer.first_seq(), at_ns);
  } else {
    answered_one_by_one(frame, answer, at_ns);
  }
  if (counts_.too_many_errors()) abort(fmt::format("{} errors", counts_.totals().failed));
}

void batch_run::answered_one_by_one(const sent_frame& frame, const weir::v1::PublishBatchAck& answer, uint64_t at_ns) {
  std::map<uint64_t, const weir::v1::PublishRecordError*> failed;
  for (const auto& each : answer.failed()) failed[each.index()] = &each;
  const bool none_stored = !answer.success() && failed.empty();
  uint64_t seq = answer.first_seq();
  for (uint64_t n = 0; n < frame.records(); ++n) {
    const auto why = failed.find(n);
    if (why != failed.end()) {
      counts_.failed(why->second->result_code(), name_of(frame, n), why->second->message());
    } else if (none_stored) {
      counts_.failed(answer.result_code(), name_of(frame, n), answer.message());
    } else if (answer.seqs().empty()) {
      stored(frame, n, 1, seq++, at_ns);
    } else {
      stored(frame, n, 1, answer.seqs(static_cast<int>(n)), at_ns);
    }
  }
}

void batch_run::lost(const sent_frame& frame, const std::string& code, const std::string& why) {
  --frames_in_flight_;
  counts_.failed(code, fmt::format("{} and those after it in frame {}", name_of(frame, 0), frame.number), why,
                 frame.records());
}

void batch_run::too_large(uint64_t message, uint64_t bytes, uint64_t bytes_max) {
  counts_.failed("oversize", fmt::format("{} ({} bytes)", feed_.name_of(message), bytes),
                 fmt::format("not sent: larger than a frame may be, {} bytes", bytes_max));
  if (counts_.too_many_errors()) abort(fmt::format("{} errors", counts_.totals().failed));
}

}  // namespace weir
