// Short ways to say a publish with more to it than a record.
#pragma once

#include "tests/broker/shard_fixture.h"

namespace weir {

struct special {
  std::string id;
  uint64_t ttl_ms = 0;
  int64_t deliver_at_ms = 0;
  std::string payload;
  std::optional<uint64_t> expected;
};

// The views in it point into the arguments.
inline publish_request request_of(std::string_view stream, std::string_view subject, const special& what) {
  publish_request request;
  request.stream = stream;
  request.subject = subject;
  request.payload = as_bytes(what.payload);
  request.message_id = what.id;
  request.ttl_ms = what.ttl_ms;
  request.deliver_at_ms = what.deliver_at_ms;
  request.expected_last_seq = what.expected;
  return request;
}

inline result<published> publish_special(shard_fixture& world, const std::string& stream, const std::string& subject,
                                         const special& what) {
  return world.run(world.now->publish(request_of(stream, subject, what)));
}

// "5", "5 again" (a repetition), "later", "later again", or the code of an error.
inline std::string told(const result<published>& placed) {
  if (!placed) return std::string(to_string(placed.err().code));
  std::string text = placed->scheduled ? "later" : std::to_string(placed->seq.raw());
  return placed->duplicate ? text + " again" : text;
}

inline std::string publish_id(shard_fixture& world, const std::string& stream, const std::string& id,
                              const std::string& subject = "a") {
  special what;
  what.id = id;
  return told(publish_special(world, stream, subject, what));
}

// Sequences of the live messages.
inline std::vector<uint64_t> live(shard_fixture& world, const std::string& stream) {
  std::vector<uint64_t> all;
  const uint64_t last = world.info(stream).stats.last_seq;
  for (uint64_t seq = 1; seq <= last; ++seq) {
    auto found = world.run(world.now->get_message(stream, seq_no(seq)));
    REQUIRE(found);
    if (*found) all.push_back(seq);
  }
  return all;
}

using seqs = std::vector<uint64_t>;

}  // namespace weir
