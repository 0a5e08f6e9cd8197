// The random run: operations on consumers.
#include "tests/broker/delivery_model_run.h"

namespace weir {
void delivery_run::shape_consumer(consumer_config& config) {
  const auto wait = [this](int64_t most) { return 4 + static_cast<uint64_t>(some_ms(most)); };
  config.filter_subject = any_filter();
  if (one_in(3)) config.policy = static_cast<delivery_policy>(up_to(3));
  config.start_seq = up_to(40);
  config.start_time_ms = naive_.wall - static_cast<int64_t>(up_to(60'000));
  config.ack_wait_ms = wait(20'000);
  if (one_in(2)) config.max_deliver = 1 + static_cast<uint32_t>(up_to(3));
  if (one_in(4)) {
    if (!one_in(15)) config.filter_subject.clear();
    for (uint64_t i = 1 + up_to(2); i > 0; --i) config.filter_subjects.push_back(any_filter());
    if (!one_in(15)) std::erase(config.filter_subjects, "");
  }
  if (one_in(3)) {
    if (!one_in(15)) config.ack_wait_ms = 0;
    for (uint64_t i = 1 + up_to(3); i > 0; --i) config.backoff_ms.push_back(wait(10'000));
  }
  if (one_in(5)) {
    config.unlimited_deliver = true;
    if (!one_in(15)) config.max_deliver = 0;
  }
  if (one_in(3)) config.max_ack_pending = 1 + up_to(one_in(10) ? 60 : 12);
  if (one_in(3)) config.max_ack_pending_per_subject = 1 + static_cast<uint32_t>(up_to(2));
  if (one_in(3)) config.dead_letter_subject = one_in(10) ? "a.*" : "dead";
  if (one_in(8)) config.inactive_ms = 9 + static_cast<uint64_t>(some_ms(60'000));
}

void delivery_run::create_consumer() {
  const std::string name = any_stream();
  consumer_config config;
  shape_consumer(config);
  config.name = any_consumer();
  note("consumer " + name + "/" + config.name + shown(config));
  const auto real = real_.run(real_.now->create_consumer(name, config));
  const auto naive = naive_.create_consumer(name, config);
  same_code(error_of(real), naive);
  if (real) story_.back() += " ok";
}

void delivery_run::delete_consumer() {
  const name_pair at = some_consumer();
  note("delete " + at.first + "/" + at.second);
  const auto real = real_.run(real_.now->delete_consumer(at.first, at.second));
  same_code(error_of(real), naive_.delete_consumer(at.first, at.second));
}

void delivery_run::pause() {
  const name_pair at = some_consumer();
  const int64_t until = naive_.believed - 5'000 + 6 + some_ms(25'000);
  note("pause " + at.first + "/" + at.second + " for " + std::to_string(until - naive_.believed));
  const auto real = real_.run(real_.now->pause_consumer(at.first, at.second, wall_ms(until)));
  same_code(error_of(real), naive_.pause(at.first, at.second, until));
}

void delivery_run::reset() {
  const name_pair at = some_consumer();
  reset_target to;
  if (one_in(2)) {
    const naive::stream* in = naive_.find(at.first);
    to.seq = up_to(in == nullptr ? 10 : in->last + 2);
  } else {
    to.time = wall_ms(naive_.wall - static_cast<int64_t>(up_to(80'000)));
  }
  note("reset " + at.first + "/" + at.second + (to.seq ? " to " + std::to_string(*to.seq) : " by time"));
  const auto real = real_.run(real_.now->reset_consumer(at.first, at.second, to));
  same_code(error_of(real), naive_.reset(at.first, at.second, to));
}

void delivery_run::fetch() {
  fetch_from(some_consumer(), static_cast<uint32_t>(up_to(12)));
}

// It got nothing, and there was nothing before something appeared.
bool delivery_run::nothing_for(const naive::stream& in, const naive::consumer& at,
                               const result<fetch_outcome>& real) const {
  return real && real->deliveries.empty() && !naive_.deliverable(in, at);
}

void delivery_run::fetch_from(const name_pair& at, uint32_t batch) {
  note("fetch " + at.first + "/" + at.second + " " + std::to_string(batch));
  started<result<fetch_outcome>> running(real_.now->fetch(at.first, at.second, batch));
  real_.settle();
  expect(running.done(), "a fetch that waits");
  naive::stream* in = naive_.find(at.first);
  const naive::consumer* of = naive_.find(at.first, at.second);
  if (of != nullptr && naive_.anything_open(*in) && !nothing_for(*in, *of, running.value())) {
    // To be asked makes the consumer write dead letters: what it got may be from before or after that.
    auto asking = std::make_unique<open_subscription>();
    asking->stream = at.first;
    asking->consumer = at.second;
    asking->instance = of->instance;
    asking->waiting = running;
    asking->messages_max = batch;
    asking->bytes_max = real_.limits.fetch_bytes_max;
    subscriptions_.insert(subscriptions_.begin(), std::move(asking));
    observe_stream(at.first, *in);
    const bool served = !subscriptions_.front()->waiting;
    subscriptions_.erase(subscriptions_.begin());
    if (served) return;
  }
  const auto& real = running.value();
  if (of != nullptr) naive_.drop_outlived(at.first);
  const auto naive = naive_.fetch(at.first, at.second, batch, real_.limits.fetch_bytes_max, 0);
  if (!both(real, naive)) return;
  for (const naive::delivered& one : *naive) {
    story_.back() += " " + std::to_string(one.seq) + "*" + std::to_string(one.deliveries);
  }
  same_deliveries(at.first, *real, *naive);
}

void delivery_run::ack() {
  name_pair at;
  const uint64_t seq = some_pending(at);
  note("ack " + at.first + "/" + at.second + " " + std::to_string(seq));
  const auto real = real_.run(real_.now->ack(at.first, at.second, seq_no(seq)));
  same_code(error_of(real), naive_.ack(at.first, at.second, seq));
}

void delivery_run::ack_many() {
  name_pair at;
  std::vector<uint64_t> seqs = {some_pending(at)};
  if (const naive::consumer* one = naive_.find(at.first, at.second)) {
    for (const auto& [seq, state] : one->pending) {
      if (one_in(4)) seqs.push_back(seq);
    }
  }
  if (one_in(3)) seqs.clear();
  const uint64_t most = one_in(2) ? 0 : up_to(60);
  std::vector<seq_no> typed;
  std::string text = "ack_many " + at.first + "/" + at.second + " up to " + std::to_string(most);
  for (const uint64_t seq : seqs) {
    typed.push_back(seq_no(seq));
    text += " " + std::to_string(seq);
  }
  note(text);
  const auto real = real_.run(real_.now->ack_many(at.first, at.second, typed, seq_no(most)));
  const auto naive = naive_.ack_many(at.first, at.second, seqs, most);
  if (both(real, naive)) same(*real, *naive, "acknowledged");
}

void delivery_run::nak() {
  name_pair at;
  const uint64_t seq = some_pending(at);
  const uint64_t delay = one_in(2) ? 0 : 4 + static_cast<uint64_t>(some_ms(10'000));
  note("nak " + at.first + "/" + at.second + " " + std::to_string(seq) + " delay " + std::to_string(delay));
  const auto real = real_.run(real_.now->nak(at.first, at.second, seq_no(seq), delay));
  same_code(error_of(real), naive_.nak(at.first, at.second, seq, delay));
}

void delivery_run::term() {
  name_pair at;
  const uint64_t seq = some_pending(at);
  note("term " + at.first + "/" + at.second + " " + std::to_string(seq));
  const auto real = real_.run(real_.now->term(at.first, at.second, seq_no(seq)));
  same_code(error_of(real), naive_.term(at.first, at.second, seq));
}

void delivery_run::in_progress() {
  name_pair at;
  const uint64_t seq = some_pending(at);
  note("in progress " + at.first + "/" + at.second + " " + std::to_string(seq));
  const auto real = real_.run(real_.now->in_progress(at.first, at.second, seq_no(seq)));
  same_code(error_of(real), naive_.in_progress(at.first, at.second, seq));
}

void delivery_run::list_parked() {
  const name_pair at = some_consumer();
  compare_parked(at.first, at.second, one_in(2) ? 0 : up_to(60), static_cast<uint32_t>(1 + up_to(20)));
}

void delivery_run::requeue() {
  name_pair at;
  std::vector<uint64_t> seqs = {some_parked(at)};
  if (one_in(2)) seqs.clear();
  if (one_in(4)) seqs.push_back(up_to(60));
  std::string text = "requeue " + at.first + "/" + at.second;
  std::vector<seq_no> typed;
  for (const uint64_t seq : seqs) {
    typed.push_back(seq_no(seq));
    text += " " + std::to_string(seq);
  }
  compare_consumer(at.first, at.second);  // the floor stays where it is from now on
  note(text);
  const auto real = real_.run(real_.now->requeue_parked(at.first, at.second, typed));
  const auto naive = naive_.requeue(at.first, at.second, seqs);
  if (both(real, naive)) same(*real, *naive, "requeued");
}

void delivery_run::purge_parked() {
  name_pair at;
  std::vector<uint64_t> seqs = {some_parked(at)};
  if (one_in(3)) seqs.clear();
  std::string text = "purge parked " + at.first + "/" + at.second;
  std::vector<seq_no> typed;
  for (const uint64_t seq : seqs) {
    typed.push_back(seq_no(seq));
    text += " " + std::to_string(seq);
  }
  note(text);
  const auto real = real_.run(real_.now->purge_parked(at.first, at.second, typed));
  const auto naive = naive_.purge_parked(at.first, at.second, seqs);
  if (both(real, naive)) same(*real, *naive, "parked ones purged");
}

void delivery_run::update_consumer() {
  const name_pair at = some_consumer();
  consumer_config other;
  shape_consumer(other);
  consumer_update update;
  update.stream = at.first;
  update.consumer = at.second;
  if (one_in(3)) update.filter_subject = other.filter_subject;
  if (one_in(6)) update.filter_subjects = other.filter_subjects;
  if (one_in(3)) update.ack_wait_ms = other.ack_wait_ms;
  if (one_in(6)) update.backoff_ms = other.backoff_ms;
  if (one_in(3)) update.max_deliver = other.max_deliver;
  if (one_in(6)) update.unlimited_deliver = other.unlimited_deliver;
  if (one_in(4)) update.dead_letter_subject = other.dead_letter_subject;
  if (one_in(4)) update.max_ack_pending = other.max_ack_pending;
  if (one_in(4)) update.max_ack_pending_per_subject = other.max_ack_pending_per_subject;
  if (one_in(8)) update.inactive_ms = other.inactive_ms;
  // Where the cursor is decides what a new filter applies to.
  const naive::consumer* before = naive_.find(at.first, at.second);
  if (before != nullptr && before->looked_lately) fetch_from(at, 12);
  if (before != nullptr && before->looked_lately) {
    update.filter_subject.reset();
    update.filter_subjects.reset();
  }
  note("update " + at.first + "/" + at.second);
  const auto real = real_.run(real_.now->update_consumer(update));
  const auto naive = naive_.update_consumer(update);
  same_code(error_of(real), naive);
  if (!real) return;
  story_.back() += shown(real->config);
  settle_look(at.first, at.second, *real);
  // The rest is compared when those who waited for the change have been served.
  same(shown(real->config), shown(naive_.find(at.first, at.second)->config), "config");
}

}  // namespace weir
