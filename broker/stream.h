// One stream: its config, its log, its consumers, its retention.
//
// Owned by the shard, shared with the requests that are looking at it (local_ref); lives on the shard's thread. Borrows
// its log from the store, which keeps it until drop_log(). Decides what a publish means beside the append: the cap of
// its subject and the limits, in the same journal batch. Waiting and journaling of state are the shard's.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/consumer.h"
#include "broker/dedup_table.h"
#include "broker/due_index.h"
#include "broker/local_ref.h"
#include "broker/retention.h"
#include "broker/schedule.h"
#include "broker/types.h"
#include "storage/stream_log.h"

namespace weir {

struct message_extras;

class stream final : public local_counted {
 public:
  stream(stream_id id, stream_config config, wall_ms created_at, stream_log& log);

  stream_id id() const { return id_; }
  const stream_config& config() const { return config_; }
  void set_config(stream_config config) { config_ = std::move(config); }
  const subject_filter& accepted() const { return accepted_; }
  wall_ms created_at() const { return created_at_; }
  durability level() const { return *config_.level; }
  bool ephemeral() const { return config_.ephemeral; }
  stream_log& log() { return log_; }
  const stream_log& log() const { return log_; }

  // Sequence of the last live message at the subject, durable or not; 0 if there is none.
  seq_no last_at(std::string_view subject) const;

  // True if the log must become exact() before the next publish may decide: by a subject or by bytes.
  bool needs_exact(bool looks_at_subject) const;
  // Journal payload a publish of these fields may take, the removals it causes included.
  size_t publish_bytes(const record_fields& fields) const;

  struct appended {
    stream_log::appended at;
    uint64_t removed = 0;     // by the subject's cap and the limits
    bool needs_load = false;  // limits could not be decided: prune
  };
  // Has journal room for publish_bytes(). What is appended by whom ever (a dead letter, a scheduled message) comes
  // through here; on a stream with discard_new after fits() said yes.
  appended append(const record_fields& fields, uint64_t epoch);

  // What append() does after the append itself, for those who put it into a journal group. Has journal room for
  // publish_bytes() of the message, or run_bytes() of the run. What a run replaces at its subjects is gone already.
  appended after_append(const stream_log::appended& at, std::string_view subject);
  appended after_run(const stream_log::appended& at, const std::vector<record_fields>& run);
  size_t run_bytes(const std::vector<record_fields>& run) const;

  // What is known of messages beside their records: ids, expiries. Before or after they are in the log.
  void note(const message_extras& extras, size_t ids_max);

  // End of the journal entry of the last change to its schedule.
  lsn scheduled_change() const { return later ? later->log.last_change() : lsn(); }

  // The same of the last removal of messages, but for those scheduled that were delivered.
  lsn removal_end() const { return later ? std::max(log_.last_removal(), later->purged) : log_.last_removal(); }

  // Interest retention: the first message that is still of interest to somebody, at a block's beginning.
  seq_no unwanted_before() const;

  // With discard_new: may a message be appended? `unknown`: the size of the message it would replace at its subject
  // must be read first, and given as `replaced`. Other streams: yes. The log is exact() where needs_exact() says so.
  enum class fit : uint8_t { yes, no, unknown };
  struct sized {
    seq_no seq;
    uint64_t bytes = 0;
  };
  fit fits(const record_fields& fields, const sized& replaced) const;
  fit fits(const record_fields& fields) const { return fits(fields, sized{}); }
  // The same for a run. Drawback: counts the bytes of what it would replace at its subjects as if they stayed.
  bool run_fits(const std::vector<record_fields>& run) const;
  // What to tell the publisher when it does not fit.
  error full(const record_fields& fields) const;

  // Removal by another rule than the limits; the messages leave every consumer's pending set. Journal room:
  // stream_log::remove_bytes(). Resolve at once with how many went.
  uint64_t remove(const std::vector<seq_no>& seqs);
  uint64_t remove_before(seq_no first_kept);

  // retention::enforce(), and what it removed leaves every consumer's pending set.
  retention::outcome enforce(std::optional<wall_ms> now);
  retention& limits() { return retention_; }

  // Consumers by name.
  std::map<std::string, local_ref<consumer>, std::less<>> consumers;
  uint32_t next_consumer = 1;

  stream_info info() const;
  consumer_info info_of(consumer& one) const;

  // Those for whose messages somebody waits, and whom an append tells of itself.
  std::vector<consumer*> awaiting;
  delivery_board* board = nullptr;

  std::unique_ptr<dedup_table> ids;  // made at the first message id
  due_index expiring;
  std::unique_ptr<schedule> later;  // made at the first scheduled message
  std::optional<wall_ms> wake_at;   // shard_due.cc: when it is looked at next for what expires or comes due
  bool looked_at = false;           // shard_due.cc: just now

  turn pruning;        // one at a time: retention::load()
  bool aging = false;  // a sweep's is under way or waits for its turn
  lsn created_end;     // end of the journal entry that created it
  lsn control_end;     // of the last one about its config or the existence of a consumer
  lsn progress_end;    // of the last one about what a consumer did
  bool deleted = false;
  // The disk failed before the last removals were durable: memory has forgotten messages that a restart may bring back,
  // so nothing is said about them.
  bool in_doubt = false;

 private:
  uint64_t enforce_subject_cap(std::string_view subject);
  void enforce_limits(appended& done);
  void finish_append(appended& done, std::string_view subject);

  const stream_id id_;
  stream_config config_;
  const subject_filter accepted_;
  const wall_ms created_at_;
  stream_log& log_;
  retention retention_;
  std::vector<seq_no> one_seq_;  // kept for its memory
};

}  // namespace weir
