// One random run of the real shard beside the naive model: every answer, every delivery, every count compared.
//
// The run moves both clocks in step. It stops at every timer of the real shard and at every event of the model. So that
// no two kinds of events share an instant every kind has its own milliseconds: operations at multiples of 10, starts
// and sweeps at 3 more, deadlines at 4 (and 7, after a start), schedules and ttls at 5, ends of pauses at 6, ends of
// waits at 8, of inactivity at 9 (and 2). What the semantics leave open is looked up in the real shard (see
// naive_delivery.h), everything else must be equal. A disagreement is thrown as a mismatch.
#pragma once

#include <cstdio>
#include <deque>
#include <functional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/broker/naive_delivery.h"
#include "tests/sim/sim_shard.h"
#include "tests/sim/test_seed.h"

namespace weir {

// What the real shard and the model disagree about.
struct mismatch {
  std::string what;
};

std::string shown(const stream_config& config);
std::string shown(const consumer_config& config);

class delivery_run {
 public:
  explicit delivery_run(uint64_t seed);
  ~delivery_run();
  delivery_run(const delivery_run&) = delete;
  delivery_run& operator=(const delivery_run&) = delete;

  void step();
  void check_everything();
  // The last operations, one a line.
  std::string story() const;
  std::string reality();

 private:
  struct open_subscription {
    uint64_t id = 0;
    std::string stream;
    std::string consumer;
    uint64_t instance = 0;  // of the consumer
    std::shared_ptr<subscription> real;
    std::optional<started<result<fetch_outcome>>> waiting;
    uint32_t messages_max = 0;
    uint64_t bytes_max = 0;
    std::optional<int64_t> until;  // mono
    std::vector<naive::delivered> hand;
    size_t sent = 0;
  };
  using name_pair = std::pair<std::string, std::string>;

  // Chance.
  uint64_t up_to(uint64_t most) { return random_() % (most + 1); }
  bool one_in(uint64_t n) { return random_() % n == 0; }
  int64_t some_ms(int64_t most) { return 10 * static_cast<int64_t>(up_to(static_cast<uint64_t>(most) / 10)); }
  std::string any_stream() { return "s" + std::to_string(up_to(3)); }
  std::string any_consumer() { return "c" + std::to_string(up_to(2)); }
  std::string any_subject();
  std::string any_filter();
  std::optional<uint64_t> maybe(uint64_t most);
  // Mostly a consumer that exists.
  name_pair some_consumer();
  // Mostly one that has something pending (parked), and of that one sequence.
  uint64_t some_pending(name_pair& at);
  uint64_t some_parked(name_pair& at);

  // Comparing.
  template <class T, class U>
  void same(const T& real, const U& naive, const char* what) const {
    if (real == naive) return;
    std::ostringstream text;
    text << what << ": really " << real << ", by the model " << naive;
    throw mismatch{text.str()};
  }
  void expect(bool holds, const std::string& what) const {
    if (!holds) throw mismatch{what};
  }
  void same_code(const std::optional<error>& real, const std::optional<errc>& naive) const;
  template <class T>
  static std::optional<error> error_of(const result<T>& real) {
    if (real) return std::nullopt;
    return real.err();
  }
  // True if both succeeded.
  template <class T, class U>
  bool both(const result<T>& real, const result<U>& naive) const {
    same_code(error_of(real), naive ? std::optional<errc>() : std::optional<errc>(naive.err().code));
    return static_cast<bool>(naive);
  }
  void same_message(const found_record& real, const naive::message& naive) const;
  static bool equal(const fetch_outcome& real, const std::vector<naive::delivered>& naive);
  void same_deliveries(const std::string& stream, const fetch_outcome& real,
                       const std::vector<naive::delivered>& naive);
  void settle_look(const std::string& name, const std::string& which, const consumer_info& real);
  void same_info(const consumer_info& real, const consumer_info& naive) const;
  void same_stream(const stream_info& real, const stream_info& naive) const;
  void compare_stream(const std::string& name);
  void look_after(const std::string& name);
  void compare_consumer(const std::string& name, const std::string& which);
  void compare_list(const std::string& name);
  void compare_parked(const std::string& name, const std::string& which, uint64_t from, uint32_t limit);
  void compare_account(const std::string& name, const std::string& which, const consumer_info& real);
  void compare_latest(const std::string& name, const std::string& subject);
  void note(const std::string& what);

  // Operations on streams and messages.
  void create_stream();
  void delete_stream();
  void update_stream();
  void list_streams();
  uint64_t last_of(const std::string& name);
  naive::publishing some_publishing();
  publish_request request_of(const naive::publishing& what) const;
  void publish();
  void publish_all();

