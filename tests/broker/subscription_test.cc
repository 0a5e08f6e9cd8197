// Push delivery: who is woken by what, in which order, and how a subscription ends.
#include <algorithm>

#include "tests/broker/subscription_fixture.h"

namespace weir {
namespace {

TEST_CASE("subscriptions: what is there comes at once, what is published later when it is durable") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 3);
  subscriber client(world, "s", "c");
  client.ask(2);
  CHECK(client.got() == shown{"1", "2"});
  client.sent(2);
  client.ask();
  CHECK(client.got() == shown{"3"});
  client.sent(1);
  client.ask();
  world.settle();
  CHECK(client.waits());
  started publishing(world.publish_task("s", "a", "x"));
  world.now->end_of_turn();
  CHECK(client.waits());
  world.settle();
  CHECK(publishing.done());
  CHECK(client.got() == shown{"4"});
}

TEST_CASE("subscriptions: a message that no filter matches wakes nobody, and the cursor passes it with the tick") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.filter_subject = "a.*"; });
  subscriber client(world, "s", "c");
  client.ask();
  world.publish_many("s", "b", 5);
  CHECK(client.waits());
  world.advance_ms(1'000);
  CHECK(client.waits());
  CHECK(world.consumer("s", "c").ack_floor == 5);
  world.publish("s", "a.1");
  CHECK(client.got() == shown{"6"});
}

TEST_CASE("subscriptions: first come, first served, each message with one of them") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  std::deque<subscriber> clients;
  for (int i = 0; i < 4; ++i) clients.emplace_back(world, "s", "c");
  for (subscriber& one : clients) one.ask(1);
  world.publish("s", "a");
  CHECK(clients[0].got() == shown{"1"});
  clients[0].sent(1);
  clients[0].ask(1);
  world.settle();
  for (subscriber& one : clients) CHECK(one.waits());
  world.publish_many("s", "a", 2);
  CHECK(clients[1].got() == shown{"2"});
  CHECK(clients[2].got() == shown{"3"});
  CHECK(clients[3].waits());
  CHECK(clients[0].waits());
  std::vector<started<result<published>>> burst;
  for (int i = 0; i < 3; ++i) burst.emplace_back(world.publish_task("s", "a", "x"));
  world.settle();
  CHECK(clients[3].got() == shown{"4"});
  CHECK(clients[0].got() == shown{"5"});
  clients[1].sent(1);
  clients[1].ask();
  CHECK(clients[1].got() == shown{"6"});
}

TEST_CASE("subscriptions: the wait begins when the message is on the wire, not when it is queued (field notes 2.16)") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  world.publish_many("s", "a", 3);
  subscriber slow(world, "s", "c");
  subscriber other(world, "s", "c");
  slow.ask();
  CHECK(slow.got() == shown{"1", "2", "3"});
  other.ask();
  world.advance_ms(60'000);
  CHECK(other.waits());
  CHECK(world.consumer("s", "c").pending == 3);
  slow.sent(2);
  world.advance_ms(999);
  CHECK(other.waits());
  world.advance_ms(1);
  CHECK(other.got() == shown{"1*2", "2*2"});
  slow.sent(3);
  other.sent(2);
  other.ask();
  world.advance_ms(999);
  CHECK(other.waits());
  world.advance_ms(1);
  CHECK(other.got() == shown{"1*3", "2*3", "3*2"});
}

TEST_CASE("subscriptions: what was in hand and never sent is due again, and that was no attempt") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  world.publish_many("s", "a", 4);
  subscriber first(world, "s", "c");
  subscriber second(world, "s", "c");
  first.ask();
  CHECK(first.got() == shown{"1", "2", "3", "4"});
  second.ask();
  world.settle();
  CHECK(second.waits());
  first.sent(1);
  world.ack("s", "c", 3);
  first.end();
  world.settle();
  CHECK(second.got() == shown{"2", "4"});
  second.drop();
  CHECK(world.fetch("s", "c") == shown{"2", "4"});
  REQUIRE(world.restart());
  world.advance_ms(1'000);
  CHECK(world.fetch("s", "c") == shown{"1*2", "2*2", "4*2"});
}

