// The random run: the fast lane. Frames of records, several placed before the first is safe, and frames of a consumer's
// answers, carried out side by side as net/consume_lane.cc does it.
#include <algorithm>
#include <numeric>

#include "tests/broker/delivery_model_run.h"

namespace weir {
namespace {

// What became of each record.
std::vector<result<published>> each_of(const batch_outcome& outcome, size_t records) {
  std::vector<result<published>> all(records, published{});
  for (const batch_outcome::failure& one : outcome.failed) all.at(one.index) = one.why;
  uint64_t next = outcome.first.raw();
  for (size_t i = 0; i < records; ++i) {
    if (!all[i]) continue;
    if (outcome.each.empty()) {
      all[i] = published{seq_no(next++)};
    } else {
      all[i] = outcome.each.at(i);
    }
  }
  return all;
}

}  // namespace

std::string delivery_run::told(const sent_frame& frame) {
  std::string text = frame.atomic ? " {atomic" : " {";
  for (const naive::publishing& one : frame.records) {
    text += " " + one.subject + (one.expected ? "=" + std::to_string(*one.expected) : "") +
            (one.id.empty() ? "" : "/" + one.id) + (one.ttl_ms != 0 ? "+" + std::to_string(one.ttl_ms) : "") +
            (one.deliver_at != 0 ? "@" + std::to_string(one.deliver_at) : "");
  }
  return text + " }";
}

delivery_run::sent_frame delivery_run::some_frame(const std::string& stream) {
  sent_frame frame;
  frame.atomic = one_in(4);
  const bool plain = one_in(2);
  // Which of many that wait for room came and went at once, nobody can tell.
  const naive::stream* in = naive_.find(stream);
  const bool schedules = in == nullptr || !in->config.discard_new;
  frame.records.resize(one_in(40) ? up_to(13) : 1 + up_to(6));
  for (naive::publishing& one : frame.records) {
    one = some_publishing();
    one.stream = stream;
    if (plain || !one_in(3)) one.expected.reset();
    if (plain || !one_in(3)) one.id.clear();
    if (plain || !one_in(3)) one.ttl_ms = 0;
    if (!plain && schedules && one_in(frame.atomic ? 60 : 10))
      one.deliver_at = naive_.believed - 1'000 + 5 + some_ms(25'000);
    if (frame.atomic && (one.subject == "a..b" || one.payload.size() > 200)) one.payload = "short";
  }
  return frame;
}

// A frame in the model, after those before it. `later`: where its stream's blocks go, see place_frames().
void delivery_run::place_naively(const sent_frame& frame, const result<batch_outcome>& real, blocks_go& later) {
  const size_t records = frame.records.size();
  if (frame.atomic) {
    uint64_t first = 0;
    std::set<errc> problems = {errc::invalid_argument};
    before_record(frame, later);
    if (records != 0) problems = naive_.publish_all(frame.records, first);
    if (records > real_.limits.batch_messages_max) problems.insert(errc::oversize);
    if (problems.empty()) serve_meanwhile(*naive_.find(frame.records.front().stream));
    expect(real ? problems.empty() : problems.contains(real.err().code),
           "an atomic frame: really " + (real ? "stored" : real.err().message) +
               ", the model: " + (problems.empty() ? "stored" : std::string(to_string(*problems.begin()))));
    if (!real) return;
    same(real->first.raw(), first, "first seq of an atomic frame");
    same(real->stored, records, "stored of an atomic frame");
    expect(real->failed.empty() && real->each.empty(), "an atomic frame is told as a run");
    return;
  }
  if (records > real_.limits.batch_messages_max) {
    same_code(error_of(real), errc::oversize);
    return;
  }
  if (records != 0 && naive_.find(frame.records.front().stream) == nullptr && !real) {
    same_code(error_of(real), errc::no_such_stream);
    return;
  }
  same_code(error_of(real), std::nullopt);
  const auto all = each_of(*real, records);
  uint64_t stored = 0;
  for (size_t i = 0; i < records; ++i) {
    before_record(frame, later);
    stored += place_record(frame.records[i], all[i], i) ? 1 : 0;
  }
  same(real->stored, stored, "stored of a frame");
}

// True if it is stored.
bool delivery_run::place_record(const naive::publishing& what, const result<published>& real, size_t index) {
  const auto naive = naive_.publish(what);
  const bool appended = naive && !naive->scheduled && !naive->duplicate;
  if (appended) serve_meanwhile(*naive_.find(what.stream));
  try {
    if (!both(real, naive)) {
      same(real.err().detail, naive.err().detail, "detail");
      return false;
    }
    same(real->duplicate, naive->duplicate, "duplicate");
    same(real->scheduled, naive->scheduled, "scheduled");
    same(real->seq.raw(), naive->seq.raw(), "seq");
  } catch (mismatch& found) {
    found.what = "record " + std::to_string(index) + ": " + found.what;
    throw;
  }
  return appended;
}

