// The naive twin of a shard: what streams and consumers mean, in plain containers, with no disk, no waiting, no
// cleverness. Every answer of the real shard is compared with its answer.
//
// Written from the wire contract (reference 003), DESIGN section 5 and the headers of the broker, not from its code.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/limits.h"
#include "broker/types.h"
#include "storage/result.h"

namespace weir {

struct naive_message {
  uint64_t seq = 0;
  std::string subject;
  int64_t time = 0;
  std::string headers;
  std::string payload;
  uint64_t bytes = 0;  // as stored
};

struct naive_pending {
  uint32_t deliveries = 0;
  int64_t deadline_ms = 0;
  bool due = false;
};

struct naive_consumer {
  consumer_config config;
  int64_t created_at = 0;
  uint64_t next = 1;
  uint64_t last_delivered = 0;
  uint64_t dropped = 0;
  std::map<uint64_t, naive_pending> pending;
};

struct naive_stream {
  stream_config config;
  uint64_t last = 0;
  std::map<uint64_t, naive_message> live;
  std::map<std::string, naive_consumer> consumers;
};

struct naive_delivery {
  uint64_t seq;
  uint32_t deliveries;
};

class naive_shard {
 public:
  explicit naive_shard(const broker_limits& limits) : limits_(limits) {}

  // Both clocks, in milliseconds; the test moves them together with the real ones.
  int64_t mono_ms = 0;
  int64_t wall_ms_now = 0;

  std::optional<errc> create_stream(stream_config config);
  std::optional<errc> delete_stream(const std::string& name);
  result<stream_info> get_stream(const std::string& name) const;
  std::vector<std::string> list_streams() const;
  result<update_outcome> update_stream(const stream_update& update);

  struct publishing {
    std::string stream;
    std::string subject;
    std::string headers;
    std::string payload;
    int64_t time = 0;
    std::optional<uint64_t> expected;
  };
  result<uint64_t> publish(const publishing& message);
  result<std::optional<naive_message>> read_latest(const std::string& name, const std::string& subject) const;
  result<std::vector<std::string>> list_subjects(const std::string& name, const std::string& prefix) const;
  result<std::vector<naive_message>> scan(const std::string& name, const std::string& subject, uint64_t from,
                                          uint64_t limit) const;

  std::optional<errc> create_consumer(const std::string& name, consumer_config config);
  std::optional<errc> delete_consumer(const std::string& name, const std::string& consumer);
  result<consumer_info> get_consumer(const std::string& name, const std::string& consumer);
  result<std::vector<consumer_info>> list_consumers(const std::string& name);
  result<std::vector<naive_delivery>> fetch(const std::string& name, const std::string& consumer, uint32_t batch);
  std::optional<errc> ack(const std::string& name, const std::string& consumer, uint64_t seq);

  // Deadlines that have passed.
  void expire_all();
  void sweep();
  // A clean stop and start: what lives in memory only is gone, ack waits begin anew.
  void restart();

  std::map<std::string, naive_stream> streams;

 private:
  uint64_t prune(naive_stream& in, bool ages);
  uint64_t prune_strictly(naive_stream& in, bool ages);
  uint64_t prune_blocks(naive_stream& in, bool ages);
  static void remove(naive_stream& in, uint64_t seq);
  static uint64_t last_at(const naive_stream& in, const std::string& subject);
  static uint64_t first_live(const naive_stream& in, uint64_t from);
  static consumer_info info_of(const naive_stream& in, const naive_consumer& at);
  void expire(naive_consumer& at) const;
  bool old(const naive_stream& in, int64_t time) const;

  const broker_limits limits_;
};

}  // namespace weir
