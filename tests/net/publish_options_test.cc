// Message ids, schedules, time to live and atomic publishes, from the client's side.
#include <doctest/doctest.h>

#include "tests/net/delivery_calls.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

pb::PublishRequest message(const std::string& payload) {
  pb::PublishRequest request;
  request.set_stream("s");
  request.set_subject("a");
  request.set_payload(payload);
  return request;
}

pb::PublishResponse publish(test_client& client, const pb::PublishRequest& request) {
  return ask<pb::PublishResponse>(client, "Publish", request);
}

v1::PublishAllResponse publish_all(test_client& client, const v1::PublishAllRequest& request) {
  return ask_at<v1::PublishAllResponse>(client, "/weir.v1.Broker/PublishAll", request);
}

TEST_CASE("publish: a message id stores once and answers with the first sequence") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  put(client, "s", "a", "before");
  pb::PublishRequest once = message("x");
  once.set_message_id("order-1");
  auto first = publish(client, once);
  CHECK(first.seq() == 2);
  CHECK_FALSE(first.duplicate());
  auto second = publish(client, once);
  CHECK(second.success());
  CHECK(second.seq() == 2);
  CHECK(second.duplicate());
  CHECK(put(client, "s", "a", "after") == 3);
  once.set_message_id(std::string(256, 'i'));
  auto refused = publish(client, once);
  CHECK(refused.result_code() == "invalid_argument");
  CHECK(refused.message().find("message_id") != std::string::npos);
  CHECK(refused.message().find("255") != std::string::npos);
}

TEST_CASE("publish: a scheduled message is counted, and comes when its time does") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_consumer(client, "s", "c");
  pb::PublishRequest later = message("later");
  later.set_deliver_at_ms(4'000'000'000'000);
  auto accepted = publish(client, later);
  CHECK(accepted.success());
  CHECK(accepted.scheduled());
  CHECK(accepted.seq() == 0);
  pb::GetStreamInfoRequest get;
  get.set_name("s");
  auto info = ask<pb::GetStreamInfoResponse>(client, "GetStreamInfo", get);
  CHECK(info.scheduled() == 1);
  CHECK(info.stats().msg_count() == 0);
  const int64_t now_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  pb::PublishRequest soon = message("soon");
  soon.set_deliver_at_ms(now_ms + 300);
  CHECK(publish(client, soon).scheduled());
  subscriber reader(host.target(), "s", "c");
  const pb::MessagePb arrived = reader.message();
  CHECK(arrived.payload() == "soon");
  CHECK(arrived.seq() == 1);
  CHECK(arrived.ts_ms() == now_ms + 300);
  later.set_expected_last_seq(0);
  auto refused = publish(client, later);
  CHECK(refused.result_code() == "invalid_argument");
  CHECK(refused.message().find("expected_last_seq") != std::string::npos);
}

TEST_CASE("publish: an atomic publish stores all with consecutive sequences, or none and says which is wrong") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  put(client, "s", "a", "before");
  v1::PublishAllRequest run;
  for (int n = 0; n < 10; ++n) *run.add_messages() = message(std::string(static_cast<size_t>(n) * 1'000, 'x'));
  auto stored = publish_all(client, run);
  REQUIRE_MESSAGE(stored.success(), stored.message());
  CHECK(stored.first_seq() == 2);
  run.mutable_messages(4)->set_subject("a.*");
  auto refused = publish_all(client, run);
  CHECK(refused.result_code() == "subject_rejected");
  CHECK(refused.first_seq() == 0);
  CHECK(put(client, "s", "a", "after") == 12);
}

TEST_CASE("publish: what an atomic publish may not be is said by name and limit") {
  test_server host(2);
  test_client client(host.target());
  make_stream(client, "s");
  make_stream(client, "t");
  v1::PublishAllRequest run;
  auto refused = publish_all(client, run);
  CHECK(refused.result_code() == "invalid_argument");
  CHECK(refused.message().find("messages") != std::string::npos);
  *run.add_messages() = message("x");
  *run.add_messages() = message("y");
  run.mutable_messages(1)->set_stream("t");
  refused = publish_all(client, run);
  CHECK(refused.result_code() == "invalid_argument");
  CHECK(refused.message().find("messages[1].stream") != std::string::npos);
  run.mutable_messages(1)->set_stream("s");
  run.mutable_messages(1)->set_deliver_at_ms(4'000'000'000'000);
  refused = publish_all(client, run);
  CHECK(refused.result_code() == "invalid_argument");
  CHECK(refused.message().find("deliver_at_ms") != std::string::npos);
  run.Clear();
  for (size_t n = 0; n <= host.options().broker.atomic_messages_max; ++n) *run.add_messages() = message("");
  refused = publish_all(client, run);
  CHECK(refused.result_code() == "invalid_argument");
  CHECK(refused.message().find("1000") != std::string::npos);
  CHECK(put(client, "s", "a", "first") == 1);
  answer garbage = client.unary("/weir.v1.Broker/PublishAll", "\x0a\x7f");
  CHECK(garbage.status.error_code() == grpc::INVALID_ARGUMENT);
  CHECK(garbage.status.error_message().find("weir.v1.PublishAllRequest") != std::string::npos);
}

}  // namespace
}  // namespace weir
