// The naive twin of a shard with all of delivery and retention: who gets which message, when, how often, and when it
// goes. Plain maps and linear scans, no disk, no waiting, no cleverness.
//
// Written from the wire contract, the decided semantics and the headers of the broker, not from its code. Where those
// leave something open (when within its second a time-to-live takes effect, in which order two dead letters are
// appended) the model does nothing by itself: it says what may happen and what is overdue, and the test tells it what
// did happen.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/limits.h"
#include "broker/types.h"
#include "storage/result.h"

namespace weir::naive {

struct message {
  uint64_t seq = 0;
  std::string subject;
  int64_t time = 0;
  std::string headers;
  std::string payload;
  uint64_t bytes = 0;          // as stored
  int64_t goes_at = 0;         // wall time its time-to-live ends; 0 = never
  int64_t overdue_since = -1;  // mono, while it has outlived that
};

// What a publisher asks for.
struct publishing {
  std::string stream;
  std::string subject;
  std::string headers;
  std::string payload;
  int64_t time = 0;
  std::optional<uint64_t> expected;
  std::string id;
  uint64_t ttl_ms = 0;
  int64_t deliver_at = 0;
};

struct scheduled {
  int64_t deliver_at = 0;
  publishing what;
  uint64_t order = 0;          // of its id
  int64_t overdue_since = -1;  // mono, while it could have been appended
  bool did_not_fit = false;    // when this instant began
};

struct remembered_id {
  uint64_t seq = 0;
  bool scheduled = false;  // seq is 0 until it is delivered, if it is known then
  int64_t time = 0;        // of the publish, as believed
  uint64_t order = 0;      // of the publish, then of the delivery
};

enum class state : uint8_t { held, out, in_hand, due, dying };

struct entry {
  state now = state::out;
  uint32_t deliveries = 0;
  int64_t deadline = 0;                           // mono; out
  uint64_t hand = 0;                              // which subscription has it; in_hand
  park_reason reason = park_reason::max_deliver;  // dying
  int64_t overdue_since = -1;                     // mono, while its dead letter could have been appended
};

struct parked {
  int64_t at = 0;  // wall
  park_reason reason = park_reason::max_deliver;
};

struct consumer {
  uint64_t instance = 0;  // never used again
  consumer_config config;
  int64_t created_at = 0;
  uint64_t next = 1;
  uint64_t last_delivered = 0;
  uint64_t dropped = 0;
  uint64_t floor_min = 0;
  int64_t paused_until = 0;
  int64_t used_at = 0;             // mono
  uint64_t waiting = 0;            // subscriptions
  bool looked_lately = false;      // somebody waits, or did: the cursor may be beyond what does not match, or not yet
  bool restarted = false;          // since the last fetch
  std::string dead_letter_before;  // what an update at this instant changed; the shard looks around before it changes
  std::map<uint64_t, entry> pending;
  std::map<uint64_t, parked> given_up;
  // For the account, since it began or was reset: every message that it was to deliver, and how those ended that are
  // neither pending nor parked.
  std::set<uint64_t> concerned;
  std::set<uint64_t> acked;
  std::set<uint64_t> forgotten;  // parked, until others took its place
};

struct stream {
  stream_config config;
  uint64_t last = 0;
  uint64_t hidden_from = UINT64_MAX;  // not durable yet: nobody is given it
  uint64_t visible() const { return last < hidden_from ? last : hidden_from - 1; }
  std::map<uint64_t, message> live;
  std::map<std::string, consumer> consumers;
  std::vector<scheduled> later;           // in order of publishing
  std::vector<scheduled> taken_for_gone;  // what somebody who saw only that one was gone took for that one
  std::map<std::string, remembered_id> ids;
};

struct delivered {
  uint64_t seq = 0;
  uint32_t deliveries = 0;
  bool operator==(const delivered&) const = default;
};

// For the story of a mismatch.
std::string shown(const consumer& at);

class broker {
 public:
  explicit broker(const broker_limits& limits) : limits_(limits) {}

  // A sweep of this instant may have made room, block by block, that a dead letter needed.
  bool sweeping = false;
  // Blocks that a bound lets go stay for now: they go in the background, when prune_now() says so.
  bool blocks_stay = false;
  void prune_now(stream& in) { prune(in, false); }
  // The clocks, in milliseconds; the test moves them together with the real ones. Absent: the wall clock jumped and is
  // not to be trusted yet.
  int64_t mono = 0;
  int64_t wall = 0;
  std::optional<int64_t> trusted;
  int64_t believed = 0;  // wall, and what it would be if it had not jumped
  // Called before each step of what takes effect in steps (limits that must read first go block by block): who waits
  // may be served in between.
  std::function<void(stream&)> between_steps = [](stream&) {};