void delivery_run::before_record(const sent_frame& frame, blocks_go& later) {
  naive::stream* in = frame.records.empty() ? nullptr : naive_.find(frame.records.front().stream);
  if (later.next == later.from && in != nullptr) naive_.prune_now(*in);
  naive_.blocks_stay = later.next < later.from || (later.once && later.next > later.from);
  ++later.next;
}

void delivery_run::place_frames() {
  const std::string stream = any_stream();
  std::vector<sent_frame> frames(one_in(2) ? 1 : 1 + up_to(3));
  std::string text = "frames " + stream;
  for (sent_frame& frame : frames) {
    frame = some_frame(stream);
    text += told(frame);
  }
  note(text);
  // Each is placed when the one before is; none waits for the sync if it needs not.
  std::vector<result<batch_outcome>> real;
  for (const sent_frame& frame : frames) {
    std::vector<publish_request> requests;
    for (const naive::publishing& one : frame.records) requests.push_back(request_of(one));
    started<result<batch_outcome>> placing(real_.now->place_batch(requests, frame.atomic));
    if (!placing.done()) real_.settle();
    expect(placing.done(), "a frame that is not placed");
    real.push_back(placing.value());
  }
  for (const result<batch_outcome>& one : real) {
    if (!one || one->end == lsn()) continue;
    const auto safe = real_.run(real_.now->batch_safe(one->level, one->end));
    expect(static_cast<bool>(safe), "a frame that does not become safe");
    expect(*safe >= one->end,
           "safe up to " + std::to_string(safe->raw()) + ", the frame's end is " + std::to_string(one->end.raw()));
  }
  real_.settle();
  find_blocks(stream, frames, real);
}

// Blocks that a bound lets go must be read first, and go in the background: with each record, or at one of them. An
// expectation may see what is about to go, and what is replaced meanwhile may save a block.
void delivery_run::find_blocks(const std::string& stream, const std::vector<sent_frame>& frames,
                               const std::vector<result<batch_outcome>>& real) {
  const naive::stream* in = naive_.find(stream);
  const bool blocks = in != nullptr && in->config.policy == retention_policy::limits && !in->config.limits.strict &&
                      !in->config.discard_new && (in->config.limits.max_msgs || in->config.limits.max_bytes);
  if (!blocks) return place_all(stream, frames, real, {});
  const naive::stream before = *in;
  const std::deque<std::string> story_before = story_;
  std::vector<open_subscription> waiting;
  for (const auto& one : subscriptions_) waiting.push_back(*one);
  size_t records = 0;
  for (const sent_frame& frame : frames) records += frame.atomic ? 1 : frame.records.size();
  std::optional<blocks_go> best;  // of those that do not leave what is shown of the consumers
  for (const bool once : {false, true}) {
    for (size_t from = 0; from <= records; ++from) {
      try {
        place_all(stream, frames, real, {from, once});
        compare_stream(stream);
        expect(!somebody_got(*naive_.find(stream)), "somebody got something else");
        if (fitted_) return;
        if (!best) best = {from, once};
      } catch (const mismatch&) {
        naive_.blocks_stay = false;
      }
      *naive_.find(stream) = before;
      story_ = story_before;
      for (size_t i = 0; i < waiting.size(); ++i) *subscriptions_[i] = waiting[i];
    }
  }
  place_all(stream, frames, real, best.value_or(blocks_go()));
}

void delivery_run::place_all(const std::string& stream, const std::vector<sent_frame>& frames,
                             const std::vector<result<batch_outcome>>& real, const blocks_go& go) {
  const auto shown = shown_if_somebody_got(stream);
  const auto happens = [this, &stream, &frames, &real, &go] {
    blocks_go later = go;
    appended_from_ = last_of(stream) + 1;
    for (size_t i = 0; i < frames.size(); ++i) place_naively(frames[i], real[i], later);
    naive_.blocks_stay = false;
    if (naive::stream* in = naive_.find(stream)) naive_.prune_now(*in);
  };
  fitted_ = true;
  if (!shown) return happens();
  size_t records = 0;
  for (const sent_frame& frame : frames) records += frame.records.size();
  std::vector<size_t> visible(records + 1);
  std::iota(visible.begin(), visible.end(), size_t{0});
  find_moment(*naive_.find(stream), *shown, visible, happens);
}

