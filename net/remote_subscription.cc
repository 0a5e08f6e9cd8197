#include "net/remote_subscription.h"

#include <utility>

#include "storage/check.h"

namespace weir {

remote_subscription::remote_subscription(reactor& here, const shard_place& where, std::string stream,
                                         std::string consumer)
    : here_(here), where_(where), stream_(std::move(stream)), consumer_(std::move(consumer)) {}

remote_subscription::~remote_subscription() {
  WEIR_CHECK(held_ == nullptr);
}

task<result<void>> remote_subscription::open() {
  auto work = [this](shard& there) { return open_there(there); };
  result<void> opened = co_await shard_map::ask_at(here_, where_, work);
  co_return opened;
}

task<result<void>> remote_subscription::open_there(shard& there) {
  if (held_) co_return ok();
  result<std::shared_ptr<subscription>> made = co_await there.subscribe(stream_, consumer_);
  if (!made) co_return std::move(made).err();
  held_ = std::move(*made);
  if (interrupted_) held_->end();
  co_return ok();
}

task<result<fetch_outcome>> remote_subscription::next(uint32_t messages_max, size_t bytes_max,
                                                      std::optional<uint64_t> wait_ms) {
  taken_from_ = sent_total_.load();
  auto work = [&](shard& there) { return next_there(there, messages_max, bytes_max, wait_ms); };
  result<fetch_outcome> given = co_await shard_map::ask_at(here_, where_, work);
  co_return given;
}

task<result<fetch_outcome>> remote_subscription::next_there(shard& there, uint32_t messages_max, size_t bytes_max,
                                                            std::optional<uint64_t> wait_ms) {
  result<void> opened = co_await open_there(there);
  if (!opened) co_return std::move(opened).err();
  tell_sent();
  taken_from_there_ = sent_total_.load();
  told_ = 0;
  result<fetch_outcome> given = co_await held_->next(messages_max, bytes_max, wait_ms);
  co_return given;
}

void remote_subscription::sent(size_t deliveries) {
  sent_total_.store(taken_from_ + deliveries);
  if (at_home()) return tell_sent();
  if (!sent_note_under_way_.exchange(true)) where_.home->post(sent_note_);
}

void remote_subscription::on_sent_note() {
  sent_note_under_way_.store(false);  // first: what is sent from here on posts again
  tell_sent();
}

void remote_subscription::tell_sent() {
  const uint64_t sent = sent_total_.load() - taken_from_there_;
  if (!held_ || sent == told_) return;
  told_ = sent;
  held_->sent(sent);
}

void remote_subscription::interrupt() {
  if (closing_ || std::exchange(interrupt_sent_, true)) return;
  if (at_home()) return interrupt_there();
  where_.home->post(interrupt_note_);
}

void remote_subscription::interrupt_there() {
  interrupted_ = true;
  const std::shared_ptr<subscription> alive = held_;
  if (alive) alive->end();  // the handler may be over now, and this object with it
}

task<void> remote_subscription::close() {
  closing_ = true;
  auto work = [this](shard&) { return close_there(); };
  result<void> closed = co_await shard_map::ask_at(here_, where_, work);
  WEIR_CHECK(closed);
}

task<result<void>> remote_subscription::close_there() {
  tell_sent();
  const std::shared_ptr<subscription> last = std::move(held_);
  if (last) last->end();
  co_return ok();
}

}  // namespace weir
