// A store over the simulated disk with its client, and a naive model beside it: maps of what every log must hold.
//
// Lanes do nothing until they are stepped; run() steps them (at the seed's choice) until a task has ended. The model
// changes with every operation; after a crash the store must show what some prefix of the operations gives, and nothing
// acknowledged may be missing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/store.h"
#include "tests/sim/manual_clock.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/stepped_lane.h"
#include "tests/sim/taken_blocks.h"

namespace weir {

// Keeps the logs' options and a list of notes as its state.
class test_client final : public store_client {
 public:
  void attach(store& opening) override { store_ = &opening; }
  std::string encode_state() override;
  result<void> load_state(byte_span state) override;
  result<void> apply(stream_id stream, byte_span entry) override;
  result<void> adopt(stream_id stream, byte_span label) override;

  static std::string created(const log_options& options);
  static std::string dropped() { return "drop"; }
  static std::string noted(uint64_t number) { return "note " + std::to_string(number); }
  // What apply() does, while the store runs.
  void know(stream_id stream, const log_options& options) { logs[stream] = options; }
  void forget(stream_id stream) { logs.erase(stream); }

  std::map<stream_id, log_options> logs;
  std::vector<uint64_t> notes;
  std::set<stream_id> adopted;

 private:
  store* store_ = nullptr;
};

struct model_message {
  std::string subject;
  wall_ms time;
  std::string payload;
  uint64_t bytes;
  bool operator==(const model_message&) const = default;
};
struct model_log {
  std::map<seq_no, model_message> live;
  seq_no last;
  bool operator==(const model_log&) const = default;
};
struct model_store {
  std::map<stream_id, model_log> logs;
  std::vector<uint64_t> notes;
  bool operator==(const model_store&) const = default;
};

class store_world {
 public:
  explicit store_world(uint64_t seed);
  ~store_world();

  result<void> open();
  // Everything in flight ends (or fails) and the store is gone, without close().
  void abandon();
  result<void> close();

  // Steps the lanes until the task has ended.
  template <class T>
  T run(task<T> work) {
    std::optional<T> outcome;
    gate running;
    running.spawn(collect(std::move(work), outcome));
    while (running.running() != 0) turn();
    return std::move(*outcome);
  }
  // One step of one lane. / The end of a turn of the shard, then a step.
  void step();
  void turn();

  // Operations, on store and model. False if the journal has no room (nothing happened).
  bool create(stream_id stream, const log_options& options);
  bool drop(stream_id stream);
  bool note(uint64_t number);
  bool append(stream_id stream, const std::string& subject, const std::string& payload, wall_ms time);
  bool remove(stream_id stream, const std::vector<seq_no>& seqs);
  bool remove_before(stream_id stream, seq_no first_kept);
  // A note, records appended to one log as a run and removals from another, as one entry of the journal. Nothing
  // happens to ephemeral logs.
  bool move(stream_id from, const std::vector<seq_no>& gone, stream_id to, const std::vector<std::string>& payloads,
            uint64_t number);
  // Everything up to now is durable; false if it failed.
  bool sync();

  // What the store shows. Checks on the way that all its answers agree with each other.
  model_store observed();
  model_log observed(stream_log& log);
  // Asks the log everything and compares.
  void compare(stream_log& log, const model_log& expected);
  void compare_all();
  // After a reopen: what the store shows is the model after some operations, at least the acknowledged ones; the model
  // is that from now on.
  void settle_on_observed();

  // Blocks that were segments of the journal.
  uint64_t taken_blocks() { return weir::taken_blocks(where, "s0"); }

  stream_log& log(stream_id stream) { return *it->log(stream); }
  bool has_room(size_t bytes, bool reserve);

  sim_disk where;
  stepped_lane commits;
  stepped_lane pool;
  manual_clock clock;
  store_config config;
  test_client client;
  std::unique_ptr<store> it;
  std::mt19937_64 random;
  model_store model;
  std::vector<model_store> candidates{{}};  // the model at the last sync and after each operation since
  bool tracks = true;                       // off for tests without crashes: candidates are not collected
  lsn last_end;

 private:
  template <class T>
  static task<void> collect(task<T> work, std::optional<T>& outcome) {
    outcome.emplace(co_await std::move(work));
  }
  task<result<void>> wait_durable(lsn end);
  void changed(lsn end);
};

}  // namespace weir