// Some of what is pending there, in any order.
std::vector<uint64_t> delivery_run::some_of(const name_pair& at, uint64_t one_of) {
  std::vector<uint64_t> seqs;
  const naive::consumer* from = naive_.find(at.first, at.second);
  if (from != nullptr) {
    for (const auto& [seq, state] : from->pending) {
      if (one_in(one_of)) seqs.push_back(seq);
    }
  }
  if (one_in(15)) seqs.push_back(up_to(80));
  std::shuffle(seqs.begin(), seqs.end(), random_);
  return seqs;
}

void delivery_run::answer_frame() {
  name_pair at;
  some_pending(at);
  const std::vector<uint64_t> acks = one_in(3) ? std::vector<uint64_t>() : some_of(at, 3);
  const uint64_t up_to_seq = one_in(4) ? up_to(60) : 0;
  std::vector<uint64_t> naks = some_of(at, 6);
  const uint64_t delay = one_in(2) ? 0 : 4 + static_cast<uint64_t>(some_ms(10'000));
  std::vector<uint64_t> terms = some_of(at, 10);
  std::vector<uint64_t> in_progress = some_of(at, 10);
  // A dead letter is appended at any time meanwhile; what goes for it and what it makes room for is another matter.
  const naive::consumer* of = naive_.find(at.first, at.second);
  const bool letters = of != nullptr && !of->config.dead_letter_subject.empty() && naks.size() + terms.size() != 0;
  if (letters) {
    if (!naks.empty()) terms.clear();
    naks.resize(std::min<size_t>(naks.size(), 1));
    terms.resize(std::min<size_t>(terms.size(), 1));
    in_progress.clear();
  }
  std::string text = "answers " + at.first + "/" + at.second + " up to " + std::to_string(up_to_seq) + " acks";
  std::vector<seq_no> typed;
  for (const uint64_t seq : acks) {
    typed.push_back(seq_no(seq));
    text += " " + std::to_string(seq);
  }

  std::optional<started<result<uint64_t>>> acking;
  std::vector<started<result<void>>> real;
  std::optional<result<uint64_t>> acked;
  std::vector<std::optional<errc>> naive;
  if (!acks.empty() || up_to_seq != 0) {
    acking.emplace(real_.now->ack_many(at.first, at.second, typed, seq_no(up_to_seq)));
    acked = naive_.ack_many(at.first, at.second, acks, up_to_seq);
  }
  text += " naks (" + std::to_string(delay) + ")";
  for (const uint64_t seq : naks) {
    text += " " + std::to_string(seq);
    real.emplace_back(real_.now->nak(at.first, at.second, seq_no(seq), delay));
    naive.push_back(naive_.nak(at.first, at.second, seq, delay));
  }
  text += " terms";
  for (const uint64_t seq : terms) {
    text += " " + std::to_string(seq);
    real.emplace_back(real_.now->term(at.first, at.second, seq_no(seq)));
    naive.push_back(naive_.term(at.first, at.second, seq));
  }
  text += " in progress";
  for (const uint64_t seq : in_progress) {
    text += " " + std::to_string(seq);
    real.emplace_back(real_.now->in_progress(at.first, at.second, seq_no(seq)));
    naive.push_back(naive_.in_progress(at.first, at.second, seq));
  }
  note(text);
  // The frame's credit, after what else it asks for.
  const size_t asking = letters || one_in(2) ? subscriptions_.size() : subscription_of(at);
  open_subscription* asker = asking < subscriptions_.size() ? subscriptions_[asking].get() : nullptr;
  if (asker != nullptr) ask_next_of(asking);
  real_.settle();
  if (acking) {
    expect(acking->done(), "an ack that waits");
    if (both(acking->value(), *acked)) same(*acking->value(), **acked, "acknowledged");
  }
  for (size_t i = 0; i < real.size(); ++i) {
    expect(real[i].done(), "a nak, term or in_progress that waits");
    same_code(error_of(real[i].value()), naive[i]);
  }
  // Who asks when there is something is served before those who are to be woken.
  if (asker != nullptr && got_something(*asker) && serve_if_same(*asker, *naive_.find(at.first)))
    asker->waiting.reset();
}

// subscriptions_.size(): there is none, or it waits already.
size_t delivery_run::subscription_of(const name_pair& at) const {
  for (size_t i = 0; i < subscriptions_.size(); ++i) {
    const open_subscription& one = *subscriptions_[i];
    if (one.stream == at.first && one.consumer == at.second && !one.waiting) return i;
  }
  return subscriptions_.size();
}

}  // namespace weir