  // Streams.
  std::optional<errc> create_stream(stream_config config);
  std::optional<errc> delete_stream(const std::string& name);
  result<stream_info> get_stream(const std::string& name) const;
  std::vector<std::string> list_streams() const;
  result<update_outcome> update_stream(const stream_update& update);

  // Messages.
  result<published> publish(const publishing& what);
  // The errors any of which is right, if the whole run is refused; empty: stored, `first` is its first sequence.
  std::set<errc> publish_all(const std::vector<publishing>& run, uint64_t& first);
  result<std::optional<message>> read_latest(const std::string& name, const std::string& subject) const;
  result<std::vector<std::string>> list_subjects(const std::string& name, const std::string& prefix) const;
  result<std::vector<message>> scan(const std::string& name, const std::string& subject, uint64_t from,
                                    uint64_t limit) const;
  result<std::optional<message>> get_message(const std::string& name, uint64_t seq) const;
  result<bool> delete_message(const std::string& name, uint64_t seq);
  result<uint64_t> purge(const purge_request& request);

  // Consumers.
  std::optional<errc> create_consumer(const std::string& name, consumer_config config);
  std::optional<errc> delete_consumer(const std::string& name, const std::string& which);
  std::optional<errc> update_consumer(const consumer_update& update);
  result<consumer_info> get_consumer(const std::string& name, const std::string& which);
  result<std::vector<consumer_info>> list_consumers(const std::string& name);
  std::optional<errc> pause(const std::string& name, const std::string& which, int64_t until);
  std::optional<errc> reset(const std::string& name, const std::string& which, const reset_target& to);

  // Delivery. `hand`: the subscription that takes them; 0 = a fetch, whose answer is on the wire at once.
  result<std::vector<delivered>> fetch(const std::string& name, const std::string& which, uint32_t batch,
                                       uint64_t bytes_max, uint64_t hand);
  void opened(const std::string& name, const std::string& which);
  void closed(const std::string& name, const std::string& which);
  // So many of a subscription's deliveries went on the wire; the rest is given back when it ends.
  void sent(const std::string& name, const std::string& which, uint64_t hand, const std::vector<delivered>& these);
  void give_back(const std::string& name, const std::string& which, uint64_t hand, const std::vector<delivered>& these);
  std::optional<errc> ack(const std::string& name, const std::string& which, uint64_t seq);
  result<uint64_t> ack_many(const std::string& name, const std::string& which, const std::vector<uint64_t>& seqs,
                            uint64_t up_to);
  std::optional<errc> nak(const std::string& name, const std::string& which, uint64_t seq, uint64_t delay_ms);
  std::optional<errc> term(const std::string& name, const std::string& which, uint64_t seq);
  std::optional<errc> in_progress(const std::string& name, const std::string& which, uint64_t seq);

  // Parked messages: sequences in order.
  result<std::vector<parked_message>> list_parked(const std::string& name, const std::string& which, uint64_t from,
                                                  uint32_t limit, uint64_t& total) const;
  result<uint64_t> requeue(const std::string& name, const std::string& which, const std::vector<uint64_t>& seqs);
  result<uint64_t> purge_parked(const std::string& name, const std::string& which, const std::vector<uint64_t>& seqs);

  // Time: what must happen now happens (deadlines).
  void expire();
  // The earliest time after now something must happen by itself, mono; nullopt: nothing is scheduled.
  std::optional<int64_t> next_event() const;
  bool inactive(const consumer& at, int64_t late) const;  // for so much longer than it may be
  // One retention sweep.
  void sweep();
  uint64_t sweep_ages(stream& in);
  // Of an interest stream.
  void prune_interest(stream& in);
  // The same, if those who wait looked before and passed what does not match, up to the first block that is kept.
  void prune_interest_up_to(stream& in, uint64_t first_block);
  // A clean stop and start: what lives in memory only is gone, waits begin anew.
  void restart();

