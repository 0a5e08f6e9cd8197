// The one implementation of shard (broker/shard.h): which streams there are, and the order of look, append, wait,
// answer.
//
// Every request follows one pattern: look at state; if journal room or a read must be waited for, wait and look again;
// apply the change in memory together with its journal entry; wait until the entry is as safe as promised; answer.
// After a wait no pointer into a container is used again: requests hold streams and consumers by local_ref.
#pragma once

#include <functional>
#include <set>
#include <unordered_map>

#include "broker/clock_guard.h"
#include "broker/delivery_board.h"
#include "broker/shard.h"
#include "broker/state_codec.h"
#include "broker/stream.h"
#include "broker/undo.h"
#include "broker/validation.h"
#include "broker/waiting.h"

namespace weir {

inline constexpr uint64_t single_node_epoch = 0;  // clusters count from 1

class shard_impl final : public shard, private store_client {
 public:
  shard_impl(const shard_ports& ports, const broker_limits& limits) : ports_(ports), limits_(limits) {}
  ~shard_impl() override;
  // Blocking recovery; the first call.
  result<void> recover(const std::string& dir, const store_config& storage);

  task<result<stream_info>> create_stream(stream_config config) override;
  task<result<void>> delete_stream(std::string name) override;
  task<result<stream_info>> get_stream(std::string name) override;
  task<result<std::vector<std::string>>> list_streams() override;
  task<result<update_outcome>> update_stream(stream_update update) override;

  task<result<published>> publish(publish_request request) override;
  task<result<std::optional<found_record>>> read_latest(std::string stream, std::string subject) override;
  task<result<std::vector<std::string>>> list_subjects(std::string stream, std::string prefix) override;
  task<result<scan_result>> scan_subject(scan_query query) override;

  task<result<consumer_info>> create_consumer(std::string stream, consumer_config config) override;
  task<result<void>> delete_consumer(std::string stream, std::string consumer) override;
  task<result<std::vector<consumer_info>>> list_consumers(std::string stream) override;
  task<result<consumer_info>> get_consumer(std::string stream, std::string consumer) override;
  task<result<fetch_outcome>> fetch(std::string stream, std::string consumer, uint32_t batch_size) override;
  task<result<void>> ack(std::string stream, std::string consumer, seq_no seq) override;

  task<result<seq_no>> publish_all(std::vector<publish_request> run) override;
  task<result<batch_outcome>> place_batch(const std::vector<publish_request>& records, bool atomic) override;
  task<result<lsn>> batch_safe(durability level, lsn end) override;
  task<result<std::optional<found_record>>> get_message(std::string stream, seq_no seq) override;
  task<result<bool>> delete_message(std::string stream, seq_no seq) override;
  task<result<uint64_t>> purge(purge_request request) override;

  task<result<uint64_t>> ack_many(std::string stream, std::string consumer, std::vector<seq_no> seqs,
                                  seq_no up_to) override;
  task<result<void>> nak(std::string stream, std::string consumer, seq_no seq, uint64_t delay_ms) override;
  task<result<void>> term(std::string stream, std::string consumer, seq_no seq) override;
  task<result<void>> in_progress(std::string stream, std::string consumer, seq_no seq) override;
  task<result<std::shared_ptr<subscription>>> subscribe(std::string stream, std::string consumer) override;

  task<result<consumer_info>> update_consumer(consumer_update update) override;
  task<result<void>> pause_consumer(std::string stream, std::string consumer, wall_ms until) override;
  task<result<void>> reset_consumer(std::string stream, std::string consumer, reset_target to) override;
  task<result<parked_page>> list_parked(std::string stream, std::string consumer, seq_no from, uint32_t limit) override;
  task<result<uint64_t>> requeue_parked(std::string stream, std::string consumer, std::vector<seq_no> seqs) override;
  task<result<uint64_t>> purge_parked(std::string stream, std::string consumer, std::vector<seq_no> seqs) override;

  void end_of_turn() override;
  size_t gathered_bytes() const override { return store_->gathered_bytes(); }
  shard_metrics metrics() const override;
  std::vector<consumer_metrics> metrics_of_consumers(size_t consumers_max) const override;
  const recovery_report& recovery() const override { return store_->report(); }
  task<result<void>> stop() override;

 private:
  using stream_ref = local_ref<stream>;
  using consumer_ref = local_ref<consumer>;

