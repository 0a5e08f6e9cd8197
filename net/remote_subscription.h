// remote_subscription: how a call on one reactor holds a subscription that lives on its shard's
// (broker/subscription.h).
//
// Lives in the handler's coroutine, on the call's reactor. The subscription itself is touched on its shard's thread
// only: by crossings that the handler awaits, and by two letters that nobody awaits, what was sent and interrupt().
// Letters of one reactor arrive in the order they were sent, so that close(), the last call, comes after both and
// leaves nothing under way. A handler that called open() or next() calls close() before it ends, however it ends.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "net/shard_map.h"

namespace weir {

class remote_subscription {
 public:
  remote_subscription(reactor& here, const shard_place& where, std::string stream, std::string consumer);
  remote_subscription(const remote_subscription&) = delete;
  ~remote_subscription();

  // no_such_stream, no_such_consumer, unavailable.
  task<result<void>> open();
  // subscription::next(); opens first, if nobody did.
  task<result<fetch_outcome>> next(uint32_t messages_max, size_t bytes_max, std::optional<uint64_t> wait_ms);
  // So many of the last next()'s deliveries, counted from its first, went on the wire. Of several calls in one turn the
  // shard may hear the last only.
  void sent(size_t deliveries);
  // For call_context::on_gone(): a next() under way, and every later one, resolves with unavailable. The handler may go
  // on, and end, before this returns.
  void interrupt();
  // What was taken and not sent is due again.
  task<void> close();

 private:
  template <void (remote_subscription::*Action)()>
  struct note final : letter {
    explicit note(remote_subscription& s) : self(s) {}
    void open() override { (self.*Action)(); }
    remote_subscription& self;
  };

  // On the shard's thread.
  task<result<void>> open_there(shard& there);
  task<result<fetch_outcome>> next_there(shard& there, uint32_t messages_max, size_t bytes_max,
                                         std::optional<uint64_t> wait_ms);
  task<result<void>> close_there();
  void on_sent_note();
  void tell_sent();
  void interrupt_there();

  bool at_home() const { return where_.home == &here_; }

  reactor& here_;
  const shard_place& where_;
  const std::string stream_;
  const std::string consumer_;

  // The shard's.
  std::shared_ptr<subscription> held_;
  bool interrupted_ = false;
  uint64_t taken_from_there_ = 0;  // sent_total_ when the last next() began
  uint64_t told_ = 0;              // of the last next()'s, to the subscription

  // The call's.
  uint64_t taken_from_ = 0;
  bool interrupt_sent_ = false;
  bool closing_ = false;

  std::atomic<uint64_t> sent_total_{0};  // over all next()
  std::atomic<bool> sent_note_under_way_{false};
  note<&remote_subscription::on_sent_note> sent_note_{*this};
  note<&remote_subscription::interrupt_there> interrupt_note_{*this};
};

}  // namespace weir
