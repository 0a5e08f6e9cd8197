// The streams service from the client's side: what travels, and what an error looks like. What it all means is tested
// with the broker.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/net/test_server.h"
#include "waymaker/streams.pb.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

const std::string service = "/waymaker.streams.WaymakerStreamsService/";

pb::CreateStreamResponse create(test_client& client, const std::string& name) {
  pb::CreateStreamRequest request;
  request.mutable_config()->set_name(name);
  return ask<pb::CreateStreamResponse>(client, "CreateStream", request);
}

pb::PublishResponse publish(test_client& client, const std::string& stream, const std::string& subject,
                            const std::string& payload) {
  pb::PublishRequest request;
  request.set_stream(stream);
  request.set_subject(subject);
  request.set_payload(payload);
  return ask<pb::PublishResponse>(client, "Publish", request);
}

pb::CreateConsumerResponse create_consumer(test_client& client, const std::string& stream, const std::string& name) {
  pb::CreateConsumerRequest request;
  request.set_stream(stream);
  request.mutable_config()->set_name(name);
  return ask<pb::CreateConsumerResponse>(client, "CreateConsumer", request);
}

pb::FetchResponse fetch(test_client& client, const std::string& stream, const std::string& consumer, uint32_t count) {
  pb::FetchRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  request.set_batch_size(count);
  return ask<pb::FetchResponse>(client, "Fetch", request);
}

