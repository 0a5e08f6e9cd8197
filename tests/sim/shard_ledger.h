// What clients of a simulated shard were told, to be held against what the shard shows after a fault.
//
// Every message carries a text of its own ("<publisher>/<number>/..."), one subject a stream. Rules checked: an
// acknowledged message is there once, at its sequence, with its payload; sequences have no gaps; nothing is there that
// was not sent; of one publisher the messages of a stream keep their order; an acknowledged delivery never comes again;
// an ack floor that was shown never goes back.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/sim_shard.h"

namespace weir {

class shard_ledger {
 public:
  static constexpr const char* subject = "data";

  // Numbers a message: a text is never used twice.
  uint64_t next_number() { return ++numbered_; }
  void sent(const std::string& stream, const std::string& payload) { sent_[stream].insert(payload); }
  void stored(const std::string& stream, uint64_t seq, const std::string& payload);
  void acked(const std::string& stream, const std::string& consumer, uint64_t seq) {
    acked_[{stream, consumer}].insert(seq);
  }
  void floor_shown(const std::string& stream, const std::string& consumer, uint64_t floor) {
    uint64_t& highest = floors_[{stream, consumer}];
    CHECK_MESSAGE(floor >= highest, "the floor went back");
    highest = floor;
  }
  bool was_acked(const std::string& stream, const std::string& consumer, uint64_t seq) const;
  uint64_t stored_count() const { return stored_count_; }
  uint64_t acked_count() const;

  // Reads every stream back through the shard and checks the rules.
  void check_streams(sim_shard& world) const;
  // Fetches all there is for every consumer, also what is redelivered, and checks that nothing acknowledged comes.
  void check_consumers(sim_shard& world) const;

 private:
  void check_stream(sim_shard& world, const std::string& stream) const;

  std::map<std::string, std::set<std::string>> sent_;
  std::map<std::string, std::map<uint64_t, std::string>> stored_;  // acknowledged, by sequence
  std::map<std::pair<std::string, std::string>, std::set<uint64_t>> acked_;
  std::map<std::pair<std::string, std::string>, uint64_t> floors_;
  uint64_t stored_count_ = 0;
  uint64_t numbered_ = 0;
};

// To publish to: nearly always the first, so that it has most of every journal segment and takes it over.
std::vector<std::string> mostly_first(const std::vector<std::string>& streams);

// One publisher: messages to random streams, one after another, until told to stop or the shard fails.
task<void> publish_until(sim_shard& world, shard_ledger& ledger, const std::vector<std::string>& streams, int publisher,
                         uint64_t seed, const bool& stop);
// The same with frames of the fast lane, several of them placed before the first is waited for.
task<void> publish_frames_until(sim_shard& world, shard_ledger& ledger, const std::vector<std::string>& streams,
                                int publisher, uint64_t seed, const bool& stop);
// One worker: fetches and acknowledges from one consumer.
task<void> work_until(sim_shard& world, shard_ledger& ledger, std::string stream, std::string consumer, uint64_t seed,
                      const bool& stop);

}  // namespace weir
