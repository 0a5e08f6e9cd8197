// Dead letters: published once, with where they come from, in one journal entry with the end of the message.
#include <algorithm>

#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

void to_dead(consumer_config& c) {
  c.filter_subject = "work.*";
  c.ack_wait_ms = 1'000;
  c.max_deliver = 2;
  c.dead_letter_subject = "dead";
}

// Headers of the last message at the subject, as "key=value" lines.
std::string headers_at(shard_fixture& world, const std::string& subject) {
  auto found = world.run(world.now->read_latest("s", subject));
  REQUIRE(found);
  REQUIRE(*found);
  auto view = decode_record((*found)->bytes.bytes());
  REQUIRE(view);
  auto headers = decode_headers(view->headers);
  REQUIRE(headers);
  std::string text;
  for (const header& one : *headers) text += one.key + "=" + one.value + "\n";
  return text;
}

TEST_CASE("dead letters: after the last attempt the message is published with its story and is done with") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", to_dead);
  const std::string headers = encode_headers({{"color", "red"}});
  publish_request request;
  request.stream = "s";
  request.subject = "work.a";
  request.headers = as_bytes(headers);
  request.payload = as_bytes("payload");
  request.ts_ms = 1234;
  REQUIRE(world.run(world.now->publish(request)));
  CHECK(world.fetch("s", "c") == shown{"1"});
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{"1*2"});
  world.advance_ms(1'000);
  CHECK(world.info("s").stats.last_seq == 2);
  CHECK(world.latest("s", "dead") == "payload");
  CHECK(headers_at(world, "dead") ==
        "color=red\nx-waymaker-dlq-stream=s\nx-waymaker-dlq-subject=work.a\nx-waymaker-dlq-seq=1\n"
        "x-waymaker-dlq-ts-ms=1234\nx-waymaker-dlq-consumer=c\nx-waymaker-dlq-deliver-count=2\n"
        "x-waymaker-dlq-reason=max_deliver\n");
  const consumer_info info = world.consumer("s", "c");
  CHECK(info.redelivered_dropped == 1);
  CHECK(info.pending == 0);
  CHECK(info.parked == 0);
  CHECK(info.ack_floor == 1);
  world.kill();
  REQUIRE(world.open());
  CHECK(world.info("s").stats.last_seq == 2);
  CHECK(world.consumer("s", "c").pending == 0);
}

TEST_CASE("dead letters: term makes one, with its reason, and counts as no drop") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", to_dead);
  world.publish("s", "work.a", "x");
  world.fetch("s", "c");
  REQUIRE(world.run(world.now->term("s", "c", seq_no(1))));
  CHECK(headers_at(world, "dead").find("reason=term") != std::string::npos);
  CHECK(world.consumer("s", "c").redelivered_dropped == 0);
  CHECK(world.now->metrics().dead_lettered == 1);
}

TEST_CASE("dead letters: a consumer of the dead letters parks what it gives up there; nothing loops") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) {
    c.ack_wait_ms = 1'000;
    c.max_deliver = 1;
    c.dead_letter_subject = "dead";
  });
  world.publish("s", "work.a", "x");
  CHECK(world.fetch("s", "c") == shown{"1"});
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{"2"});
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{});
  CHECK(world.info("s").stats.last_seq == 2);
  const consumer_info info = world.consumer("s", "c");
  CHECK(info.parked == 1);
  CHECK(info.redelivered_dropped == 2);
  CHECK(info.ack_floor == 2);
}