TEST_CASE("streams: messages come back as they were published, acknowledged once, over streams on every shard") {
  test_server host(2);
  test_client client(host.target());
  for (int s = 0; s < 6; ++s) {
    std::string stream = "stream-" + std::to_string(s);
    CHECK(create(client, stream).success());
    CHECK(create_consumer(client, stream, "reader").success());
    pb::PublishRequest request;
    request.set_stream(stream);
    request.set_subject("a.b");
    request.set_ts_ms(1'234);
    for (const char* key : {"k", "other", "k"}) {
      auto* header = request.add_headers();
      header->set_key(key);
      header->set_value(stream);
    }
    for (int n = 0; n < 20; ++n) {
      request.set_payload(std::string(static_cast<size_t>(n) * 200, static_cast<char>(n)));
      auto published = ask<pb::PublishResponse>(client, "Publish", request);
      CHECK(published.success());
      CHECK(published.result_code() == "ok");
      CHECK(published.seq() == static_cast<uint64_t>(n) + 1);
    }
    auto got = fetch(client, stream, "reader", 100);
    CHECK(got.success());
    REQUIRE(got.messages_size() == 20);
    for (int n = 0; n < 20; ++n) {
      const pb::MessagePb& message = got.messages(n);
      CHECK(message.seq() == static_cast<uint64_t>(n) + 1);
      CHECK(message.subject() == "a.b");
      CHECK(message.ts_ms() == 1'234);
      CHECK(message.payload() == std::string(static_cast<size_t>(n) * 200, static_cast<char>(n)));
      CHECK(message.deliver_count() == 1);
      REQUIRE(message.headers_size() == 3);
      CHECK(message.headers(0).key() == "k");
      CHECK(message.headers(2).key() == "k");
      CHECK(message.headers(1).value() == stream);
      pb::AckRequest ack;
      ack.set_stream(stream);
      ack.set_consumer("reader");
      ack.set_seq(message.seq());
      CHECK(ask<pb::AckResponse>(client, "Ack", ack).success());
    }
    CHECK(fetch(client, stream, "reader", 100).messages_size() == 0);
  }
  pb::ListStreamsRequest list;
  auto listed = ask<pb::ListStreamsResponse>(client, "ListStreams", list);
  REQUIRE(listed.names_size() == 6);
  CHECK(std::is_sorted(listed.names().begin(), listed.names().end()));
}

TEST_CASE("streams: after a restart everything acknowledged is there") {
  test_server host(2);
  {
    test_client client(host.target());
    for (const char* stream : {"one", "two", "three"}) {
      CHECK(create(client, stream).success());
      for (int n = 0; n < 10; ++n) CHECK(publish(client, stream, "s", std::to_string(n)).success());
    }
  }
  host.restart();
  test_client client(host.target());
  for (const char* stream : {"one", "two", "three"}) {
    pb::GetStreamInfoRequest request;
    request.set_name(stream);
    auto info = ask<pb::GetStreamInfoResponse>(client, "GetStreamInfo", request);
    CHECK(info.success());
    CHECK(info.stats().msg_count() == 10);
    CHECK(info.stats().last_seq() == 10);
    CHECK(info.durability() == ::weir::v1::DURABILITY_FSYNC);
    CHECK(publish(client, stream, "s", "more").seq() == 11);
  }
}

TEST_CASE("streams: subjects are listed, scanned and read at their latest, without a delivery count") {
  test_server host(1);
  test_client client(host.target());
  CHECK(create(client, "kv").success());
  for (int n = 0; n < 9; ++n) CHECK(publish(client, "kv", "key." + std::to_string(n % 3), std::to_string(n)).success());
  pb::ListSubjectsByPrefixRequest list;
  list.set_stream("kv");
  list.set_prefix("key.");
  auto subjects = ask<pb::ListSubjectsByPrefixResponse>(client, "ListSubjectsByPrefix", list);
  CHECK(subjects.subjects_size() == 3);
  pb::ReadLatestAtSubjectRequest latest;
  latest.set_stream("kv");
  latest.set_subject("key.1");
  auto found = ask<pb::ReadLatestAtSubjectResponse>(client, "ReadLatestAtSubject", latest);
  REQUIRE(found.has_latest());
  CHECK(found.latest().payload() == "7");
  CHECK(found.latest().deliver_count() == 0);
  latest.set_subject("key.none");
  found = ask<pb::ReadLatestAtSubjectResponse>(client, "ReadLatestAtSubject", latest);
  CHECK(found.success());
  CHECK_FALSE(found.has_latest());
  pb::ScanExactAtSubjectRequest scan;
  scan.set_stream("kv");
  scan.set_subject("key.2");
  scan.set_from_seq(4);
  auto scanned = ask<pb::ScanExactAtSubjectResponse>(client, "ScanExactAtSubject", scan);
  REQUIRE(scanned.messages_size() == 2);
  CHECK(scanned.messages(0).seq() == 6);
  CHECK(scanned.messages(1).seq() == 9);
}

TEST_CASE("streams: a redelivered message carries its delivery count") {
  test_server host(1);
  test_client client(host.target());
  CHECK(create(client, "s").success());
  pb::CreateConsumerRequest consumer;
  consumer.set_stream("s");
  consumer.mutable_config()->set_name("c");
  consumer.mutable_config()->set_ack_wait_ms(1);
  CHECK(ask<pb::CreateConsumerResponse>(client, "CreateConsumer", consumer).success());
  CHECK(publish(client, "s", "x", std::string(3'000, 'p')).success());
  CHECK(publish(client, "s", "x", "q").success());
  REQUIRE(fetch(client, "s", "c", 2).messages_size() == 2);
  pb::FetchResponse again;
  for (int tries = 0; tries < 10'000 && again.messages_size() == 0; ++tries) again = fetch(client, "s", "c", 2);
  REQUIRE(again.messages_size() >= 1);
  CHECK(again.messages(0).deliver_count() == 2);
  CHECK(again.messages(0).payload() == std::string(3'000, 'p'));
}

TEST_CASE("streams: configurations and bounds travel both ways") {
  test_server host(2);
  test_client client(host.target());
  pb::CreateStreamRequest request;
  pb::StreamConfigPb& config = *request.mutable_config();
  config.set_name("full");
  config.add_subjects_filter("a.>");
  config.add_subjects_filter("b.*");
  config.mutable_retention()->mutable_limits()->set_max_msgs(5);
  config.mutable_retention()->mutable_limits()->set_strict_limits(true);
  config.set_block_size(7);
  config.set_max_msg_bytes(1'000);
  config.set_max_msgs_per_subject(3);
  config.set_dedup_window_ms(5'000);
  config.set_durability(::weir::v1::DURABILITY_WRITTEN);
  (*config.mutable_metadata())["owner"] = "me";
  CHECK(ask<pb::CreateStreamResponse>(client, "CreateStream", request).success());
  pb::GetStreamInfoRequest get;
  get.set_name("full");
  auto info = ask<pb::GetStreamInfoResponse>(client, "GetStreamInfo", get);
  CHECK(info.config().SerializeAsString() == config.SerializeAsString());
  CHECK(info.durability() == ::weir::v1::DURABILITY_WRITTEN);
  pb::UpdateStreamRequest update;
  update.set_name("full");
  update.set_max_msgs(2);
  for (int n = 0; n < 5; ++n) CHECK(publish(client, "full", "a." + std::to_string(n), "x").success());
  auto updated = ask<pb::UpdateStreamResponse>(client, "UpdateStream", update);
  CHECK(updated.success());
  CHECK(updated.pruned() == 3);
  CHECK(updated.config().retention().limits().max_msgs() == 2);
  pb::CreateConsumerRequest consumer;
  consumer.set_stream("full");
  pb::ConsumerConfigPb& wanted = *consumer.mutable_config();
  wanted.set_name("c");
  wanted.set_filter_subject("a.>");
  wanted.mutable_delivery_policy()->set_type(pb::DELIVERY_BY_START_SEQ);
  wanted.mutable_delivery_policy()->set_start_seq(5);
  wanted.set_ack_wait_ms(1'000);
  wanted.set_max_deliver(2);
  wanted.set_deliver_group("g");
  CHECK(ask<pb::CreateConsumerResponse>(client, "CreateConsumer", consumer).success());
  pb::GetConsumerInfoRequest look;
  look.set_stream("full");
  look.set_consumer("c");
  auto state = ask<pb::GetConsumerInfoResponse>(client, "GetConsumerInfo", look);
  CHECK(state.consumer().config().SerializeAsString() == wanted.SerializeAsString());
  pb::ListConsumersRequest list;
  list.set_stream("full");
  CHECK(ask<pb::ListConsumersResponse>(client, "ListConsumers", list).consumers_size() == 1);
  pb::DeleteConsumerRequest drop;
  drop.set_stream("full");
  drop.set_consumer("c");
  CHECK(ask<pb::DeleteConsumerResponse>(client, "DeleteConsumer", drop).success());
  pb::DeleteStreamRequest remove;
  remove.set_name("full");
  CHECK(ask<pb::DeleteStreamResponse>(client, "DeleteStream", remove).success());
  CHECK(ask<pb::GetStreamInfoResponse>(client, "GetStreamInfo", get).result_code() == "no_such_stream");
}

TEST_CASE("streams: what is wrong with a request stands in result_code and message, with status OK") {
  test_server host(2);
  test_client client(host.target());
  CHECK(create(client, "s").success());
  CHECK(create(client, "s").result_code() == "already_exists");
  for (const char* bad : {"", "a/b", "a b", "*", "\x01"}) {
    auto response = create(client, bad);
    CHECK_FALSE_MESSAGE(response.success(), bad);
    CHECK_MESSAGE(response.result_code() == "invalid_config", bad);
    CHECK_MESSAGE(!response.message().empty(), bad);
  }
  CHECK(publish(client, "none", "x", "").result_code() == "no_such_stream");
  CHECK(publish(client, "s", "x.*", "").result_code() == "subject_rejected");
  CHECK(publish(client, "s", "", "").result_code() == "subject_rejected");
  auto big = publish(client, "s", "x", std::string((1u << 20) + 1, 'x'));
  CHECK(big.result_code() == "oversize");
  CHECK(big.message().find("1048576") != std::string::npos);
  CHECK(publish(client, "s", "x", "first").seq() == 1);
  pb::PublishRequest expecting;
  expecting.set_stream("s");
  expecting.set_subject("x");
  expecting.set_expected_last_seq(0);
  auto wrong = ask<pb::PublishResponse>(client, "Publish", expecting);
  CHECK(wrong.result_code() == "wrong_revision");
  CHECK(wrong.seq() == 1);
  CHECK(fetch(client, "s", "none", 1).result_code() == "no_such_consumer");
  pb::CreateStreamRequest odd;
  odd.mutable_config()->set_name("odd");
  odd.mutable_config()->set_durability(static_cast<::weir::v1::Durability>(99));
  CHECK(ask<pb::CreateStreamResponse>(client, "CreateStream", odd).result_code() == "invalid_config");
  answer garbage = client.unary(service + "Publish", "\x0a\x7f");
  CHECK(garbage.status.error_code() == grpc::INVALID_ARGUMENT);
  CHECK(garbage.status.error_message().find("waymaker.streams.PublishRequest") != std::string::npos);
}

TEST_CASE("streams: a watcher on any reactor sees the changes of every shard") {
  test_server host(2);
  std::vector<std::unique_ptr<test_stream>> watchers;
  for (int n = 0; n < 2; ++n) {
    watchers.push_back(std::make_unique<test_stream>(host.target(), service + "WatchStreams"));
    REQUIRE(watchers.back()->write(""));
    REQUIRE(watchers.back()->headers());
  }
  test_client client(host.target());
  for (const char* name : {"a", "b", "c", "d"}) CHECK(create(client, name).success());
  CHECK(create_consumer(client, "a", "reader").success());
  for (auto& watcher : watchers) {
    std::set<std::string> seen;
    for (int n = 0; n < 5; ++n) {
      auto bytes = watcher->read();
      REQUIRE(bytes);
      pb::WatchEvent event;
      REQUIRE(event.ParseFromString(*bytes));
      CHECK(event.lagged_count() == 0);
      seen.insert(event.has_consumer() ? event.consumer().stream() + "/" + event.consumer().consumer()
                                       : event.stream().name());
    }
    CHECK(seen == std::set<std::string>{"a", "b", "c", "d", "a/reader"});
  }
}

}  // namespace
}  // namespace weir
