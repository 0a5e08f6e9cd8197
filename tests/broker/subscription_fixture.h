// Subscriptions in tests: a client that waits, and what it got as "seq" or "seq*count".
#pragma once

#include <memory>

#include "tests/broker/shard_fixture.h"

namespace weir {

class subscriber {
 public:
  subscriber(shard_fixture& world, const std::string& stream, const std::string& name) : world_(world) {
    auto opened = world.run(world.now->subscribe(stream, name));
    REQUIRE(opened);
    subscription_ = *opened;
  }

  // Asks for messages; waits for ever unless told how long.
  void ask(uint32_t messages = 100, std::optional<uint64_t> wait_ms = std::nullopt, size_t bytes = 1u << 20) {
    next_.emplace(subscription_->next(messages, bytes, wait_ms));
  }
  bool waits() { return !next_->done(); }
  shown got() {
    REQUIRE(next_->done());
    REQUIRE(next_->value());
    shown all;
    for (const delivery& one : next_->value()->deliveries) {
      std::string text = std::to_string(one.record.seq.raw());
      if (one.deliver_count != 1) text += "*" + std::to_string(one.deliver_count);
      all.push_back(text);
    }
    return all;
  }
  errc refused() {
    REQUIRE(next_->done());
    REQUIRE_FALSE(next_->value());
    return next_->value().err().code;
  }
  // ask(), settle(), got(), all on the wire.
  shown take(uint32_t messages = 100) {
    ask(messages, 0);
    world_.settle();
    const shown all = got();
    subscription_->sent(all.size());
    return all;
  }
  void sent(size_t count) { subscription_->sent(count); }
  void end() { subscription_->end(); }
  void drop() { subscription_.reset(); }

 private:
  shard_fixture& world_;
  std::shared_ptr<subscription> subscription_;
  std::optional<started<result<fetch_outcome>>> next_;
};

}  // namespace weir