TEST_CASE("dead letters: while the disk is full the message stays dying, is not delivered, and an ack saves it") {
  shard_fixture world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 16u << 10;
  world.start();
  world.create("s");
  world.consume("s", "c", to_dead);
  for (int i = 0; i < 3; ++i) world.publish("s", "work.a", std::string(10'000, 'x'));
  CHECK(world.fetch("s", "c").size() == 3);
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c").size() == 3);
  world.disk().set_capacity(world.disk().used());
  for (int i = 0; i < 40; ++i) {
    auto stored = world.try_publish("s", "other", std::string(10'000, 'y'));
    if (!stored) break;
    REQUIRE(i < 39);
  }
  const uint64_t last = world.info("s").stats.last_seq;
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{});
  CHECK(world.consumer("s", "c").pending == 3);
  CHECK(world.consumer("s", "c").ack_floor == 0);
  CHECK(world.info("s").stats.last_seq == last);
  world.ack("s", "c", 2);
  world.disk().set_capacity(UINT64_MAX);
  for (int i = 0; i < 5; ++i) world.advance_ms(1'000);
  CHECK(world.info("s").stats.last_seq == last + 2);
  CHECK(world.consumer("s", "c").pending == 0);
  CHECK(headers_at(world, "dead").find("dlq-seq=3") != std::string::npos);
}

TEST_CASE("dead letters: killed before it is written, a message that was termed is dying still and gets its letter") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", to_dead);
  world.publish("s", "work.a", "x");
  world.fetch("s", "c");
  started terming(world.now->term("s", "c", seq_no(1)));
  world.settle();
  REQUIRE(terming.value());
  world.kill();
  REQUIRE(world.open());
  world.settle();
  CHECK(world.latest("s", "dead") == "x");
  CHECK(world.consumer("s", "c").ack_floor == 1);
}

TEST_CASE("dead letters: what finds no room in a full stream holds nothing up that only needs to be parked") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) {
    c.discard_new = true;
    c.limits.max_msgs = 3;
  });
  world.consume("s", "c", [](consumer_config& c) {
    c.ack_wait_ms = 1'000;
    c.max_deliver = 1;
    c.dead_letter_subject = "dead";
  });
  world.publish("s", "work.a", "x");
  world.publish("s", "dead", "y");
  world.publish("s", "work.b", "z");
  CHECK(world.fetch("s", "c") == shown{"1", "2", "3"});
  world.advance_ms(1'000);
  CHECK(world.consumer("s", "c").parked == 1);
  CHECK(world.consumer("s", "c").pending == 2);
  world.ack("s", "c", 3);
  CHECK(world.info("s").stats.last_seq == 3);
  REQUIRE(world.run(world.now->delete_message("s", seq_no(3))));
  world.advance_ms(1'000);
  CHECK(headers_at(world, "dead").find("dlq-seq=1") != std::string::npos);
  CHECK(world.consumer("s", "c").pending == 0);
}

// What the payloads of the dead letters begin with, in order, after a power cut while they were written.
std::vector<std::string> buried_despite_a_cut(retention_policy policy, uint64_t seed) {
  shard_fixture world;
  world.start();
  stream_config config;
  config.name = "s";
  config.policy = policy;
  REQUIRE(world.run(world.now->create_stream(config)));
  world.consume("s", "c", to_dead);
  const std::string filling(seed * 11 % 700, 'x');  // where the sectors of the disk end
  for (int i = 0; i < 5; ++i) world.publish("s", "work.a", std::to_string(i) + filling);
  world.fetch("s", "c");
  world.advance_ms(1'000);
  world.fetch("s", "c");
  world.settle();
  world.disk().fail(seed % 2 == 0 ? sim_disk::op::sync : sim_disk::op::write, 1 + seed % 3, true);
  world.advance_ms(1'000);
  world.crash(seed);
  REQUIRE(world.open());
  for (int i = 0; i < 4; ++i) {
    world.advance_ms(1'000);
    world.fetch("s", "c");
  }
  world.advance_ms(1'000);
  const auto found = world.run(world.now->scan_subject(scan_query{"s", "dead", 0, 100}));
  REQUIRE(found);
  CHECK(world.consumer("s", "c").pending == 0);
  const uint64_t others = policy == retention_policy::work_queue ? 0 : 5;
  CHECK(world.info("s").stats.msg_count == found->records.size() + others);
  std::vector<std::string> buried;
  for (const found_record& one : found->records) {
    auto view = decode_record(one.bytes.bytes());
    REQUIRE(view);
    buried.emplace_back(as_text(view->payload).substr(0, 1));
  }
  std::sort(buried.begin(), buried.end());
  return buried;
}

TEST_CASE("dead letters: at a power cut in any place there is exactly one of each message in the end") {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    const std::vector<std::string> each = {"0", "1", "2", "3", "4"};
    CHECK(buried_despite_a_cut(retention_policy::work_queue, seed) == each);
    CHECK(buried_despite_a_cut(retention_policy::limits, seed) == each);
  }
}

}  // namespace
}  // namespace weir