  // What is open. A message appended by itself: a scheduled one whose time has come or a dead letter. `real` is what
  // was found there, nullptr if it is gone already. False: nothing explains it.
  // `after`: what was found behind it, which explains itself.
  bool explain(stream& in, const message* real, const std::vector<message>& after);
  // Which scheduled messages whose time has come do not fit yet: others may pass them in this instant.
  void look_for_room();
  void instant_is_over();
  // Those that cannot have a dead letter, since they are one or since an update.
  void park_the_rest(stream& in);
  // A sentence about what should have happened by itself long ago; empty: nothing.
  std::string overdue(stream& in);
  bool anything_open(const stream& in) const;
  // Live messages whose time-to-live has ended.
  std::vector<uint64_t> outlived(const stream& in) const;
  // They go: what delivers removes them first.
  void drop_outlived(const std::string& name);
  void remove(stream& in, uint64_t seq);

  stream* find(const std::string& name);
  consumer* find(const std::string& name, const std::string& which);
  bool deliverable(const stream& in, const consumer& at) const;
  bool paused(const consumer& at) const;
  // The cursor moves to `next` if nothing on the way matches.
  static void look_up_to(const stream& in, consumer& at, uint64_t next);
  // The same for what its subject's cap holds back: until so many are held, or something could be delivered.
  void hold_ahead(const stream& in, consumer& at, uint64_t held) const;
  // A message that matches lies ahead.
  bool anything_ahead(const stream& in, const consumer& at) const;
  // Why nothing can be delivered; the caller knows that nothing can. Any of them is a right answer.
  std::set<blocked_by> reasons(const stream& in, const consumer& at) const;
  static uint64_t held(const consumer& at) { return count_of(at, state::held); }
  static bool wants(const consumer_config& config, const std::string& subject);

  std::map<std::string, stream> streams;

 private:
  using errors = std::set<errc>;
  std::optional<errc> admit(const stream& in, const publishing& what) const;
  bool full(const stream& in, const std::vector<message>& more, bool run = false) const;
  message record(const stream& in, const publishing& what, uint64_t seq, int64_t time) const;
  uint64_t append(stream& in, message what);
  uint64_t append_unpruned(stream& in, message what);  // but down to the cap of its subject
  const remembered_id* known(const stream& in, const std::string& id) const;
  static bool expired(const stream& in, const remembered_id& one, int64_t now);
  uint64_t remember(stream& in, const std::string& id, remembered_id what);

  uint64_t prune(stream& in, bool ages);
  uint64_t prune_strictly(stream& in, bool ages);
  uint64_t prune_blocks(stream& in, bool ages);
  bool old(const stream& in, int64_t time) const;
  static uint64_t last_at(const stream& in, const std::string& subject);
  static uint64_t first_live(const stream& in, uint64_t from);

  std::optional<errc> check_overlap(const stream& in, const consumer_config& config) const;
  consumer_info info_of(const stream& in, const consumer& at) const;
  static uint64_t highest_floor(const stream& in, const consumer& at);
  static uint64_t floor_of(const stream& in, const consumer& at);
  static uint64_t outstanding(const consumer& at);
  static bool room_for(const stream& in, const consumer& at, const std::string& subject);
  static uint64_t count_of(const consumer& at, state which);
  uint64_t most_pending(const consumer& at) const;
  int64_t wait_of(const consumer& at, uint32_t deliveries) const;
  bool spent(const consumer& at, const entry& one) const;
  void exhaust(const stream& in, consumer& at, uint64_t seq, park_reason reason);
  void park_rest(stream& in, consumer& at, uint64_t end);
  void park(const stream& in, consumer& at, uint64_t seq, park_reason reason);
  void finish(stream& in, consumer& at, uint64_t seq);
  message dead_letter(const stream& in, const consumer& at, uint64_t seq, const std::string& subject) const;
  static bool can_have_dead_letter(const stream& in, uint64_t seq, const std::string& subject);
  // Index of the scheduled message whose turn it is; nullopt: none is due. Or of those that fitted when this instant
  // began.
  std::optional<size_t> first_scheduled(const stream& in, bool that_fitted = false) const;
  void deliver_scheduled(stream& in, size_t which);
  bool explain_scheduled(stream& in, const message* real);
  bool explain_by_another(stream& in, const message& real, size_t first);
  bool explain_by_mistake(stream& in, const message& real, size_t first);
  void look_for_room(stream& in, int64_t up_to) const;
  bool scheduled_would_stay(stream in);
  bool explain_dead_letter(stream& in, const message* real, const std::vector<message>& after);
  void touch(consumer& at) const;

  const broker_limits limits_;
  uint64_t instances_ = 0;
  uint64_t order_ = 0;
};

}  // namespace weir::naive
