// Push delivery: subscriptions, and the shard's side of waking them.
#include <algorithm>

#include "broker/open_subscription.h"
#include "broker/turn_hold.h"

namespace weir {

shard_impl::open_subscription::open_subscription(shard_impl& owner, place held)
    : owner_(&owner), held_(std::move(held)), stream_name_(held_.in->config().name), name_(held_.at->config().name) {
  owner_->subscriptions_.insert(this);
  ++held_.at->subscriptions;
}

void shard_impl::open_subscription::line_awaiter::await_suspend(std::coroutine_handle<> caller) {
  consumer& at = *self.held_.at;
  self.waiter_.caller = caller;
  self.owner_->board_.get_in_line(*self.held_.in, at, self.waiter_, in_front);
  // What happened since it looked may have found nobody waiting. Not again and again: a look that finds nothing where
  // something seems to be must not keep the shard busy.
  constexpr int looks_in_vain_max = 2;
  if (vain <= looks_in_vain_max && at.may_deliver(self.held_.in->log().last_visible())) at.stir();
}

task<result<fetch_outcome>> shard_impl::open_subscription::next(uint32_t messages_max, size_t bytes_max,
                                                                std::optional<uint64_t> wait_ms) {
  const auto self = shared_from_this();
  if (owner_ == nullptr) {
    if (gone_) co_return *gone_;
    co_return fail(errc::unavailable, "the subscription has ended");
  }
  const request_count::guard inside(owner_->requests_);
  shard_impl& owner = *owner_;
  if (ended_ || owner.stopping_) co_return owner.unavailable();
  give_back_rest();
  active_ = true;
  over_ = wait_ms == 0;
  if (wait_ms && !over_) {
    const uint64_t wait = std::min(*wait_ms, duration_ms_max);
    const int64_t now = owner.ports_.clock.mono().raw();
    owner.ports_.deadlines.arm(wait_end_, mono_ns(now + static_cast<int64_t>(wait) * 1'000'000));
  }
  auto outcome = co_await wait_for_messages(messages_max, bytes_max);
  owner.ports_.deadlines.disarm(wait_end_);
  active_ = false;
  if (ended_) {
    give_back_rest();
    outcome = owner.unavailable();
  }
  if (ended_ || gone_) release();
  co_return outcome;
}

task<result<fetch_outcome>> shard_impl::open_subscription::wait_for_messages(uint32_t messages_max, size_t bytes_max) {
  shard_impl& owner = *owner_;
  consumer& at = *held_.at;
  bool woken = false;
  int vain = 0;  // looks that found nothing
  for (;;) {
    if (ended_) {
      at.stir();  // whoever woke this one meant somebody
      co_return owner.unavailable();
    }
    if (held_.gone()) {
      const error told = gone_error();
      auto safe = co_await owner.reached(durability::fsync, held_.in->control_end);
      if (!safe || !held_.gone()) continue;
      gone_ = told;
      co_return told;
    }
    // First come, first served: who comes later does not look before those who wait already.
    if (woken || over_ || at.waiting.empty()) {
      auto taken = co_await take(messages_max, bytes_max);
      const bool found = taken && (!taken->deliveries.empty() || !taken->damaged.empty());
      if (found || !taken) {
        at.stir();  // the next one
        if (taken || !held_.gone()) co_return taken;
      }
      if (held_.gone() || ended_) continue;
      if (over_) co_return taken;
      ++vain;
    }
    line_awaiter in_line{*this, woken, vain};
    co_await in_line;
    woken = true;
  }
}

task<result<fetch_outcome>> shard_impl::open_subscription::take(uint32_t messages_max, size_t bytes_max) {
  shard_impl& owner = *owner_;
  const consumer_ref at = held_.at;
  fetch_outcome out;
  co_await at->fetching.take();
  const turn_hold hold(at->fetching);
  if (ended_) co_return out;
  budget left;
  left.messages = std::clamp<uint32_t>(messages_max, 1, owner.limits_.fetch_messages_max);
  left.bytes = std::max<size_t>(bytes_max, 1);
  left.in_hand = true;
  auto outcome = co_await owner.gather(held_, left, out);
  resets_ = at->resets;
  handed_.clear();
  sent_ = 0;
  for (const delivery& one : out.deliveries) handed_.push_back({one.record.seq, one.deliver_count});
  if (ended_) give_back_rest();  // before the next one looks
  if (!outcome && out.deliveries.empty()) co_return outcome.err();
  co_return out;
}

error shard_impl::open_subscription::gone_error() const {
  if (held_.in->deleted) return fail(errc::no_such_stream, "stream " + quoted(stream_name_) + " was deleted");
  return fail(errc::no_such_consumer,
              "consumer " + quoted(name_) + " of stream " + quoted(stream_name_) + " was deleted");
}

void shard_impl::open_subscription::sent(size_t deliveries) {
  if (owner_ == nullptr || resets_ != held_.at->resets) return;
  const mono_ns now = owner_->ports_.clock.mono();
  const size_t to = std::min(deliveries, handed_.size());
  for (; sent_ < to; ++sent_) held_.at->start_wait(handed_[sent_], now);
  owner_->set_alarm(*held_.at);
}

void shard_impl::open_subscription::give_back_rest() {
  if (owner_ != nullptr && resets_ == held_.at->resets) {
    for (; sent_ < handed_.size(); ++sent_) held_.at->give_back(handed_[sent_]);
  }
  handed_.clear();
  sent_ = 0;
}

void shard_impl::open_subscription::disown(const std::vector<seq_no>& seqs) {
  constexpr uint32_t nobodys = 0;  // no attempt has this number
  for (consumer::handed& one : handed_) {
    if (std::binary_search(seqs.begin(), seqs.end(), one.seq)) one.deliveries = nobodys;
  }
}

void shard_impl::open_subscription::end() {
  if (std::exchange(ended_, true) || owner_ == nullptr) return;
  give_back_rest();
  if (active_) {
    owner_->board_.resume_later(*held_.at, waiter_);
  } else {
    release();
  }
}

void shard_impl::open_subscription::dismiss() {
  if (owner_ == nullptr) return;
  if (active_) return owner_->board_.resume_later(*held_.at, waiter_);
  gone_ = gone_error();
  handed_.clear();
  release();
}

void shard_impl::open_subscription::look_again() {
  if (!waiter_.in_line) return;
  held_.at->stir();
}

void shard_impl::open_subscription::wait_is_over() {
  over_ = true;
  owner_->board_.resume_later(*held_.at, waiter_);
}

void shard_impl::open_subscription::release() {
  if (owner_ == nullptr) return;
  owner_->subscriptions_.erase(this);
  --held_.at->subscriptions;
  owner_->used(*held_.at);
  owner_->set_alarm(*held_.at);
  held_ = place();
  owner_ = nullptr;
}

// --- the shard's side ---

task<result<std::shared_ptr<subscription>>> shard_impl::subscribe(std::string stream_name, std::string name) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    auto held = co_await existing(stream_name, name);
    if (!held) co_return held.err();
    auto safe = co_await reached(durability::fsync, held->at->created_end);
    if (stopping_) co_return unavailable();
    if (!safe || held->gone()) continue;
    auto core = std::make_shared<open_subscription>(*this, *held);
    // A waiting next() keeps the core; the client's last reference ends it.
    co_return std::shared_ptr<subscription>(core.get(), [core](subscription*) { core->end(); });
  }
}

void shard_impl::dismiss(const stream& in) {
  const std::vector<open_subscription*> all(subscriptions_.begin(), subscriptions_.end());
  for (open_subscription* one : all) {
    if (one->where().in.get() == &in) one->dismiss();
  }
}

void shard_impl::dismiss(const consumer& at) {
  const std::vector<open_subscription*> all(subscriptions_.begin(), subscriptions_.end());
  for (open_subscription* one : all) {
    if (one->where().at.get() == &at) one->dismiss();
  }
}

void shard_impl::end_of_turn() {
  board_.serve();
  store_->flush();
}

}  // namespace weir
