// The one implementation of subscription (broker/subscription.h).
//
// Shared between its client and the requests inside it; the shard knows every open one and ends them all when it stops.
// After that it holds nothing of the shard.
#pragma once

#include <string>
#include <vector>

#include "broker/shard_impl.h"

namespace weir {

class shard_impl::open_subscription final : public subscription,
                                            public std::enable_shared_from_this<shard_impl::open_subscription> {
 public:
  open_subscription(shard_impl& owner, place held);
  open_subscription(const open_subscription&) = delete;
  open_subscription& operator=(const open_subscription&) = delete;
  ~open_subscription() override { end(); }

  task<result<fetch_outcome>> next(uint32_t messages_max, size_t bytes_max, std::optional<uint64_t> wait_ms) override;
  void sent(size_t deliveries) override;
  void end() override;

  const place& where() const { return held_; }
  // Its consumer was deleted, durably.
  void dismiss();
  // These begin anew: should it have some in hand, they are its no more, and the attempts look alike.
  void disown(const std::vector<seq_no>& seqs);
  // Somebody who waits looks again: what it skips moves the cursor.
  void look_again();

 private:
  class wait_end final : public timers::timer {
   public:
    explicit wait_end(open_subscription& self) : self_(self) {}
    void expired() override { self_.wait_is_over(); }

   private:
    open_subscription& self_;
  };
  struct line_awaiter {
    open_subscription& self;
    bool in_front;
    int vain;  // times it was woken and found nothing
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller);
    void await_resume() const noexcept {}
  };

  task<result<fetch_outcome>> wait_for_messages(uint32_t messages_max, size_t bytes_max);
  // Takes what is there; the turn is waited for.
  task<result<fetch_outcome>> take(uint32_t messages_max, size_t bytes_max);
  error gone_error() const;
  void wait_is_over();
  void give_back_rest();
  void release();

  shard_impl* owner_;  // null: released
  place held_;
  const std::string stream_name_;
  const std::string name_;
  std::vector<consumer::handed> handed_;  // by the last next()
  size_t sent_ = 0;
  uint64_t resets_ = 0;  // of the consumer, when they were handed out
  bool active_ = false;  // next() runs
  bool ended_ = false;
  bool over_ = false;          // the wait
  std::optional<error> gone_;  // once dismissed
  waiter waiter_;
  wait_end wait_end_{*this};
};

}  // namespace weir
