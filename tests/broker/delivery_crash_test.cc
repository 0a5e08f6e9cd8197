// Power cuts and kills in the middle of requests, by chance: progress that is journaled lazily may be lost, but what
// was answered holds. An acknowledged message never comes again, a floor that was shown never goes back, and a delivery
// count is at least what was shown durable and at most what was delivered.
#include <cstdio>
#include <map>
#include <optional>
#include <random>

#include "tests/broker/shard_fixture.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

constexpr uint64_t wait_ms = 1'000;

class crash_run {
 public:
  explicit crash_run(uint64_t seed) : random_(seed), work_queue_(seed % 2 == 0) {
    world_.storage.journal.segment_bytes = 64u << 10;
    world_.storage.journal.batch_bytes_max = 16u << 10;
    world_.start();
    stream_config config;
    config.name = "s";
    if (work_queue_) config.policy = retention_policy::work_queue;
    REQUIRE(world_.run(world_.now->create_stream(config)));
    consumer_config consumer;
    consumer.name = "c";
    consumer.ack_wait_ms = wait_ms;
    consumer.unlimited_deliver = true;
    if (seed % 3 == 0) consumer.max_ack_pending_per_subject = 2;
    REQUIRE(world_.run(world_.now->create_consumer("s", consumer)));
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      switch (up_to(9)) {
        case 0:
        case 1:
        case 2:
          publish();
          break;
        case 3:
        case 4:
          fetch(1 + up_to(5));
          break;
        case 5:
        case 6:
          ack(some_pending());
          break;
        case 7:
          look();
          break;
        case 8:
          world_.advance_ms(static_cast<int64_t>(up_to(wait_ms)));
          break;
        default:
          if (up_to(2) == 0) crash();
      }
    }
    crash();
    drain();
  }

 private:
  // Attempts: as many, or more if progress of before a crash was lost; at most; and as many after a crash now.
  struct message {
    uint32_t at_least = 0;
    uint32_t at_most = 0;
    uint32_t durable = 0;
    bool acked = false;
    bool maybe = false;  // an ack of it was not answered
  };

  uint64_t up_to(uint64_t most) { return random_() % (most + 1); }

  void publish() {
    if (up_to(1) == 0) return publish_frame();
    messages_[world_.publish("s", "a" + std::to_string(up_to(3)))];
  }
  void publish_frame() {
    std::vector<std::string> subjects(1 + up_to(3));
    std::vector<publish_request> records;
    for (std::string& subject : subjects) {
      subject = "a" + std::to_string(up_to(3));
      records.emplace_back();
      records.back().stream = "s";
      records.back().subject = subject;
    }
    const auto placed = world_.run(world_.now->place_batch(records, up_to(1) == 0));
    REQUIRE(placed);
    REQUIRE(world_.run(world_.now->batch_safe(placed->level, placed->end)));
    for (uint64_t i = 0; i < records.size(); ++i) messages_[placed->first.raw() + i];
  }

  void came(const delivery& one) {
    message& of = messages_.at(one.record.seq.raw());
    CAPTURE(one.record.seq.raw());
    CHECK_FALSE(of.acked);
    CHECK(one.deliver_count > of.at_least);
    CHECK(one.deliver_count <= of.at_most + 1);
    of.at_least = of.at_most = one.deliver_count;
    of.maybe = false;  // it did not happen
  }

  std::vector<uint64_t> fetch(uint64_t batch) {
    auto got = world_.run(world_.now->fetch("s", "c", static_cast<uint32_t>(batch)));
    REQUIRE(got);
    std::vector<uint64_t> all;
    for (const delivery& one : got->deliveries) {
      came(one);
      all.push_back(one.record.seq.raw());
    }
    return all;
  }

  // One that certainly was delivered and is not acknowledged; 0: there is none.
  uint64_t some_pending() {
    std::vector<uint64_t> all;
    for (const auto& [seq, one] : messages_) {
      if (one.at_least != 0 && !one.acked) all.push_back(seq);
    }
    return all.empty() ? 0 : all[up_to(all.size() - 1)];
  }

  void ack(uint64_t seq) {
    if (seq == 0) return;
    world_.ack("s", "c", seq);
    messages_.at(seq).acked = true;
  }

  // What is shown is durable.
  void look() {
    const uint64_t floor = world_.consumer("s", "c").ack_floor;
    CHECK(floor >= floor_);
    floor_ = floor;
    for (auto& [seq, one] : messages_) one.durable = one.at_least;
  }

  // In the middle of a fetch and an ack.
  void crash() {
    std::optional<started<result<fetch_outcome>>> asking;
    std::optional<started<result<void>>> acking;
    const uint64_t seq = some_pending();
    if (up_to(1) == 0) asking.emplace(world_.now->fetch("s", "c", 3));
    if (seq != 0 && up_to(1) == 0) acking.emplace(world_.now->ack("s", "c", seq_no(seq)));
    for (uint64_t left = up_to(6); left > 0; --left) world_.step(random_);
    if (asking && asking->done()) {
      REQUIRE(asking->value());
      for (const delivery& one : asking->value()->deliveries) came(one);
    } else if (asking) {
      for (auto& [each, one] : messages_) ++one.at_most;
    }
    if (acking) {
      const bool answered = acking->done() && acking->value();
      (answered ? messages_.at(seq).acked : messages_.at(seq).maybe) = true;
    }
    if (up_to(1) == 0) {
      world_.crash(random_());
    } else {
      world_.kill();
    }
    REQUIRE(world_.open());
    for (auto& [each, one] : messages_) one.at_least = one.durable;
    check_account();
    look();
  }

  void check_account() {
    if (!work_queue_) return;
    uint64_t acked = 0;
    uint64_t maybe = 0;
    for (const auto& [seq, one] : messages_) {
      acked += one.acked ? 1u : 0u;
      maybe += !one.acked && one.maybe ? 1u : 0u;
    }
    const uint64_t left = world_.info("s").stats.msg_count;
    CHECK(left + acked <= messages_.size());
    CHECK(left + acked + maybe >= messages_.size());
  }

  // Everything comes and is acknowledged, or was.
  void drain() {
    for (int empty = 0; empty < 2;) {
      const std::vector<uint64_t> got = fetch(100);
      for (const uint64_t seq : got) ack(seq);
      empty = got.empty() ? empty + 1 : 0;
      if (got.empty()) world_.advance_ms(static_cast<int64_t>(wait_ms));
    }
    for (const auto& each : messages_) {
      CAPTURE(each.first);
      CHECK((each.second.acked || each.second.maybe));
    }
    const consumer_info info = world_.consumer("s", "c");
    CHECK(info.pending == 0);
    CHECK(info.ack_floor == messages_.size());
    if (work_queue_) CHECK(world_.info("s").stats.msg_count == 0);
  }

  std::mt19937_64 random_;
  const bool work_queue_;
  shard_fixture world_;
  std::map<uint64_t, message> messages_;
  uint64_t floor_ = 0;
};

TEST_CASE("crashes: what was acknowledged never comes again, floors stay, delivery counts keep their bounds") {
  const seed_range seeds = test_seeds(40, 1'000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    crash_run run(seed);
    run.run(400);
  }
  std::printf("delivery crashes: seeds %llu to %llu\n", static_cast<unsigned long long>(seeds.first),
              static_cast<unsigned long long>(seeds.last - 1));
}

}  // namespace
}  // namespace weir
