// Failing and full disks under the whole shard (issue A, must hold 4).
#include <doctest/doctest.h>

#include <cstdio>

#include "tests/sim/shard_ledger.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

const std::vector<std::string> streams = {"a", "b", "c", "d"};
const std::vector<std::string> favoured = mostly_first(streams);

void create_all(sim_shard& world) {
  for (const std::string& name : streams) {
    stream_config config;
    config.name = name;
    config.block_size = 10;
    REQUIRE(world.run(world.now->create_stream(config)));
    consumer_config consumer;
    consumer.name = "worker";
    REQUIRE(world.run(world.now->create_consumer(name, consumer)));
  }
}

void spawn_clients(sim_shard& world, shard_ledger& ledger, gate& clients, std::mt19937_64& random, const bool& stop) {
  const auto& targets = world.storage.taken_bytes_min == 0 ? favoured : streams;
  for (int i = 0; i < 4; ++i) clients.spawn(publish_until(world, ledger, targets, i, random(), stop));
  for (const std::string& name : streams) clients.spawn(work_until(world, ledger, name, "worker", random(), stop));
}

struct fault_count {
  uint64_t met = 0;     // the k-th operation came and failed
  uint64_t stored = 0;  // messages acknowledged in all
};

// Whatever fails: nothing is acknowledged that is not on the disk, reads go on, and after a power cut all of it is
// there.
void fail_at(sim_disk::op what, uint64_t k, bool onwards, fault_count& count) {
  CAPTURE(static_cast<int>(what));
  CAPTURE(k);
  CAPTURE(onwards);
  std::mt19937_64 random(k * 2 + (onwards ? 1 : 0));
  sim_shard world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 16u << 10;
  if (k % 2 == 1) world.take_segments();
  REQUIRE(world.open());
  create_all(world);
  shard_ledger ledger;
  bool stop = false;
  gate clients;
  world.disk().fail(what, k, onwards);
  spawn_clients(world, ledger, clients, random, stop);
  const uint64_t before = world.disk().failures();
  for (int i = 0; i < 6000 && world.disk().failures() == before; ++i) world.step(random);
  if (world.disk().failures() != before) ++count.met;
  for (int i = 0; i < 50; ++i) world.step(random);
  stop = true;
  world.settle();
  CHECK(clients.running() == 0);
  count.stored += ledger.stored_count();
  if (world.now->metrics().failed) {
    publish_request request;
    request.stream = "a";
    request.subject = shard_ledger::subject;
    CHECK(world.run(world.now->publish(request)).err().code == errc::storage_failed);
    const auto info = world.run(world.now->get_stream("a"));
    REQUIRE(info);
    CHECK(world.run(world.now->list_streams())->size() == streams.size());
  }
  if (!onwards) ledger.check_streams(world);
  world.crash(random());
  REQUIRE(world.open());
  ledger.check_streams(world);
  ledger.check_consumers(world);
}

TEST_CASE("faults: after the k-th failed write or sync nothing is acknowledged that a power cut takes away") {
  const uint64_t stride = test_stride(11);
  fault_count count;
  uint64_t runs = 0;
  for (uint64_t k = 1; k <= 500; k += stride) {
    fail_at(sim_disk::op::write, k, false, count);
    fail_at(sim_disk::op::sync, k, false, count);
    fail_at(sim_disk::op::change, k, true, count);
    runs += 3;
  }
  std::printf("faults: %llu of %llu met, %llu messages stored\n", static_cast<unsigned long long>(count.met),
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(count.stored));
  CHECK(count.met == runs);
  CHECK(count.stored > runs);
}

