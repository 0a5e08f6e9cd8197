// weir.v1.Admin and the fields of our own, from the client's side.
#include <doctest/doctest.h>

#include "tests/net/delivery_calls.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

template <class Request>
Request about(const std::string& stream, const std::string& consumer = "") {
  Request request;
  request.set_stream(stream);
  if constexpr (requires { request.set_consumer(consumer); }) request.set_consumer(consumer);
  return request;
}

pb::GetStreamInfoResponse info_of(test_client& client, const std::string& stream) {
  pb::GetStreamInfoRequest request;
  request.set_name(stream);
  return ask<pb::GetStreamInfoResponse>(client, "GetStreamInfo", request);
}

void give_up(test_client& client, const std::string& stream, const std::string& consumer, uint64_t seq) {
  auto request = about<pb::TermRequest>(stream, consumer);
  request.set_seq(seq);
  REQUIRE(ask<pb::TermResponse>(client, "Term", request).success());
}

TEST_CASE("admin: a message is shown by its sequence, without a delivery count, and deleted") {
  test_server host(2);
  test_client client(host.target());
  for (const char* stream : {"one", "two", "three"}) {
    make_stream(client, stream);
    put(client, stream, "a", std::string(5'000, 'x'));
    put(client, stream, "b", "y");
    auto get = about<v1::GetMessageRequest>(stream);
    get.set_seq(1);
    auto got = ask_admin<v1::GetMessageResponse>(client, "GetMessage", get);
    CHECK(got.success());
    REQUIRE(got.has_found());
    CHECK(got.found().seq() == 1);
    CHECK(got.found().subject() == "a");
    CHECK(got.found().payload() == std::string(5'000, 'x'));
    CHECK(got.found().deliver_count() == 0);
    auto drop = about<v1::DeleteMessageRequest>(stream);
    drop.set_seq(1);
    auto dropped = ask_admin<v1::DeleteMessageResponse>(client, "DeleteMessage", drop);
    CHECK(dropped.success());
    CHECK(dropped.was_present());
    CHECK_FALSE(ask_admin<v1::DeleteMessageResponse>(client, "DeleteMessage", drop).was_present());
    got = ask_admin<v1::GetMessageResponse>(client, "GetMessage", get);
    CHECK(got.success());
    CHECK_FALSE(got.has_found());
  }
  auto nowhere = about<v1::GetMessageRequest>("nowhere");
  CHECK(ask_admin<v1::GetMessageResponse>(client, "GetMessage", nowhere).result_code() == "no_such_stream");
  auto drop = about<v1::DeleteMessageRequest>("nowhere");
  CHECK(ask_admin<v1::DeleteMessageResponse>(client, "DeleteMessage", drop).result_code() == "no_such_stream");
}

TEST_CASE("admin: a purge takes its bounds from the request and says how much went") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  for (int n = 0; n < 20; ++n) put(client, "s", n % 2 == 0 ? "even" : "odd", "x");
  auto purge = about<v1::PurgeRequest>("s");
  purge.set_subject("even");
  purge.set_up_to_seq(9);
  purge.set_keep(7);  // of all of this subject: the bounds narrow each other
  CHECK(ask_admin<v1::PurgeResponse>(client, "Purge", purge).purged() == 3);
  CHECK(info_of(client, "s").stats().msg_count() == 17);
  purge.set_subject("ev..en");
  auto bad = ask_admin<v1::PurgeResponse>(client, "Purge", purge);
  CHECK_FALSE(bad.success());
  CHECK_MESSAGE(bad.message().find("subject") != std::string::npos, bad.message());
  CHECK(ask_admin<v1::PurgeResponse>(client, "Purge", about<v1::PurgeRequest>("s")).purged() == 17);
  CHECK(info_of(client, "s").stats().msg_count() == 0);
  CHECK(ask_admin<v1::PurgeResponse>(client, "Purge", about<v1::PurgeRequest>("t")).result_code() == "no_such_stream");
}

TEST_CASE("admin: parked messages are listed with time and reason, requeued and purged") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "q", true);
  make_consumer(client, "q", "c");
  for (int n = 0; n < 5; ++n) put(client, "q", "job", std::to_string(n));
  REQUIRE(fetch_now(client, "q", "c").messages_size() == 5);
  for (uint64_t seq : {1u, 3u, 5u}) give_up(client, "q", "c", seq);
  auto list = about<v1::ListParkedRequest>("q", "c");
  auto listed = ask_admin<v1::ListParkedResponse>(client, "ListParked", list);
  CHECK(listed.success());
  CHECK(listed.total() == 3);
  REQUIRE(listed.parked_size() == 3);
  CHECK(listed.parked(1).message().seq() == 3);
  CHECK(listed.parked(1).message().subject() == "job");
  CHECK(listed.parked(1).message().payload() == "2");
  CHECK(listed.parked(1).message().deliver_count() == 0);
  CHECK(listed.parked(1).reason() == "term");
  CHECK(listed.parked(1).parked_at_ms() > 1'600'000'000'000);
  list.set_from_seq(2);
  list.set_limit(1);
  listed = ask_admin<v1::ListParkedResponse>(client, "ListParked", list);
  CHECK(listed.total() == 3);
  REQUIRE(listed.parked_size() == 1);
  CHECK(listed.parked(0).message().seq() == 3);

  auto requeue = about<v1::RequeueParkedRequest>("q", "c");
  requeue.add_seqs(3);
  requeue.add_seqs(4);  // not parked
  CHECK(ask_admin<v1::RequeueParkedResponse>(client, "RequeueParked", requeue).requeued() == 1);
  auto again = fetch_now(client, "q", "c");
  CHECK(seqs_of(again) == std::vector<uint64_t>{3});
  CHECK(again.messages(0).deliver_count() == 1);
  auto purge = about<v1::PurgeParkedRequest>("q", "c");
  CHECK(ask_admin<v1::PurgeParkedResponse>(client, "PurgeParked", purge).purged() == 2);
  CHECK(info_of(client, "q").stats().msg_count() == 3);
  CHECK(state_of(client, "q", "c").parked() == 0);
  for (const char* method : {"ListParked", "RequeueParked", "PurgeParked"}) {
    auto nobody = about<v1::ListParkedRequest>("q", "nobody");
    CHECK(ask_admin<v1::ListParkedResponse>(client, method, nobody).result_code() == "no_such_consumer");
  }
}

TEST_CASE("admin: a paused consumer gets nothing and says so, until it goes on") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  put_many(client, "s", 2);
  auto pause = about<v1::PauseConsumerRequest>("s", "c");
  pause.set_pause_until_ms(4'000'000'000'000);
  CHECK(ask_admin<v1::PauseConsumerResponse>(client, "PauseConsumer", pause).success());
  CHECK(fetch_now(client, "s", "c").messages_size() == 0);
  CHECK(state_of(client, "s", "c").blocked() == v1::BLOCKED_PAUSED);
  CHECK(state_of(client, "s", "c").paused_until_ms() == 4'000'000'000'000);
  subscriber reader(host.target(), "s", "c");
  REQUIRE(reader.headers());
  pause.set_pause_until_ms(1);
  CHECK(ask_admin<v1::PauseConsumerResponse>(client, "PauseConsumer", pause).success());
  CHECK(reader.message().seq() == 1);
  CHECK(state_of(client, "s", "c").paused_until_ms() == 0);
  auto nobody = about<v1::PauseConsumerRequest>("s", "nobody");
  CHECK(ask_admin<v1::PauseConsumerResponse>(client, "PauseConsumer", nobody).result_code() == "no_such_consumer");
}