  // The fast lane.
  struct sent_frame {
    std::vector<naive::publishing> records;
    bool atomic = false;
  };
  static std::string told(const sent_frame& frame);
  sent_frame some_frame(const std::string& stream);
  // From which record of the frames on blocks go: with each, or with this one and at the end.
  struct blocks_go {
    size_t from = 0;
    bool once = false;
    size_t next = 0;  // record
  };
  void place_naively(const sent_frame& frame, const result<batch_outcome>& real, blocks_go& later);
  bool place_record(const naive::publishing& what, const result<published>& real, size_t index);
  void before_record(const sent_frame& frame, blocks_go& later);
  void find_blocks(const std::string& stream, const std::vector<sent_frame>& frames,
                   const std::vector<result<batch_outcome>>& real);
  void place_all(const std::string& stream, const std::vector<sent_frame>& frames,
                 const std::vector<result<batch_outcome>>& real, const blocks_go& go);
  void place_frames();
  std::vector<uint64_t> some_of(const name_pair& at, uint64_t one_of);
  void answer_frame();
  size_t subscription_of(const name_pair& at) const;

  void list_subjects();
  void scan();
  void get_message();
  void delete_message();
  void purge();

  // Operations on consumers.
  void shape_consumer(consumer_config& config);
  void create_consumer();
  void delete_consumer();
  void update_consumer();
  void pause();
  void reset();
  void fetch();
  void fetch_from(const name_pair& at, uint32_t batch);
  bool nothing_for(const naive::stream& in, const naive::consumer& at, const result<fetch_outcome>& real) const;
  void ack();
  void ack_many();
  void nak();
  void term();
  void in_progress();
  void list_parked();
  void requeue();
  void purge_parked();

  // Subscriptions.
  void subscribe();
  void ask_next();
  // Does not let the others go on.
  void ask_next_of(size_t which);
  void send_some();
  void end_some();
  void end(size_t which);
  void end_all();
  void serve();
  bool serve_one(open_subscription& one);
  void took(open_subscription& one, const std::vector<naive::delivered>& these);
  void drop_orphans();

  // Time.
  void follow_clock();
  void advance();
  void advance_by(int64_t ms);
  void stop_here();
  void sweep_late();

  // What happened by itself.
  using appearances = std::vector<std::optional<naive::message>>;  // nullopt: gone already
  void observe();
  naive::stream swept(naive::stream in);
  void observe_before_sweep();
  void observe_stream(const std::string& name, naive::stream& in);
  appearances look_for_new(const std::string& name, const naive::stream& in, uint64_t last);
  bool explains(naive::stream in, const appearances& appeared);
  std::vector<uint64_t> outlived_and_gone(const std::string& name, const naive::stream& in);
  void happen(naive::stream& in, const appearances& appeared);
  // Lets it happen again and again, with one of these numbers of appended messages visible, until it fits.
  void find_moment(naive::stream& in, const std::vector<consumer_info>& shown, const std::vector<size_t>& visible,
                   const std::function<void()>& happens);
  std::optional<std::vector<consumer_info>> shown_if_somebody_got(const std::string& name);
  bool got_something(const open_subscription& one);
  bool somebody_got(const naive::stream& in);
  // In the middle of what happens to the stream: who got just what there is for it now was served now. What an append
  // removed makes room for others before the message itself, from appended_from_ on, is durable and visible.
  void serve_meanwhile(naive::stream& in);
  void order_as_given(const open_subscription& one, std::vector<naive::delivered>& these);
  bool serve_if_same(open_subscription& one, naive::stream& in);
  void observe_inactive(bool by_itself);
  void wait_for_sweep();
  void clock_was_set();
  void nudge_wall();
  void jump_wall();
  void look_at_clock();
  void wait_for_trust();
  void show_all();
  void restart();
  void reopened();

  std::mt19937_64 random_;
  sim_shard real_;
  naive::broker naive_;
  std::vector<std::unique_ptr<open_subscription>> subscriptions_;  // in the order they asked
  uint64_t next_id_ = 1;
  int64_t next_sweep_ = 0;
  int64_t lenient_until_ = 0;            // mono: who waits may be woken late, because the wall clock jumped
  bool suspect_ = false;                 // the wall clock jumped and is not to be trusted
  bool stays_ = false;                   // and stays where it jumped to
  int64_t jumped_by_ = 0;                // then
  int64_t suspect_since_ = 0;            // mono
  uint64_t appended_from_ = UINT64_MAX;  // by what happens now
  bool not_yet_visible_ = false;         // none of that
  size_t visible_ = 0;                   // but so many first ones of it
  size_t moments_ = 0;                   // at which somebody could have been served, so far
  size_t serve_from_ = 0;                // not at so many first ones of them
  bool fitted_ = true;                   // the moment that was found leaves what is shown of the consumers
  size_t events_seen_ = 0;
  uint64_t steps_ = 0;
  std::deque<std::string> story_;
  const uint64_t check_every_ = test_flag("WEIR_EACH") ? 1 : 100;
  const bool told_at_once_ = test_flag("WEIR_STORY");  // each operation before it is done, for one that hangs
};

}  // namespace weir
