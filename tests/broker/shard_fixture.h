// A shard over simulated ports with short ways to say what most tests say.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <string>
#include <vector>

#include "tests/sim/sim_shard.h"

namespace weir {

class shard_fixture : public sim_shard {
 public:
  shard_fixture() = default;

  void start() { REQUIRE(open()); }

  stream_info create(const std::string& name, void (*shape)(stream_config&) = nullptr) {
    stream_config config;
    config.name = name;
    if (shape != nullptr) shape(config);
    auto made = run(now->create_stream(config));
    REQUIRE(made);
    return *made;
  }
  consumer_info consume(const std::string& stream, const std::string& name, void (*shape)(consumer_config&) = nullptr) {
    consumer_config config;
    config.name = name;
    if (shape != nullptr) shape(config);
    auto made = run(now->create_consumer(stream, config));
    REQUIRE(made);
    return *made;
  }
  task<result<published>> publish_task(const std::string& stream, const std::string& subject,
                                       const std::string& payload) {
    publish_request request;
    request.stream = kept_.emplace_back(stream);
    request.subject = kept_.emplace_back(subject);
    request.payload = as_bytes(kept_.emplace_back(payload));
    return now->publish(request);
  }
  result<published> try_publish(const std::string& stream, const std::string& subject, const std::string& payload = "",
                                std::optional<uint64_t> expected = std::nullopt, int64_t time = 0) {
    publish_request request;
    request.stream = stream;
    request.subject = subject;
    request.payload = as_bytes(payload);
    request.expected_last_seq = expected;
    request.ts_ms = time;
    return run(now->publish(request));
  }
  uint64_t publish(const std::string& stream, const std::string& subject, const std::string& payload = "") {
    auto placed = try_publish(stream, subject, payload);
    REQUIRE(placed);
    return placed->seq.raw();
  }
  void publish_many(const std::string& stream, const std::string& subject, int count) {
    for (int i = 0; i < count; ++i) publish(stream, subject, "m" + std::to_string(i));
  }
  stream_info info(const std::string& stream) {
    auto found = run(now->get_stream(stream));
    REQUIRE(found);
    return *found;
  }
  consumer_info consumer(const std::string& stream, const std::string& name) {
    auto found = run(now->get_consumer(stream, name));
    REQUIRE(found);
    return *found;
  }
  // What a fetch delivers, as "seq" or "seq*count" for redeliveries.
  std::vector<std::string> fetch(const std::string& stream, const std::string& name, uint32_t batch = 100) {
    auto got = run(now->fetch(stream, name, batch));
    REQUIRE(got);
    std::vector<std::string> shown;
    for (const delivery& one : got->deliveries) {
      std::string text = std::to_string(one.record.seq.raw());
      if (one.deliver_count != 1) text += "*" + std::to_string(one.deliver_count);
      shown.push_back(text);
    }
    return shown;
  }
  void ack(const std::string& stream, const std::string& name, uint64_t seq) {
    auto done = run(now->ack(stream, name, seq_no(seq)));
    REQUIRE(done);
  }
  std::string latest(const std::string& stream, const std::string& subject) {
    auto found = run(now->read_latest(stream, subject));
    REQUIRE(found);
    if (!*found) return "-";
    auto view = decode_record((*found)->bytes.bytes());
    REQUIRE(view);
    return std::string(as_text(view->payload));
  }

 private:
  std::deque<std::string> kept_;  // what requests under way point at
};

using shown = std::vector<std::string>;

}  // namespace weir