TEST_CASE("admin: a consumer is reset to a sequence or a time, and a reset to neither is refused") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  pb::PublishRequest message;
  message.set_stream("s");
  message.set_subject("a");
  for (int n = 1; n <= 5; ++n) {
    message.set_ts_ms(n * 1'000);
    REQUIRE(ask<pb::PublishResponse>(client, "Publish", message).success());
  }
  REQUIRE(fetch_now(client, "s", "c").messages_size() == 5);
  auto reset = about<v1::ResetConsumerRequest>("s", "c");
  auto refused = ask_admin<v1::ResetConsumerResponse>(client, "ResetConsumer", reset);
  CHECK(refused.result_code() == "invalid_argument");
  CHECK(refused.message().find("time_ms") != std::string::npos);
  reset.set_seq(4);
  CHECK(ask_admin<v1::ResetConsumerResponse>(client, "ResetConsumer", reset).success());
  CHECK(state_of(client, "s", "c").pending() == 0);
  auto again = fetch_now(client, "s", "c");
  CHECK(seqs_of(again) == std::vector<uint64_t>{4, 5});
  CHECK(again.messages(0).deliver_count() == 1);
  reset.set_time_ms(2'500);
  CHECK(ask_admin<v1::ResetConsumerResponse>(client, "ResetConsumer", reset).success());
  CHECK(seqs_of(fetch_now(client, "s", "c")) == std::vector<uint64_t>{3, 4, 5});
  reset.set_seq(7);
  refused = ask_admin<v1::ResetConsumerResponse>(client, "ResetConsumer", reset);
  CHECK(refused.result_code() == "invalid_argument");
}

TEST_CASE("admin: a consumer's settings travel both ways, and an update changes what is present") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c", [](pb::ConsumerConfigPb& config) {
    config.add_filter_subjects("a.*");
    config.add_filter_subjects("b");
    config.add_backoff_ms(100);
    config.add_backoff_ms(2'000);
    config.set_max_ack_pending(7);
    config.set_max_ack_pending_per_subject(1);
    config.set_unlimited_deliver(true);
    config.set_inactive_ms(3'600'000);
    config.set_dead_letter_subject("dead");
    config.set_deliver_group("g");
  });
  const pb::ConsumerConfigPb made = state_of(client, "s", "c").config();
  CHECK(std::vector<std::string>(made.filter_subjects().begin(), made.filter_subjects().end()) ==
        std::vector<std::string>{"a.*", "b"});
  CHECK(std::vector<uint64_t>(made.backoff_ms().begin(), made.backoff_ms().end()) == std::vector<uint64_t>{100, 2'000});
  CHECK(made.max_ack_pending() == 7);
  CHECK(made.max_ack_pending_per_subject() == 1);
  CHECK(made.unlimited_deliver());
  CHECK(made.inactive_ms() == 3'600'000);
  CHECK(made.dead_letter_subject() == "dead");
  CHECK(made.deliver_group() == "g");

  auto update = about<v1::UpdateConsumerRequest>("s", "c");
  update.set_max_ack_pending(9);
  update.mutable_filter_subjects();  // present and empty
  update.mutable_backoff_ms();
  update.set_ack_wait_ms(5'000);
  auto updated = ask_admin<v1::UpdateConsumerResponse>(client, "UpdateConsumer", update);
  REQUIRE_MESSAGE(updated.success(), updated.message());
  CHECK(updated.config().max_ack_pending() == 9);
  CHECK(updated.config().filter_subjects_size() == 0);
  CHECK(updated.config().backoff_ms_size() == 0);
  CHECK(updated.config().ack_wait_ms() == 5'000);
  CHECK(updated.config().max_ack_pending_per_subject() == 1);
  CHECK(updated.config().SerializeAsString() == state_of(client, "s", "c").config().SerializeAsString());

  auto bad = about<v1::UpdateConsumerRequest>("s", "c");
  bad.set_filter_subject("a..b");
  auto refused = ask_admin<v1::UpdateConsumerResponse>(client, "UpdateConsumer", bad);
  CHECK(refused.result_code() == "invalid_config");
  CHECK(refused.message().find("filter_subject") != std::string::npos);
  auto nobody = about<v1::UpdateConsumerRequest>("s", "nobody");
  CHECK(ask_admin<v1::UpdateConsumerResponse>(client, "UpdateConsumer", nobody).result_code() == "no_such_consumer");
}

TEST_CASE("admin: a stream's settings of our own travel both ways") {
  test_server host(1);
  test_client client(host.target());
  pb::CreateStreamRequest request;
  request.mutable_config()->set_name("s");
  request.mutable_config()->set_max_msgs_per_subject(1);
  request.mutable_config()->mutable_retention()->mutable_limits()->set_max_msgs(2);
  request.mutable_config()->set_discard_new(true);
  request.mutable_config()->set_discard_new_per_subject(true);
  request.mutable_config()->set_dedup_window_ms(5'000);
  REQUIRE(ask<pb::CreateStreamResponse>(client, "CreateStream", request).success());
  const pb::StreamConfigPb made = info_of(client, "s").config();
  CHECK(made.discard_new());
  CHECK(made.discard_new_per_subject());
  CHECK(made.dedup_window_ms() == 5'000);
  CHECK(put(client, "s", "a", "x") == 1);
  pb::PublishRequest message;
  message.set_stream("s");
  message.set_subject("a");
  CHECK(ask<pb::PublishResponse>(client, "Publish", message).result_code() == "stream_full");
}

}  // namespace
}  // namespace weir