TEST_CASE("faults: what a failed disk never made durable is taken back: reads show only what will be there") {
  sim_shard world;
  REQUIRE(world.open());
  create_all(world);
  world.disk().fail(sim_disk::op::sync, 1, true);
  stream_config late;
  late.name = "late";
  consumer_config second;
  second.name = "second";
  stream_update update;
  update.name = "b";
  update.max_msgs = 3;
  publish_request request;
  request.stream = "a";
  request.subject = shard_ledger::subject;
  started creating(world.now->create_stream(late));
  started deleting(world.now->delete_stream("d"));
  started again(world.now->create_stream([] {
    stream_config config;
    config.name = "d";
    return config;
  }()));
  started adding(world.now->create_consumer("a", second));
  started removing(world.now->delete_consumer("c", "worker"));
  started updating(world.now->update_stream(update));
  started publishing(world.now->publish(request));
  started listing(world.now->list_streams());
  started asking(world.now->get_stream("a"));
  world.settle();
  CHECK(creating.value().err().code == errc::storage_failed);
  CHECK(deleting.value().err().code == errc::storage_failed);
  CHECK(again.value().err().code == errc::storage_failed);
  CHECK(adding.value().err().code == errc::storage_failed);
  CHECK(removing.value().err().code == errc::storage_failed);
  CHECK(updating.value().err().code == errc::storage_failed);
  CHECK(publishing.value().err().code == errc::storage_failed);
  CHECK(*listing.value() == streams);
  CHECK(asking.value()->stats.last_seq == 0);
  CHECK(*world.run(world.now->list_streams()) == streams);
  CHECK(world.run(world.now->list_consumers("a"))->size() == 1);
  CHECK(world.run(world.now->list_consumers("c"))->size() == 1);
  CHECK_FALSE(world.run(world.now->get_stream("b"))->config.limits.max_msgs.has_value());
  CHECK(world.run(world.now->get_stream("late")).err().code == errc::no_such_stream);
  world.crash(1);
  REQUIRE(world.open());
  CHECK(*world.run(world.now->list_streams()) == streams);
}

TEST_CASE("faults: an acknowledgement that never became durable is taken back, and its message comes again") {
  sim_shard world;
  REQUIRE(world.open());
  create_all(world);
  publish_request request;
  request.stream = "a";
  request.subject = shard_ledger::subject;
  REQUIRE(world.run(world.now->publish(request)));
  REQUIRE(world.run(world.now->fetch("a", "worker", 1))->deliveries.size() == 1);
  world.disk().fail(sim_disk::op::sync, 1, true);
  CHECK(world.run(world.now->ack("a", "worker", seq_no(1))).err().code == errc::storage_failed);
  const auto info = world.run(world.now->get_consumer("a", "worker"));
  REQUIRE(info);
  CHECK(info->pending == 1);
  CHECK(info->ack_floor == 0);
  world.advance_ms(static_cast<int64_t>(default_ack_wait_ms) + 1);
  const auto again = world.run(world.now->fetch("a", "worker", 1));
  REQUIRE(again);
  REQUIRE(again->deliveries.size() == 1);
  CHECK(again->deliveries[0].deliver_count == 2);
}

TEST_CASE("full disk: publishes are refused clearly, reads and acks go on, and publishing resumes when there is room") {
  sim_shard world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 16u << 10;
  REQUIRE(world.open());
  create_all(world);
  const std::string payload(1000, 'x');
  publish_request request;
  request.stream = "a";
  request.subject = shard_ledger::subject;
  request.payload = as_bytes(payload);
  world.disk().set_capacity(world.disk().used() + (200u << 10));
  uint64_t stored = 0;
  std::optional<error> refused;
  for (int i = 0; i < 2000 && !refused; ++i) {
    const auto placed = world.run(world.now->publish(request));
    if (placed) {
      ++stored;
    } else {
      refused = placed.err();
    }
  }
  REQUIRE(refused);
  CHECK(refused->code == errc::disk_full);
  CHECK_FALSE(refused->message.empty());
  CHECK_FALSE(world.now->metrics().failed);
  CHECK(world.run(world.now->get_stream("a"))->stats.msg_count == stored);
  const auto got = world.run(world.now->fetch("a", "worker", 20));
  REQUIRE(got);
  CHECK(got->deliveries.size() == 20);
  for (const delivery& one : got->deliveries) CHECK(world.run(world.now->ack("a", "worker", one.record.seq)));
  world.disk().set_capacity(UINT64_MAX);
  bool resumed = false;
  for (int second = 0; second < 10 && !resumed; ++second) {
    world.advance_ms(1000);
    resumed = static_cast<bool>(world.run(world.now->publish(request)));
  }
  CHECK(resumed);
  CHECK(world.run(world.now->get_stream("a"))->stats.msg_count == stored + 1);
  world.crash(5);
  REQUIRE(world.open());
  CHECK(world.run(world.now->get_stream("a"))->stats.msg_count == stored + 1);
  CHECK(world.run(world.now->get_consumer("a", "worker"))->ack_floor == 20);
}

}  // namespace
}  // namespace weir
