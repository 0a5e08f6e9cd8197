// Removals that a failed disk never kept: nothing is said about such a stream until the restart.
#include <doctest/doctest.h>

#include "tests/sim/sim_shard.h"

namespace weir {
namespace {

purge_request all_of(const std::string& stream) {
  purge_request request;
  request.stream = stream;
  return request;
}

class doubtful_world {
 public:
  doubtful_world() {
    REQUIRE(world.open());
    create("sound", {});
    REQUIRE(publish("sound", "a"));
  }
  void create(const std::string& name, const stream_config& like) {
    stream_config config = like;
    config.name = name;
    REQUIRE(world.run(world.now->create_stream(config)));
    consumer_config worker;
    worker.name = "c";
    REQUIRE(world.run(world.now->create_consumer(name, worker)));
  }
  result<published> publish(const std::string& stream, const std::string& subject, int64_t deliver_at_ms = 0) {
    publish_request request;
    request.stream = stream;
    request.subject = subject;
    request.deliver_at_ms = deliver_at_ms;
    return world.run(world.now->publish(request));
  }
  void fail_disk() { world.disk().fail(sim_disk::op::sync, 1, true); }
  template <class T>
  bool refused(task<result<T>> work) {
    auto outcome = world.run(std::move(work));
    return !outcome && outcome.err().code == errc::storage_failed;
  }
  // Every way to look at it.
  void check_says_nothing(const std::string& stream) {
    CHECK(refused(world.now->get_stream(stream)));
    CHECK(refused(world.now->get_message(stream, seq_no(1))));
    CHECK(refused(world.now->read_latest(stream, "a")));
    CHECK(refused(world.now->list_subjects(stream, "")));
    CHECK(refused(world.now->scan_subject({stream, "a"})));
    CHECK(refused(world.now->get_consumer(stream, "c")));
    CHECK(refused(world.now->list_consumers(stream)));
    CHECK(refused(world.now->list_parked(stream, "c", seq_no(), 0)));
    CHECK(refused(world.now->fetch(stream, "c", 10)));
    CHECK(refused(world.now->ack(stream, "c", seq_no(1))));
    CHECK(refused(world.now->ack_many(stream, "c", {seq_no(1)}, seq_no())));
    CHECK(refused(world.now->delete_message(stream, seq_no(1))));
    CHECK(refused(world.now->purge(all_of(stream))));
    CHECK(refused(world.now->delete_stream(stream)));
  }
  // The others are read as before.
  void check_others() {
    const auto info = world.run(world.now->get_stream("sound"));
    REQUIRE(info);
    CHECK(info->stats.msg_count == 1);
    CHECK(*world.run(world.now->get_message("sound", seq_no(1))));
  }
  uint64_t count_after_restart(const std::string& stream) {
    world.crash(1);
    REQUIRE(world.open());
    const auto info = world.run(world.now->get_stream(stream));
    REQUIRE(info);
    return info->stats.msg_count;
  }

  sim_shard world;
};

TEST_CASE("in doubt: an acknowledgement on a work queue that failed is not told to be done when it is repeated") {
  doubtful_world at;
  stream_config queue;
  queue.policy = retention_policy::work_queue;
  at.create("queue", queue);
  REQUIRE(at.publish("queue", "a"));
  REQUIRE(at.world.run(at.world.now->fetch("queue", "c", 1))->deliveries.size() == 1);
  at.fail_disk();
  CHECK(at.refused(at.world.now->ack("queue", "c", seq_no(1))));
  at.check_says_nothing("queue");
  at.check_others();
  CHECK(at.count_after_restart("queue") == 1);
}

TEST_CASE("in doubt: after a failed purge or deletion the stream is not told to be empty") {
  for (const bool purge : {true, false}) {
    CAPTURE(purge);
    doubtful_world at;
    at.create("s", {});
    REQUIRE(at.publish("s", "a"));
    at.fail_disk();
    if (purge) {
      CHECK(at.refused(at.world.now->purge(all_of("s"))));
    } else {
      CHECK(at.refused(at.world.now->delete_message("s", seq_no(1))));
    }
    at.check_says_nothing("s");
    at.check_others();
    CHECK(at.count_after_restart("s") == 1);
  }
}

TEST_CASE("in doubt: a key that was being overwritten is not told to be missing") {
  doubtful_world at;
  stream_config keys;
  keys.max_msgs_per_subject = 1;
  at.create("keys", keys);
  REQUIRE(at.publish("keys", "a"));
  at.fail_disk();
  CHECK(at.publish("keys", "a").err().code == errc::storage_failed);
  at.check_says_nothing("keys");
  at.check_others();
  CHECK(at.count_after_restart("keys") == 1);
}

TEST_CASE("in doubt: a failed purge of scheduled messages is not told to be done") {
  doubtful_world at;
  at.create("s", {});
  const int64_t later = at.world.clock.wall().raw() + 60'000;
  REQUIRE(at.publish("s", "a", later));
  at.fail_disk();
  CHECK(at.refused(at.world.now->purge(all_of("s"))));
  at.check_says_nothing("s");
  at.world.crash(1);
  REQUIRE(at.world.open());
  CHECK(at.world.run(at.world.now->get_stream("s"))->scheduled == 1);
}

TEST_CASE("in doubt: what was removed durably before the disk failed stays readable as removed") {
  doubtful_world at;
  at.create("s", {});
  REQUIRE(at.publish("s", "a"));
  REQUIRE(at.publish("s", "b"));
  REQUIRE(at.world.run(at.world.now->delete_message("s", seq_no(1))));
  at.fail_disk();
  CHECK(at.publish("s", "c").err().code == errc::storage_failed);
  const auto info = at.world.run(at.world.now->get_stream("s"));
  REQUIRE(info);
  CHECK(info->stats.msg_count == 1);
  CHECK(at.world.run(at.world.now->fetch("s", "c", 10))->deliveries.size() == 1);
  CHECK(at.count_after_restart("s") == 1);
}

}  // namespace
}  // namespace weir
