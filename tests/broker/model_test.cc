// The naive twin beside the real shard: random operations, every answer compared (issue A, must hold 5).
#include <doctest/doctest.h>

#include <cstdio>
#include <random>

#include "tests/broker/naive_shard.h"
#include "tests/sim/sim_shard.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

class model_run {
 public:
  explicit model_run(uint64_t seed) : random_(seed), real_(), naive_(small_limits()) {
    real_.limits = small_limits();
    real_.storage.journal.segment_bytes = 64u << 10;
    real_.storage.journal.batch_bytes_max = 16u << 10;
    real_.storage.cache_bytes_max = seed % 2 == 0 ? 4u << 10 : 1u << 20;
    REQUIRE(real_.open());
    follow_clock();
    next_sweep_ms_ = naive_.mono_ms + static_cast<int64_t>(real_.limits.retention_sweep_ms);
  }

  void step() {
    const uint64_t dice = random_() % 1000;
    if (dice < 400) return publish();
    if (dice < 430) return create_stream();
    if (dice < 440) return delete_stream();
    if (dice < 480) return update_stream();
    if (dice < 530) return get_stream();
    if (dice < 570) return read_latest();
    if (dice < 590) return list_subjects();
    if (dice < 620) return scan();
    if (dice < 650) return create_consumer();
    if (dice < 657) return delete_consumer();
    if (dice < 687) return get_consumer();
    if (dice < 697) return list_consumers();
    if (dice < 807) return fetch();
    if (dice < 957) return ack();
    if (dice < 995) return advance();
    if (dice < 998) return list_streams();
    if (one_in(2)) restart();
  }

  void check_everything() {
    list_streams();
    for (const std::string& name : naive_.list_streams()) {
      compare_stream(name);
      compare_consumers(name);
      for (const char* subject : subjects) compare_latest(name, subject);
    }
  }

 private:
  static constexpr const char* subjects[] = {"a", "b", "a.b", "a.c", "a.b.c", "k.1", "k.2", "k.3", "k.4", "k.5"};
  static constexpr const char* filters[] = {"", "", "a", "a.*", "a.>", "k.*", "*", ">", "*.b", "k.2", "z.>"};

  static broker_limits small_limits() {
    broker_limits limits;
    limits.payload_bytes_max = 400;
    limits.headers_max = 4;
    limits.header_bytes_max = 64;
    limits.fetch_messages_max = 50;
    limits.fetch_bytes_max = 2'000;
    limits.scan_messages_max = 10'000;
    return limits;
  }

  uint64_t up_to(uint64_t most) { return random_() % (most + 1); }
  bool one_in(uint64_t n) { return random_() % n == 0; }
  std::string any_stream() { return "s" + std::to_string(up_to(4)); }
  std::string any_consumer() { return "c" + std::to_string(up_to(2)); }
  std::string any_subject() { return subjects[random_() % std::size(subjects)]; }
  std::optional<uint64_t> maybe(uint64_t most) {
    if (one_in(2)) return std::nullopt;
    return up_to(most);
  }

  void follow_clock() {
    naive_.mono_ms = real_.clock.mono().raw() / manual_clock::ns_per_ms;
    naive_.wall_ms_now = real_.clock.wall().raw();
  }

  template <class T>
  static void compare_codes(const result<T>& real, const std::optional<errc>& naive) {
    REQUIRE(static_cast<bool>(real) == !naive.has_value());
    if (naive) CHECK(to_string(real.err().code) == to_string(*naive));
  }
  template <class T, class U>
  static bool both(const result<T>& real, const result<U>& naive) {
    const std::string problem = real ? "" : real.err().message;
    CAPTURE(problem);
    REQUIRE(static_cast<bool>(real) == static_cast<bool>(naive));
    if (!naive) {
      CHECK(to_string(real.err().code) == to_string(naive.err().code));
      CHECK(real.err().detail == naive.err().detail);
    }
    return static_cast<bool>(naive);
  }

