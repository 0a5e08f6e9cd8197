// Publishing and reading by subject.
#include "tests/broker/shard_fixture.h"

namespace weir {
namespace {

TEST_CASE("publish: sequences count from one, and the ack comes when the message is durable") {
  shard_fixture world;
  world.start();
  world.create("s");
  started first(world.publish_task("s", "a", "one"));
  started second(world.publish_task("s", "a", "two"));
  CHECK_FALSE(first.done());
  world.settle();
  CHECK(first.value()->seq == seq_no(1));
  CHECK(second.value()->seq == seq_no(2));
  CHECK(world.latest("s", "a") == "two");
}

TEST_CASE("publish: the level decides what the ack waits for") {
  shard_fixture world;
  world.start();
  world.create("memory", [](stream_config& c) { c.level = durability::memory; });
  world.create("written", [](stream_config& c) { c.level = durability::written; });
  world.create("fsync");
  world.disk().fail(sim_disk::op::sync, 1, true);
  started memory(world.publish_task("memory", "a", "x"));
  CHECK(memory.done());
  started written(world.publish_task("written", "a", "x"));
  world.settle();
  CHECK(written.value());
  CHECK(world.try_publish("fsync", "a").err().code == errc::storage_failed);
}

TEST_CASE("publish: 256 concurrent publishes to 64 streams on one shard take far fewer than 64 syncs") {
  shard_fixture world;
  world.storage.journal.batch_bytes_max = 1u << 20;
  world.storage.journal.segment_bytes = 4u << 20;
  world.start();
  for (int i = 0; i < 64; ++i) world.create("s" + std::to_string(i));
  const uint64_t before = world.disk().count(sim_disk::op::sync);
  std::vector<started<result<published>>> all;
  std::vector<std::string> names;
  for (int i = 0; i < 64; ++i) names.push_back("s" + std::to_string(i));
  for (size_t i = 0; i < 256; ++i) {
    publish_request request;
    request.stream = names[i % 64];
    request.subject = "a";
    all.emplace_back(world.now->publish(request));
    if (i % 64 == 63) {  // they arrive in four turns, while commits are under way
      world.now->end_of_turn();
      world.commits.work();
    }
  }
  world.settle();
  for (auto& one : all) {
    REQUIRE(one.done());
    CHECK(one.value());
  }
  const uint64_t syncs = world.disk().count(sim_disk::op::sync) - before;
  MESSAGE("syncs: " << syncs);
  CHECK(syncs <= 8);
}

TEST_CASE("publish: every reason to refuse has its code, and nothing is stored") {
  shard_fixture world;
  world.limits.payload_bytes_max = 100;
  world.start();
  world.create("s", [](stream_config& c) {
    c.subjects_filter = {"a.*", "b.>"};
    c.max_msg_bytes = 50;
  });
  CHECK(world.try_publish("none", "a.b").err().code == errc::no_such_stream);
  for (const char* subject : {"", "a", "c.d", "a.*", "a.>", "a..b", ".a.b", "a.b.", "b", "a.b c"}) {
    CAPTURE(subject);
    CHECK(world.try_publish("s", subject).err().code == errc::subject_rejected);
  }
  CHECK(world.try_publish("s", std::string(300, 'a')).err().code == errc::subject_rejected);
  CHECK(world.try_publish("s", "a.b", std::string(101, 'x')).err().code == errc::oversize);
  CHECK(world.try_publish("s", "a.b", std::string(51, 'x')).err().code == errc::oversize);
  CHECK(world.try_publish("s", "a.b", "", std::nullopt, -1).err().code == errc::invalid_argument);
  CHECK(world.info("s").stats.last_seq == 0);
  CHECK(world.publish("s", "a.b", std::string(50, 'x')) == 1);
  CHECK(world.publish("s", "b.c.d") == 2);
}

TEST_CASE("publish: expected_last_seq goes by subject, and a conflict names the current sequence") {
  shard_fixture world;
  world.start();
  world.create("s");
  CHECK(world.try_publish("s", "a", "1", 0));
  CHECK(world.publish("s", "b") == 2);
  CHECK(world.try_publish("s", "a", "2", 1)->seq == seq_no(3));
  const auto stale = world.try_publish("s", "a", "3", 1);
  REQUIRE_FALSE(stale);
  CHECK(stale.err().code == errc::wrong_revision);
  CHECK(stale.err().detail == 3);
  const auto fresh = world.try_publish("s", "b", "3", 0);
  CHECK(fresh.err().detail == 2);
  CHECK(world.try_publish("s", "new", "3", 5).err().detail == 0);
  CHECK(world.info("s").stats.last_seq == 3);
}

TEST_CASE("publish: of two that expect the same exactly one wins, and the loser waits until that is durable") {
  shard_fixture world;
  world.start();
  world.create("s");
  publish_request request;
  request.stream = "s";
  request.subject = "a";
  request.expected_last_seq = 0;
  started first(world.now->publish(request));
  started second(world.now->publish(request));
  CHECK_FALSE(second.done());
  world.settle();
  CHECK(first.value()->seq == seq_no(1));
  CHECK(second.value().err().code == errc::wrong_revision);
  CHECK(second.value().err().detail == 1);
}

TEST_CASE("publish: a conflict with a message that was never stored is not told as one") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.disk().fail(sim_disk::op::sync, 1, true);
  publish_request request;
  request.stream = "s";
  request.subject = "a";
  request.expected_last_seq = 0;
  started first(world.now->publish(request));
  started second(world.now->publish(request));
  world.settle();
  CHECK(first.value().err().code == errc::storage_failed);
  CHECK(second.value().err().code == errc::storage_failed);
}

TEST_CASE("publish: more than a batch holds waits for the disk, and everything arrives in order") {
  shard_fixture world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 8u << 10;
  world.start();
  world.create("s");
  const std::string payload(1000, 'x');
  std::vector<started<result<published>>> all;
  for (int i = 0; i < 300; ++i) all.emplace_back(world.publish_task("s", "a", payload));
  world.settle();
  for (size_t i = 0; i < all.size(); ++i) {
    REQUIRE(all[i].done());
    REQUIRE(all[i].value());
    CHECK(all[i].value()->seq == seq_no(i + 1));
  }
}

TEST_CASE("publish: time is the client's, or the broker's clock if it gives none") {
  shard_fixture world;
  world.start();
  world.create("s");
  CHECK(world.try_publish("s", "a", "x", std::nullopt, 1234));
  world.publish("s", "b", "x");
  const auto given = world.run(world.now->read_latest("s", "a"));
  CHECK(decode_record((**given).bytes.bytes())->time == wall_ms(1234));
  const auto own = world.run(world.now->read_latest("s", "b"));
  CHECK(decode_record((**own).bytes.bytes())->time == world.clock.wall());
}

TEST_CASE("publish: headers keep their order and their duplicates") {
  shard_fixture world;
  world.start();
  world.create("s");
  const std::vector<header> headers = {{"b", "1"}, {"a", "2"}, {"b", "3"}, {"a", ""}};
  const std::string encoded = encode_headers(headers);
  publish_request request;
  request.stream = "s";
  request.subject = "a";
  request.headers = as_bytes(encoded);
  REQUIRE(world.run(world.now->publish(request)));
  const auto found = world.run(world.now->read_latest("s", "a"));
  const auto view = decode_record((**found).bytes.bytes());
  REQUIRE(view);
  CHECK(*decode_headers(view->headers) == headers);
}

TEST_CASE("subject cap: only the newest messages of each subject stay, other subjects are not touched") {
  shard_fixture world;
  world.start();
  world.create("s", [](stream_config& c) { c.max_msgs_per_subject = 2; });
  for (int i = 0; i < 5; ++i) {
    world.publish("s", "a", "a" + std::to_string(i));
    world.publish("s", "b", "b" + std::to_string(i));
  }
  CHECK(world.info("s").stats.msg_count == 4);
  const auto scan = world.run(world.now->scan_subject({"s", "a", 0, 0}));
  REQUIRE(scan);
  REQUIRE(scan->records.size() == 2);
  CHECK(scan->records[0].seq == seq_no(7));
  CHECK(scan->records[1].seq == seq_no(9));
  REQUIRE(world.restart());
  CHECK(world.info("s").stats.msg_count == 4);
  world.publish("s", "a", "a5");
  CHECK(world.run(world.now->scan_subject({"s", "a", 0, 0}))->records[0].seq == seq_no(9));
}

TEST_CASE("reads: latest, subjects by prefix and scan by subject show what is there, and nothing of other subjects") {
  shard_fixture world;
  world.start();
  world.create("s");
  for (const char* subject : {"k.2", "k.1", "x", "k.1", "k.10"}) world.publish("s", subject, subject);
  CHECK(world.latest("s", "k.1") == "k.1");
  CHECK(world.latest("s", "k") == "-");
  CHECK(*world.run(world.now->list_subjects("s", "k.")) == shown{"k.1", "k.10", "k.2"});
  CHECK(*world.run(world.now->list_subjects("s", "")) == shown{"k.1", "k.10", "k.2", "x"});
  CHECK(world.run(world.now->list_subjects("s", "y"))->empty());
  const auto all = world.run(world.now->scan_subject({"s", "k.1", 0, 0}));
  CHECK(all->records.size() == 2);
  const auto later = world.run(world.now->scan_subject({"s", "k.1", 3, 0}));
  REQUIRE(later->records.size() == 1);
  CHECK(later->records[0].seq == seq_no(4));
  CHECK(world.run(world.now->scan_subject({"s", "k.1", 0, 1}))->records.size() == 1);
  CHECK(world.run(world.now->scan_subject({"s", "k.1", UINT64_MAX, UINT64_MAX}))->records.empty());
  CHECK(world.run(world.now->scan_subject({"s", "k.*", 0, 0})).err().code == errc::invalid_argument);
  CHECK(world.run(world.now->read_latest("s", "")).err().code == errc::invalid_argument);
  CHECK(world.run(world.now->read_latest("t", "a")).err().code == errc::no_such_stream);
}

TEST_CASE("reads: an answer waits until what it shows is durable") {
  shard_fixture world;
  world.start();
  world.create("s");
  started publishing(world.publish_task("s", "a", "x"));
  started latest(world.now->read_latest("s", "a"));
  started listing(world.now->list_subjects("s", ""));
  started asking(world.now->get_stream("s"));
  CHECK_FALSE(latest.done());
  CHECK_FALSE(listing.done());
  CHECK_FALSE(asking.done());
  world.settle();
  CHECK(latest.value()->has_value());
  CHECK(asking.value()->stats.last_seq == 1);
}

TEST_CASE("reads: more subjects than the limit are refused by its name, a longer prefix works") {
  shard_fixture world;
  world.limits.subjects_listed_max = 3;
  world.start();
  world.create("s");
  for (const char* subject : {"a.1", "a.2", "b.1", "b.2"}) world.publish("s", subject);
  const auto all = world.run(world.now->list_subjects("s", ""));
  CHECK(all.err().code == errc::resource_exhausted);
  CHECK(all.err().message.find("subjects_listed_max") != std::string::npos);
  CHECK(world.run(world.now->list_subjects("s", "a."))->size() == 2);
}

}  // namespace
}  // namespace weir