TEST_CASE("subscriptions: a clean restart forgets the delivery that never went out, a kill may count it") {
  for (const bool clean : {true, false}) {
    CAPTURE(clean);
    shard_fixture world;
    world.start();
    world.create("s");
    world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
    world.publish_many("s", "a", 2);
    subscriber client(world, "s", "c");
    client.ask();
    CHECK(client.got() == shown{"1", "2"});
    world.publish("s", "a");
    if (clean) {
      REQUIRE(world.restart());
      CHECK(world.fetch("s", "c") == shown{"1", "2", "3"});
    } else {
      world.kill();
      REQUIRE(world.open());
      CHECK(world.fetch("s", "c") == shown{"3"});
      world.advance_ms(1'000);
      CHECK(world.fetch("s", "c") == shown{"1*2", "2*2", "3*2"});
    }
  }
}

TEST_CASE("subscriptions: a clean restart keeps that too when a checkpoint was taken since the delivery") {
  // For some of the sizes the entry of the delivery begins a segment, and so is the last one before a checkpoint.
  for (size_t size = 11'000; size < 13'000; size += 20) {
    CAPTURE(size);
    shard_fixture world;
    world.storage.journal.segment_bytes = 16u << 10;
    world.storage.journal.batch_bytes_max = 8u << 10;
    world.start();
    world.create("s");
    world.consume("s", "c");
    for (size_t left = size; left > 0; left -= std::min<size_t>(left, 4'000)) {
      world.publish("s", "a", std::string(std::min<size_t>(left, 4'000), 'x'));
    }
    subscriber client(world, "s", "c");
    client.ask(1);
    world.settle();
    CHECK(client.got() == shown{"1"});
    client.end();
    REQUIRE(world.restart());
    CHECK(world.fetch("s", "c", 1) == shown{"1"});
  }
}

TEST_CASE("subscriptions: a passed deadline and a nak wake who waits") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c", [](consumer_config& c) { c.ack_wait_ms = 1'000; });
  world.publish_many("s", "a", 2);
  subscriber client(world, "s", "c");
  CHECK(client.take() == shown{"1", "2"});
  client.ask();
  world.advance_ms(1'000);
  CHECK(client.got() == shown{"1*2", "2*2"});
  client.sent(2);
  client.ask();
  REQUIRE(world.run(world.now->nak("s", "c", seq_no(2), 0)));
  CHECK(client.got() == shown{"2*3"});
}

TEST_CASE("subscriptions: a wait ends in time with nothing, and the others keep their places") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  subscriber impatient(world, "s", "c");
  subscriber patient(world, "s", "c");
  impatient.ask(1, 200);
  patient.ask(1);
  world.advance_ms(199);
  CHECK(impatient.waits());
  world.advance_ms(1);
  CHECK(impatient.got() == shown{});
  CHECK(patient.waits());
  impatient.ask(1, 0);
  CHECK(impatient.got() == shown{});
  world.publish("s", "a");
  CHECK(patient.got() == shown{"1"});
}

TEST_CASE("subscriptions: they end when they are told to, when the consumer or the stream goes, when the shard stops") {
  shard_fixture world;
  world.start();
  for (const char* name : {"s", "t", "u"}) {
    world.create(name);
    world.consume(name, "c");
  }
  subscriber told(world, "s", "c");
  subscriber consumer_gone(world, "s", "c");
  subscriber idle(world, "s", "c");
  subscriber stream_gone(world, "t", "c");
  subscriber stopped(world, "u", "c");
  CHECK(world.consumer("s", "c").waiting == 3);
  for (subscriber* one : {&told, &consumer_gone, &stream_gone, &stopped}) one->ask();
  told.end();
  told.end();
  world.settle();
  CHECK(told.refused() == errc::unavailable);
  CHECK(world.consumer("s", "c").waiting == 2);
  REQUIRE(world.run(world.now->delete_consumer("s", "c")));
  CHECK(consumer_gone.refused() == errc::no_such_consumer);
  idle.ask();
  CHECK(idle.refused() == errc::no_such_consumer);
  REQUIRE(world.run(world.now->delete_stream("t")));
  CHECK(stream_gone.refused() == errc::no_such_stream);
  CHECK(stopped.waits());
  REQUIRE(world.restart());
  CHECK(stopped.refused() == errc::unavailable);
  stopped.ask();
  CHECK(stopped.refused() == errc::unavailable);
  CHECK(world.run(world.now->subscribe("s", "c")).err().code == errc::no_such_consumer);
  CHECK(world.run(world.now->subscribe("t", "c")).err().code == errc::no_such_stream);
}

TEST_CASE("subscriptions: one that outlives its shard is harmless") {
  std::optional<subscriber> client;
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  world.publish_many("s", "a", 3);
  client.emplace(world, "s", "c");
  client->ask();
  CHECK(client->got() == shown{"1", "2", "3"});
  world.kill();
  client->sent(2);
  client->end();
  client->ask();
  CHECK(client->refused() == errc::unavailable);
}

TEST_CASE("subscriptions: ended in the middle of a read from disk, what it read goes to the next") {
  shard_fixture world;
  world.storage.journal.segment_bytes = 64u << 10;
  world.storage.journal.batch_bytes_max = 16u << 10;
  world.start();
  world.create("s", [](stream_config& c) { c.block_size = 100; });
  for (int i = 0; i < 500; ++i) world.publish("s", "a", std::string(100, 'x'));
  world.consume("s", "c");
  REQUIRE(world.restart());
  subscriber first(world, "s", "c");
  subscriber second(world, "s", "c");
  first.ask(2);
  second.ask(2);
  CHECK(first.waits());
  first.end();
  world.settle();
  CHECK(first.refused() == errc::unavailable);
  CHECK(second.got() == shown{"1", "2"});
}

TEST_CASE("subscriptions: ten thousand come and go, nothing is left and nobody is forgotten") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.consume("s", "c");
  for (int round = 0; round < 10; ++round) {
    std::deque<subscriber> clients;
    for (int i = 0; i < 1'000; ++i) {
      clients.emplace_back(world, "s", "c");
      clients.back().ask(1);
    }
    world.publish_many("s", "a", 3);
    for (int i = 0; i < 1'000; i += 2) clients[static_cast<size_t>(i)].end();
    world.settle();
    for (subscriber& one : clients) {
      if (!one.waits()) one.end();
    }
    world.publish("s", "a");
    clients.clear();
    world.settle();
  }
  CHECK(world.consumer("s", "c").waiting == 0);
  CHECK(world.fetch("s", "c").size() == 40);
}

TEST_CASE("subscriptions: whoever waits where everything ahead was purged, waits") {
  shard_fixture world;
  world.start();
  world.create("s");
  world.publish_many("s", "a", 3);
  REQUIRE(world.run(world.now->purge({"s", "", 0, 0})));
  world.consume("s", "c");
  subscriber client(world, "s", "c");
  client.ask();
  world.settle();  // once turned for ever
  CHECK(client.waits());
  world.publish("s", "a");
  CHECK(client.got() == shown{"4"});
}

}  // namespace
}  // namespace weir