  void compare_message(const found_record& real, const naive_message& naive) {
    const auto view = decode_record(real.bytes.bytes());
    REQUIRE(view);
    CHECK(real.seq.raw() == naive.seq);
    CHECK(view->seq.raw() == naive.seq);
    CHECK(view->subject == naive.subject);
    CHECK(view->time.raw() == naive.time);
    CHECK(as_text(view->headers) == naive.headers);
    CHECK(as_text(view->payload) == naive.payload);
  }

  void compare_info(const consumer_info& real, const consumer_info& naive) {
    CHECK(real.config == naive.config);
    CHECK(real.created_at_ms == naive.created_at_ms);
    CHECK(real.ack_floor == naive.ack_floor);
    CHECK(real.last_delivered == naive.last_delivered);
    CHECK(real.redelivered_dropped == naive.redelivered_dropped);
    CHECK(real.pending == naive.pending);
  }

  void create_stream() {
    stream_config config;
    config.name = one_in(50) ? "bad name" : any_stream();
    if (one_in(3))
      config.subjects_filter = one_in(2) ? std::vector<std::string>{"a", "a.>"} : std::vector<std::string>{"k.*"};
    config.block_size = 1 + up_to(9);
    config.limits.max_msgs = maybe(30);
    config.limits.max_bytes = maybe(4'000);
    config.limits.max_age_ms = maybe(60'000);
    config.limits.strict = one_in(2);
    if (one_in(4)) config.max_msgs_per_subject = 1 + up_to(3);
    if (one_in(4)) config.max_msg_bytes = 100 + up_to(200);
    config.ephemeral = one_in(6);
    if (!config.ephemeral && one_in(3)) config.level = static_cast<durability>(1 + up_to(2));
    if (one_in(5)) config.metadata["k"] = "v";
    const auto naive = naive_.create_stream(config);
    auto real = real_.run(real_.now->create_stream(config));
    compare_codes(real, naive);
  }

  void delete_stream() {
    if (!one_in(3)) return;
    const std::string name = any_stream();
    compare_codes(real_.run(real_.now->delete_stream(name)), naive_.delete_stream(name));
  }

  void update_stream() {
    stream_update update;
    update.name = any_stream();
    if (one_in(3)) update.max_msgs = up_to(30);
    if (one_in(3)) update.max_bytes = up_to(3'000);
    if (one_in(3)) update.max_age_ms = up_to(60'000);
    if (one_in(3)) update.max_msg_bytes = one_in(2) ? 0 : 100 + up_to(200);
    if (one_in(4)) update.strict_limits = one_in(2);
    const auto naive = naive_.update_stream(update);
    const auto real = real_.run(real_.now->update_stream(update));
    if (!both(real, naive)) return;
    CHECK(real->config == naive->config);
    CHECK(real->pruned == naive->pruned);
  }

  void compare_stream(const std::string& name) {
    const auto naive = naive_.get_stream(name);
    const auto real = real_.run(real_.now->get_stream(name));
    if (!both(real, naive)) return;
    CHECK(real->config == naive->config);
    CHECK(real->stats.last_seq == naive->stats.last_seq);
    CHECK(real->stats.msg_count == naive->stats.msg_count);
    CHECK(real->stats.bytes == naive->stats.bytes);
    CHECK(real->stats.block_count == naive->stats.block_count);
    CHECK(real->stats.first_block == naive->stats.first_block);
    CHECK(real->damaged_records == 0);
  }
  void get_stream() { compare_stream(any_stream()); }

  void list_streams() {
    const auto real = real_.run(real_.now->list_streams());
    REQUIRE(real);
    CHECK(*real == naive_.list_streams());
  }

  void publish() {
    naive_shard::publishing message;
    message.stream = any_stream();
    message.subject = one_in(100) ? "a..b" : any_subject();
    message.payload.assign(one_in(50) ? up_to(500) : up_to(60), static_cast<char>('a' + up_to(25)));
    if (one_in(3)) {
      std::vector<header> headers;
      for (uint64_t i = up_to(4); i > 0; --i)
        headers.push_back({"k" + std::to_string(up_to(2)), std::string(up_to(20), 'v')});
      message.headers = encode_headers(headers);
    }
    if (one_in(4)) message.time = naive_.wall_ms_now - static_cast<int64_t>(up_to(80'000));
    if (one_in(4)) {
      const auto latest = naive_.read_latest(message.stream, message.subject);
      message.expected = latest && *latest && !one_in(3) ? (*latest)->seq : up_to(20);
    }
    const auto naive = naive_.publish(message);
    publish_request request;
    request.stream = message.stream;
    request.subject = message.subject;
    request.payload = as_bytes(message.payload);
    request.headers = as_bytes(message.headers);
    request.ts_ms = message.time;
    request.expected_last_seq = message.expected;
    const auto real = real_.run(real_.now->publish(request));
    if (both(real, naive)) CHECK(real->seq.raw() == *naive);
  }

  void compare_latest(const std::string& name, const std::string& subject) {
    const auto naive = naive_.read_latest(name, subject);
    const auto real = real_.run(real_.now->read_latest(name, subject));
    if (!both(real, naive)) return;
    REQUIRE(real->has_value() == naive->has_value());
    if (*naive) compare_message(**real, **naive);
  }
  void read_latest() { compare_latest(any_stream(), any_subject()); }

  void list_subjects() {
    const std::string name = any_stream();
    const std::string prefix = one_in(3) ? "" : any_subject().substr(0, 1 + up_to(2));
    const auto naive = naive_.list_subjects(name, prefix);
    const auto real = real_.run(real_.now->list_subjects(name, prefix));
    if (both(real, naive)) CHECK(*real == *naive);
  }

  void scan() {
    scan_query query{any_stream(), any_subject(), up_to(60), up_to(8)};
    const auto naive = naive_.scan(query.stream, query.subject, query.from_seq, query.limit);
    const auto real = real_.run(real_.now->scan_subject(query));
    if (!both(real, naive)) return;
    CHECK(real->damaged.empty());
    REQUIRE(real->records.size() == naive->size());
    for (size_t i = 0; i < naive->size(); ++i) compare_message(real->records[i], (*naive)[i]);
  }

  void create_consumer() {
    consumer_config config;
    config.name = any_consumer();
    config.filter_subject = filters[random_() % std::size(filters)];
    config.policy = static_cast<delivery_policy>(up_to(3));
    config.start_seq = up_to(40);
    config.start_time_ms = naive_.wall_ms_now - static_cast<int64_t>(up_to(60'000));
    if (one_in(2)) config.ack_wait_ms = 1 + up_to(20'000);
    if (one_in(2)) config.max_deliver = 1 + static_cast<uint32_t>(up_to(3));
    const std::string name = any_stream();
    compare_codes(real_.run(real_.now->create_consumer(name, config)), naive_.create_consumer(name, config));
  }

  void delete_consumer() {
    const std::string name = any_stream();
    const std::string consumer = any_consumer();
    compare_codes(real_.run(real_.now->delete_consumer(name, consumer)), naive_.delete_consumer(name, consumer));
  }

  void get_consumer() {
    const std::string name = any_stream();
    const std::string consumer = any_consumer();
    const auto naive = naive_.get_consumer(name, consumer);
    const auto real = real_.run(real_.now->get_consumer(name, consumer));
    if (both(real, naive)) compare_info(*real, *naive);
  }

  void compare_consumers(const std::string& name) {
    const auto naive = naive_.list_consumers(name);
    const auto real = real_.run(real_.now->list_consumers(name));
    if (!both(real, naive)) return;
    REQUIRE(real->size() == naive->size());
    for (size_t i = 0; i < naive->size(); ++i) compare_info((*real)[i], (*naive)[i]);
  }
  void list_consumers() { compare_consumers(any_stream()); }

  void fetch() {
    const std::string name = any_stream();
    const std::string consumer = any_consumer();
    const auto batch = static_cast<uint32_t>(up_to(12));
    const auto naive = naive_.fetch(name, consumer, batch);
    const auto real = real_.run(real_.now->fetch(name, consumer, batch));
    if (!both(real, naive)) return;
    CHECK(real->damaged.empty());
    REQUIRE(real->deliveries.size() == naive->size());
    for (size_t i = 0; i < naive->size(); ++i) {
      const delivery& one = real->deliveries[i];
      CHECK(one.record.seq.raw() == (*naive)[i].seq);
      CHECK(one.deliver_count == (*naive)[i].deliveries);
      compare_message(one.record, naive_.streams.at(name).live.at((*naive)[i].seq));
    }
    if (!naive->empty()) last_fetched_ = {name, consumer, (*naive)[up_to(naive->size() - 1)].seq};
  }

  void ack() {
    std::string name = any_stream();
    std::string consumer = any_consumer();
    uint64_t seq = up_to(60);
    if (!one_in(10)) {  // mostly something that is pending
      const auto in = naive_.streams.find(name);
      if (in != naive_.streams.end() && !in->second.consumers.empty()) {
        auto at = in->second.consumers.begin();
        std::advance(at, static_cast<long>(random_() % in->second.consumers.size()));
        consumer = at->first;
        if (!at->second.pending.empty()) {
          auto one = at->second.pending.begin();
          std::advance(one, static_cast<long>(random_() % at->second.pending.size()));
          seq = one->first;
        }
      }
    }
    if (one_in(20)) {
      name = last_fetched_.stream;
      consumer = last_fetched_.consumer;
      seq = last_fetched_.seq;
    }
    compare_codes(real_.run(real_.now->ack(name, consumer, seq_no(seq))), naive_.ack(name, consumer, seq));
  }

  void advance() {
    const auto ms = static_cast<int64_t>(one_in(4) ? up_to(30'000) : up_to(1'500));
    // A sweep removes and a deadline gives up: which comes first matters.
    for (int64_t left = ms; left > 0;) {
      const int64_t to_sweep = next_sweep_ms_ - naive_.mono_ms;
      const int64_t part = to_sweep > 1 ? std::min(left, to_sweep - 1) : 1;
      real_.advance_ms(part);
      left -= part;
      follow_clock();
      naive_.expire_all();
      if (naive_.mono_ms < next_sweep_ms_) continue;
      naive_.sweep();
      next_sweep_ms_ = naive_.mono_ms + static_cast<int64_t>(real_.limits.retention_sweep_ms);
    }
  }

  // A clean stop, or a power cut after a change that was waited for: whatever came before it is durable too.
  void restart() {
    result<void> restarted;
    if (one_in(2)) {
      restarted = real_.restart();
    } else {
      stream_config last;
      last.name = "last-change";
      REQUIRE(real_.run(real_.now->create_stream(last)));
      REQUIRE(real_.run(real_.now->delete_stream(last.name)));
      real_.crash(random_());
      restarted = real_.open();
    }
    const std::string problem = restarted ? "" : restarted.err().message;
    CAPTURE(problem);
    REQUIRE(restarted);
    naive_.restart();
    next_sweep_ms_ = naive_.mono_ms + static_cast<int64_t>(real_.limits.retention_sweep_ms);
    check_everything();
  }

  struct fetched {
    std::string stream = "s0";
    std::string consumer = "c0";
    uint64_t seq = 0;
  };

  std::mt19937_64 random_;
  sim_shard real_;
  naive_shard naive_;
  fetched last_fetched_;
  int64_t next_sweep_ms_ = 0;
};

TEST_CASE("shard: answers every random operation as the naive model does, across restarts") {
  const seed_range seeds = test_seeds(10, 50);
  const int operations = long_tests() ? 100'000 : 10'000;
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    std::printf("model: seed %llu, %d operations\n", static_cast<unsigned long long>(seed), operations);
    CAPTURE(seed);
    model_run run(seed);
    for (int i = 0; i < operations; ++i) {
      CAPTURE(i);
      run.step();
    }
    run.check_everything();
  }
}

}  // namespace
}  // namespace weir
