// The random run: subscriptions, who wait for messages.
#include <algorithm>

#include "tests/broker/delivery_model_run.h"

namespace weir {

void delivery_run::subscribe() {
  if (subscriptions_.size() >= 6) return;
  const name_pair at = some_consumer();
  auto fresh = std::make_unique<open_subscription>();
  fresh->id = next_id_++;
  note("subscribe " + at.first + "/" + at.second + " as " + std::to_string(fresh->id));
  auto real = real_.run(real_.now->subscribe(at.first, at.second));
  const naive::consumer* of = naive_.find(at.first, at.second);
  if (of == nullptr) {
    same_code(error_of(real), naive_.find(at.first) == nullptr ? errc::no_such_stream : errc::no_such_consumer);
    return;
  }
  same_code(error_of(real), std::nullopt);
  fresh->stream = at.first;
  fresh->consumer = at.second;
  fresh->instance = of->instance;
  fresh->real = *real;
  naive_.opened(at.first, at.second);
  subscriptions_.push_back(std::move(fresh));
}

void delivery_run::ask_next() {
  if (subscriptions_.empty()) return;
  const size_t which = random_() % subscriptions_.size();
  if (subscriptions_[which]->waiting) return;
  ask_next_of(which);
  real_.settle();
}

void delivery_run::ask_next_of(size_t which) {
  open_subscription& one = *subscriptions_[which];
  if (one.sent != one.hand.size()) {
    naive_.sent(one.stream, one.consumer, one.id, one.hand);
    one.real->sent(one.hand.size());
  }
  one.hand.clear();
  one.sent = 0;
  one.messages_max = static_cast<uint32_t>(1 + up_to(10));
  one.bytes_max = one_in(3) ? up_to(400) : 100'000;
  std::optional<uint64_t> wait;
  if (!one_in(3)) wait = one_in(3) ? 0 : 8 + static_cast<uint64_t>(some_ms(20'000));
  one.until = wait ? std::optional<int64_t>(naive_.mono + static_cast<int64_t>(*wait)) : std::nullopt;
  note("next of " + std::to_string(one.id) + " " + one.stream + "/" + one.consumer + " messages " +
       std::to_string(one.messages_max) + " bytes " + std::to_string(one.bytes_max) + " wait " +
       (wait ? std::to_string(*wait) : "-"));
  one.waiting.emplace(one.real->next(one.messages_max, one.bytes_max, wait));
  // Who asked first is served first.
  std::rotate(subscriptions_.begin() + static_cast<std::ptrdiff_t>(which),
              subscriptions_.begin() + static_cast<std::ptrdiff_t>(which) + 1, subscriptions_.end());
}

void delivery_run::send_some() {
  if (subscriptions_.empty()) return;
  open_subscription& one = *subscriptions_[random_() % subscriptions_.size()];
  if (one.sent == one.hand.size()) return;
  const size_t upto = one.sent + 1 + up_to(one.hand.size() - one.sent - 1);
  note("sent of " + std::to_string(one.id) + ": " + std::to_string(upto));
  const std::vector<naive::delivered> these(one.hand.begin(), one.hand.begin() + static_cast<std::ptrdiff_t>(upto));
  naive_.sent(one.stream, one.consumer, one.id, these);
  one.real->sent(upto);
  one.sent = upto;
  real_.settle();
}

void delivery_run::end_some() {
  if (subscriptions_.empty()) return;
  const size_t which = random_() % subscriptions_.size();
  note("end of " + std::to_string(subscriptions_[which]->id));
  end(which);
}

void delivery_run::end(size_t which) {
  std::unique_ptr<open_subscription> one = std::move(subscriptions_[which]);
  subscriptions_.erase(subscriptions_.begin() + static_cast<std::ptrdiff_t>(which));
  if (one_in(2)) one->real->end();
  const bool waited = one->waiting.has_value();
  if (waited) {
    one->real->end();
    real_.settle();
    expect(one->waiting->done(), "next() goes on after end()");
    const auto& outcome = one->waiting->value();
    expect(!outcome, "next() succeeds after end()");
    same(to_string(outcome.err().code), to_string(errc::unavailable), "code of next() after end()");
  }
  one->real.reset();
  real_.settle();
  const naive::consumer* of = naive_.find(one->stream, one->consumer);
  if (of == nullptr || of->instance != one->instance) return;
  naive_.give_back(one->stream, one->consumer, one->id, one->hand);
  naive_.closed(one->stream, one->consumer);
}

void delivery_run::end_all() {
  while (!subscriptions_.empty()) {
    end(subscriptions_.size() - 1);
    serve();  // what it gave back
  }
}

// Of consumers that are gone.
void delivery_run::drop_orphans() {
  for (size_t i = 0; i < subscriptions_.size();) {
    open_subscription& one = *subscriptions_[i];
    const naive::consumer* of = naive_.find(one.stream, one.consumer);
    if (of != nullptr && of->instance == one.instance) {
      ++i;
      continue;
    }
    if (!one.waiting) one.waiting.emplace(one.real->next(1, 1'000, 0));
    real_.settle();
    expect(one.waiting->done(), "next() goes on after its consumer was deleted");
    const auto& outcome = one.waiting->value();
    expect(!outcome, "next() succeeds after its consumer was deleted");
    const errc code = outcome.err().code;
    const bool stream_gone = naive_.find(one.stream) == nullptr;
    expect(code == errc::no_such_consumer || code == errc::no_such_stream,
           "next() of a deleted consumer ends with " + std::string(to_string(code)));
    if (stream_gone) same(to_string(code), to_string(errc::no_such_stream), "code of next() after the stream went");
    one.real->end();
    subscriptions_.erase(subscriptions_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void delivery_run::serve() {
  drop_orphans();
  for (auto& one : subscriptions_) {
    if (one->waiting && serve_one(*one)) one->waiting.reset();
  }
}

// It has these in hand.
void delivery_run::took(open_subscription& one, const std::vector<naive::delivered>& these) {
  std::string text = "served " + std::to_string(one.id) + ":";
  for (const naive::delivered& each : these)
    text += " " + std::to_string(each.seq) + "*" + std::to_string(each.deliveries);
  note(text);
  same_deliveries(one.stream, *one.waiting->value(), these);
  one.hand = these;
  one.sent = 0;
}

// True if it does not wait any more.
bool delivery_run::serve_one(open_subscription& one) {
  const naive::stream& in = *naive_.find(one.stream);
  const naive::consumer& at = *naive_.find(one.stream, one.consumer);
  const std::string who = "subscription " + std::to_string(one.id) + " of " + one.stream + "/" + one.consumer + ": ";
  const bool ended = one.waiting->done();
  const bool got = ended && one.waiting->value() && !one.waiting->value()->deliveries.empty();
  bool can = naive_.deliverable(in, at);
  // What appears and goes by itself in the same instant may be before this.
  if ((got || (!ended && can)) && (naive_.anything_open(in) || !naive_.outlived(in).empty())) {
    observe_stream(one.stream, *naive_.find(one.stream));
    if (!one.waiting) return true;  // served there
    can = naive_.deliverable(in, at);
  }
  if (!ended && can) {
    if (naive_.mono < lenient_until_) return false;
    throw mismatch{who + "waits, though there is something for it"};
  }
  // Who waits need not look at what does not match.
  const bool looks = ended || naive_.anything_ahead(in, at);
  if (!looks) {
    naive_.find(one.stream, one.consumer)->looked_lately = true;
    expect(!one.until || *one.until > naive_.mono, who + "waits for too long");
    return false;
  }
  if (ended) naive_.drop_outlived(one.stream);
  auto naive = naive_.fetch(one.stream, one.consumer, one.messages_max, one.bytes_max, one.id);
  expect(static_cast<bool>(naive), who + "the model's consumer");
  if (!ended) {
    expect(!one.until || *one.until > naive_.mono, who + "waits for too long");
    return false;
  }
  const auto& outcome = one.waiting->value();
  expect(static_cast<bool>(outcome), who + (outcome ? "" : std::string(to_string(outcome.err().code))));
  if (naive->empty()) expect(one.until && *one.until <= naive_.mono, who + "stopped waiting too early");
  order_as_given(one, *naive);
  try {
    took(one, *naive);
  } catch (mismatch& found) {
    found.what = who + found.what;
    throw;
  }
  return true;
}

}  // namespace weir