  struct name_hash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>()(name); }
  };

  // A deadline of the shard's own that comes back until the shard stops.
  class repeating final : public timers::timer {
   public:
    repeating(shard_impl& owner, void (shard_impl::*action)()) : owner_(owner), action_(action) {}
    void start(uint64_t period_ms);
    void stop() { owner_.ports_.deadlines.disarm(*this); }
    void expired() override;

   private:
    shard_impl& owner_;
    void (shard_impl::*action_)();
    uint64_t period_ms_ = 0;
  };

  // The next moment at which something of some stream expires or comes due.
  class alarm final : public timers::timer {
   public:
    explicit alarm(shard_impl& owner) : owner_(owner) {}
    void set(mono_ns at);
    void stop() { owner_.ports_.deadlines.disarm(*this); }
    void expired() override { owner_.on_due(); }

   private:
    shard_impl& owner_;
  };

  // A stream and one of its consumers, held.
  struct place {
    stream_ref in;
    consumer_ref at;
    bool gone() const { return in->deleted || at->deleted; }
  };

  // --- shard.cc: looking things up, waiting, background work ---
  journal& journal_of() { return store_->log_journal(); }
  error unavailable() const;
  error read_only() const;
  error no_longer_there(const stream& in) const;
  error in_doubt(const stream& in) const;
  stream* find(std::string_view name);
  // The stream, or no_such_stream once its absence is durable. storage_failed: it is in doubt.
  task<result<stream_ref>> existing(std::string name);
  task<result<place>> existing(std::string name, std::string consumer_name);
  // Waits until `end`, which the caller appended, is as safe as the level says.
  task<result<void>> stored(durability level, lsn end);
  // The same for what a read saw. After a failed disk: at once, because state was taken back.
  task<result<void>> reached(durability level, lsn end);
  // True when everything a read of this stream shows is safe; false: the disk failed meanwhile, look again.
  task<bool> settled(stream_ref in);
  // Journal room for an entry about a stream of this config; the right to it holds until the next suspension.
  task<result<void>> room_for(const stream_config& config, size_t bytes, bool use_reserve);
  // Journals an encoded entry for which there is room; `revert` takes the change back should it never become durable.
  lsn append_control(stream& in, const std::string& entry, std::function<void()> revert);
  void announce(watch_kind kind, const std::string& stream_name, const std::string& consumer_name);
  void on_progress();
  // The journal failed: what never became durable is taken back, or in doubt.
  void take_back();
  void on_tick();
  void on_sweep();
  void look_after_all(const stream_ref& in);
  // Applies the limits, ages included if asked; resolves with how many messages went.
  task<uint64_t> prune(stream_ref in, bool ages);
  task<void> prune_in_background(stream_ref in, bool ages);
  // Messages that nobody is interested in any more go (interest retention).
  task<void> drop_unwanted(stream_ref in);
  // Once the shard waits for the last of them, nothing new begins.
  void in_background(task<void> work) {
    if (!background_.closed()) background_.spawn(std::move(work));
  }
  std::optional<wall_ms> trusted_wall() { return guard_.trusted(ports_.clock.mono(), ports_.clock.wall()); }
  wall_ms believed_wall() { return guard_.believed(ports_.clock.mono(), ports_.clock.wall()); }

  // --- shard_streams.cc ---
  result<void> can_create(const stream_config& config) const;
  stream_ref add_stream(stream_id id, const stream_record& record);
  void remove_stream(const stream_ref& gone);
  void bring_back(const stream_ref& back);
  void sweep_leaving();

  // --- shard_messages.cc ---
  result<void> admit(const stream& in, const publish_request& request) const;
  // The part that looks at nothing but the message, and the part that does not.
  result<void> admit_message(const stream& in, const publish_request& request) const;
  result<void> admit_any(const stream& in) const;
  enum class publish_needs : uint8_t {
    nothing,
    durable_original,  // to answer a repetition
    existing_stream,
    exact_index,
    replaced_size,     // of the oldest message at the subject
    oldest_listed,     // of a subject, for a run
    durable_conflict,  // to answer wrong_revision
    durable_bounds,    // to answer stream_full
    room,
    one_by_one  // a frame's records cannot go together
  };
  // What any publish waits for.
  struct place_wanted {
    stream* in = nullptr;
    size_t bytes = 0;    // of journal room
    size_t granted = 0;  // so much was waited for
  };
  // False: something else is needed than a stream that exists, its exact index, or journal room.
  task<result<bool>> wait_for_place(publish_needs needed, std::string_view stream_name, place_wanted& to);
  struct admission : place_wanted {
    record_fields fields;
    stream::sized replaced;
    bool special = false;   // has a message id, a ttl or a time of delivery
    bool later = false;     // goes to the schedule
    size_t more_bytes = 0;  // of journal room, for what is special
    std::optional<published> original;
    bool told_later = false;  // a refusal or repetition need not wait for what it saw: that is put into `seen`
    lsn seen;
  };
  result<publish_needs> look(const publish_request& request, admission& to);
  task<result<void>> admit_later(const publish_request& request, admission& to);
  // For an append that is no publish (a dead letter, a scheduled message that came due): resolves when stream::append()
  // and journal entries of `more_bytes` beside it may follow, nothing awaited since. stream_full: discard_new;
  // no_such_stream: deleted meanwhile.
  task<result<void>> admit_append(stream_ref in, const record_fields& fields, size_t more_bytes);
  // What a refusal saw is safe; or it is noted, if that is told later.
  task<result<void>> know(admission& to, lsn seen);
  task<result<void>> read_replaced(stream_ref in, std::string_view subject, stream::sized& replaced);
  result<void> fits_limits(const stream& in, const record_fields& fields) const;
  error wrong_revision(std::string_view subject, uint64_t expected, seq_no current) const;

  // --- shard_extras.cc: a publish with more to it than a record ---
  task<result<published>> publish_special(const publish_request& request);
  // Everything of a publish but the wait for its safety.
  struct placed_publish {
    published what;
    durability level = durability::memory;
    lsn end;
  };
  task<result<placed_publish>> place_special(const publish_request& request, admission& to);
  result<std::optional<publish_needs>> look_special(const publish_request& request, admission& to);
  message_extras::item item_of(const publish_request& request, wall_ms now) const;
  // What goes with a run: messages of the stream that it replaces, and those of the schedule that it delivers. All
  // live.
  struct departing {
    std::vector<seq_no> replaced;
    std::vector<seq_no> released;
  };
  // One journal entry: the run, what is known of it beside its records, and the removal of what goes. Has room for
  // together_bytes() beside the run.
  stream_log::appended append_together(stream& in, const message_extras& extras, const std::vector<record_fields>& run,
                                       const departing& going);
  static size_t together_bytes(size_t messages, size_t id_bytes);
  lsn put_off(stream& in, const publish_request& request, const record_fields& fields);
  schedule& open_schedule(stream& in, stream_id log);
  // What an append left to do: limits that must read first.
  task<void> settle_append(stream_ref in, stream::appended done);

  // --- shard_atomic.cc ---
  struct run_admission : place_wanted {
    std::vector<record_fields> fields;
    std::optional<error> refused;  // to be told once what it saw is durable
    std::vector<seq_no> replaced;  // at its subjects, by their cap; some may be of the run itself
    // The oldest messages of subjects of which the run replaces more than the first.
    struct oldest {
      uint64_t count = 0;  // the subject's line when they were listed
      seq_no last;
      std::vector<seq_no> seqs;
    };
    std::map<std::string, oldest, std::less<>> listed;
    std::string_view unlisted;  // subject whose oldest must be listed first, and how many of them
    size_t wanted = 0;
  };
  result<publish_needs> look_run(const std::vector<publish_request>& run, run_admission& to);
  result<publish_needs> look_at_each(const std::vector<publish_request>& run, run_admission& to);
  task<result<void>> admit_run(const std::vector<publish_request>& run, run_admission& to);
  // Everything of publish_all() but the wait for its safety.
  task<result<batch_outcome>> place_run(const std::vector<publish_request>& run);
  // False: `unlisted` must be listed first.
  static bool find_replaced(const stream& in, run_admission& to);
  task<result<void>> list_oldest(stream_ref in, run_admission& to);

  // --- shard_batch.cc: frames of the fast lane ---
  struct batch_admission : place_wanted {
    std::vector<record_fields> fields;  // of the records that are fine
    std::vector<batch_outcome::failure> failed;
  };
  result<publish_needs> look_batch(const std::vector<publish_request>& records, batch_admission& to);
  // Nothing: the records need the general way.
  task<result<std::optional<batch_outcome>>> place_together(const std::vector<publish_request>& records);
  task<result<batch_outcome>> place_one_by_one(const std::vector<publish_request>& records);
  task<result<placed_publish>> place_plain(const publish_request& request, admission& to);

  // --- shard_due.cc: what expires, what comes due ---
  void on_due();
  // Something of the stream may be the next now.
  void wake(stream& in);
  void forget_wake(stream& in);
  void set_alarm();
  task<void> run_due(stream_ref in);
  // A message is there whose time is over.
  bool outlived(stream& in);
  task<void> expire(stream_ref in);
  task<void> release(stream_ref in);
  task<bool> load_schedule(stream_ref in);
  // False: no more of them now.
  task<bool> release_next(stream_ref in, std::vector<due_index::item>& set_aside);
  void release_one(stream& in, const record_fields& fields, const scheduled_parts& parts, seq_no from);

  // --- shard_purge.cc ---
  static seq_no first_kept(const stream_log& log, const purge_request& request);
  task<result<uint64_t>> purge_front(stream_ref in, const purge_request& request);
  task<result<uint64_t>> purge_subjects(stream_ref in, const purge_request& request, bool scheduled);
  task<result<std::vector<seq_no>>> matching(stream_ref in, const std::string& pattern, bool scheduled);
  uint64_t purge_before(stream& in, seq_no first_kept, bool scheduled);
  uint64_t purge_these(stream& in, const std::vector<seq_no>& seqs, bool scheduled);

  // --- shard_consumers.cc: their life ---
  task<result<seq_no>> start_of(stream_ref in, consumer_config config);
  seq_no last_matching(const stream& in, const subject_filter& filter) const;
  // What a read shows of the consumer: of a shard whose disk failed, a floor that is on disk.
  consumer_info shown(stream& in, consumer& at);
  // The consumer is one of the stream's from now on: it may wake those who wait, and its alarm may ring.
  void adopt(stream& in, consumer& at);
  size_t parked_max_of(const stream& in) const;  // 0: no bound
  // The deletion is durable: whoever waits for its messages learns of it.
  void dismiss(const stream& in);
  void dismiss(const consumer& at);

  // --- shard_progress.cc: what a consumer did, journaled; what it does unasked ---
  // What is unjournaled about the consumer goes into the journal if there is room; nobody waits for it.
  void journal_progress_lazily(stream& in, consumer& at);
  // The same when there is room for progress_bytes().
  lsn journal_progress(stream& in, consumer& at);
  // The same, encoded into scratch_ already.
  lsn journal_encoded(stream& in, consumer& at);
  // Of what is unjournaled and so many acknowledgements more.
  size_t progress_bytes(const consumer& at, size_t more = 1);
  // The same, waiting for room: before an answer shows a floor that must not go back. Gives up when there is no room to
  // be had.
  task<void> journal_progress_patiently(place held);
  // What has come about by itself: redelivery, giving up, the end of a pause. A million deadlines that pass at once
  // must not hold the shard up: no more than some of them.
  void look_after(const place& held);
  // All of them, others get their turn in between. The consumer may be gone after it.
  task<void> catch_up(place held);
  void end_pause(const place& held);
  // The wall clock may have been set, or adjusted bit by bit.
  void follow_wall();
  void set_alarm(consumer& at);
  void on_alarm(consumer& at);
  void used(consumer& at) { at.last_used = ports_.clock.mono(); }

  // --- shard_fetch.cc ---
  struct budget {
    size_t messages = 0;
    size_t bytes = 0;
    bool in_hand = false;  // their wait begins later
    mono_ns now;           // of what is handed out
  };
  void begin_handing_out(const scan_result& found, budget& left, fetch_outcome& out);
  // What can be delivered now, within the budget. The caller has the turn `fetching`. Nothing if the consumer is gone.
  task<result<void>> gather(place held, budget& left, fetch_outcome& out);
  task<result<void>> learn_subjects(place held);
  task<result<void>> redeliver(place held, budget& left, fetch_outcome& out);
  task<result<void>> deliver_new(place held, budget& left, fetch_outcome& out);
  // False: what came by is not delivered now, and nothing after it.
  bool deliver(const place& held, found_record& record, budget& left, fetch_outcome& out);
  bool hand_out(const place& held, found_record& record, std::string_view subject, budget& left, fetch_outcome& out);

  // --- shard_acks.cc ---
  static constexpr size_t entry_overhead = 64;  // of journal room: a further entry in a batch, or a part of one
  // Done with these, which are delivered; there is journal room for it. Returns the end to wait for.
  lsn finish(const place& held, const std::vector<seq_no>& seqs);
  size_t finish_bytes(const place& held, size_t count);
  // Nothing at once if it is not delivered any more.
  task<result<void>> give_up(place held, seq_no seq, park_reason reason);

  // --- shard_parked.cc ---
  task<result<void>> read_parked(place held, parked_page& page);
  void forget_parked(const place& held, const std::vector<seq_no>& seqs);
  // Of the whole state, so many messages more or less pending.
  size_t whole_bytes(const consumer& at, size_t more) const;
  // Journals the whole state after a change of much of it; `before` is what it was.
  lsn journal_whole(const place& held, const consumer_record& before);
  void reload(stream& in, consumer& at, const consumer_record& record);

  // --- shard_consumer_changes.cc ---
  result<void> check_overlap(const stream& in, const consumer_config& config) const;
  lsn change_settings(const place& held, const consumer_config& config, wall_ms paused_until);
  size_t settings_bytes(const consumer_config& config) const;
  task<result<seq_no>> reset_to(stream_ref in, reset_target to);
  bool is_unused(consumer& at);
  task<void> expire_consumer(place held);
  // False: it was deleted by another, or used meanwhile.
  task<result<bool>> remove_consumer(place held, bool only_if_unused);

  // --- dead_letters.cc ---
  void start_burying(const place& held);
  task<void> bury(place held);
  task<bool> bury_some(place held);
  enum class burial : uint8_t { done, no_room, not_now };
  task<burial> bury_one(place held, dying_message one);
  // Has journal room for both the append and finish().
  stream::appended append_letter(const place& held, const record_fields& letter, seq_no dead);
  void retry_burying();

  // --- shard_subscriptions.cc ---
  class open_subscription;

  // --- shard_recovery.cc: store_client ---
  void attach(store& opening) override { opening_ = &opening; }
  std::string encode_state() override;
  result<void> load_state(byte_span state) override;
  result<void> apply(stream_id id, byte_span entry) override;
  result<void> adopt(stream_id id, byte_span label) override;
  stream* find(stream_id id);
  void restore_stream(stream_id id, const stream_record& record);
  void restore_consumer(stream& in, const consumer_record& record);
  void restore_runs(stream& in, consumer& at, const std::vector<consumer_delta::run>& runs);
  void apply_to(stream_id id, const stream_created& entry);
  void apply_to(stream_id id, const stream_deleted& entry);
  void apply_to(stream_id id, const stream_updated& entry);
  void apply_to(stream_id id, const consumer_state& entry);
  void apply_to(stream_id id, const consumer_deleted& entry);
  void apply_to(stream_id id, const consumer_progress& entry);
  void apply_to(stream_id id, const consumer_settings& entry);
  void apply_to(stream_id id, const message_extras& entry);
  void apply_to(stream_id id, const ids_forgotten& entry);
  void apply_to(stream_id id, const schedule_created& entry);
  result<void> restore_extras(stream& in, const std::string& bytes);
  void attach_schedules();
  static void forget_removed(const stream_log& log, consumer& at);
  void finish_recovery();

  const shard_ports ports_;
  const broker_limits limits_;
  std::unique_ptr<store> store_;
  store* opening_ = nullptr;  // only while recover() runs

  std::unordered_map<std::string, stream_ref, name_hash, std::equal_to<>> streams_;
  std::map<stream_id, stream_ref> by_id_;  // the same streams
  std::vector<stream_ref> leaving_;        // deleted, their logs not dropped yet
  uint64_t next_stream_ = 1;
  lsn control_end_;  // end of the last entry that changed which streams there are
  undo_list undo_;
  bool taken_back_ = false;  // the disk failed and undo_ ran

  std::set<std::pair<wall_ms, stream_id>> wakes_;        // streams by wake_at
  std::map<stream_id, schedule_owner> schedules_found_;  // only while recover() runs: by their logs
  clock_guard guard_;
  int64_t wall_offset_ms_ = 0;  // believed wall time - monotonic time, when the alarms of pauses were set by it
  alarm alarm_{*this};
  repeating tick_{*this, &shard_impl::on_tick};
  repeating sweep_{*this, &shard_impl::on_sweep};
  delivery_board board_;
  std::set<open_subscription*> subscriptions_;
  std::vector<place> unburied_;  // their dead letters found no room
  gate background_;
  request_count requests_;
  bool stopping_ = false;
  shard_metrics counters_;
  std::string scratch_;          // encoded progress, kept for its memory
  std::vector<seq_no> one_seq_;  // the same
};

}  // namespace weir
