#include "tests/net/delivery_calls.h"

namespace weir {

namespace pb = waymaker::streams;

void make_stream(test_client& client, const std::string& name, bool work_queue) {
  pb::CreateStreamRequest request;
  request.mutable_config()->set_name(name);
  if (work_queue) request.mutable_config()->mutable_retention()->mutable_work_queue();
  auto made = ask<pb::CreateStreamResponse>(client, "CreateStream", request);
  REQUIRE_MESSAGE(made.success(), made.message());
}

void make_consumer(test_client& client, const std::string& stream, const std::string& name,
                   const std::function<void(pb::ConsumerConfigPb&)>& change) {
  pb::CreateConsumerRequest request;
  request.set_stream(stream);
  request.mutable_config()->set_name(name);
  if (change) change(*request.mutable_config());
  auto made = ask<pb::CreateConsumerResponse>(client, "CreateConsumer", request);
  REQUIRE_MESSAGE(made.success(), made.message());
}

void drop_consumer(test_client& client, const std::string& stream, const std::string& name) {
  pb::DeleteConsumerRequest request;
  request.set_stream(stream);
  request.set_consumer(name);
  REQUIRE(ask<pb::DeleteConsumerResponse>(client, "DeleteConsumer", request).success());
}

void drop_stream(test_client& client, const std::string& name) {
  pb::DeleteStreamRequest request;
  request.set_name(name);
  REQUIRE(ask<pb::DeleteStreamResponse>(client, "DeleteStream", request).success());
}

uint64_t put(test_client& client, const std::string& stream, const std::string& subject, const std::string& payload) {
  pb::PublishRequest request;
  request.set_stream(stream);
  request.set_subject(subject);
  request.set_payload(payload);
  auto stored = ask<pb::PublishResponse>(client, "Publish", request);
  REQUIRE_MESSAGE(stored.success(), stored.message());
  return stored.seq();
}

void put_many(test_client& client, const std::string& stream, int count, size_t payload_bytes) {
  for (int n = 0; n < count; ++n) put(client, stream, "s", std::string(payload_bytes, 'x'));
}

pb::FetchRequest fetch_request(const std::string& stream, const std::string& consumer, uint32_t batch) {
  pb::FetchRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  request.set_batch_size(batch);
  return request;
}

pb::FetchResponse fetch_now(test_client& client, const std::string& stream, const std::string& consumer,
                            uint32_t batch) {
  auto got = ask<pb::FetchResponse>(client, "Fetch", fetch_request(stream, consumer, batch));
  REQUIRE_MESSAGE(got.success(), got.message());
  return got;
}

std::vector<uint64_t> seqs_of(const pb::FetchResponse& fetched) {
  std::vector<uint64_t> seqs;
  for (const pb::MessagePb& message : fetched.messages()) seqs.push_back(message.seq());
  return seqs;
}

pb::ConsumerStatePb state_of(test_client& client, const std::string& stream, const std::string& consumer) {
  pb::GetConsumerInfoRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  auto got = ask<pb::GetConsumerInfoResponse>(client, "GetConsumerInfo", request);
  REQUIRE_MESSAGE(got.success(), got.message());
  return got.consumer();
}

subscriber::subscriber(const std::string& target, const std::string& stream, const std::string& consumer,
                       bool stop_when_empty, uint32_t batch_size)
    : call_(target, "/waymaker.streams.WaymakerStreamsService/Subscribe") {
  pb::SubscribeRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  request.set_stop_when_empty(stop_when_empty);
  request.set_batch_size(batch_size);
  REQUIRE(call_.write(request.SerializeAsString()));
  REQUIRE(call_.half_close());
}

std::optional<pb::SubscribeEvent> subscriber::next() {
  auto bytes = call_.read();
  if (!bytes) return std::nullopt;
  pb::SubscribeEvent event;
  REQUIRE(event.ParseFromString(*bytes));
  return event;
}

pb::MessagePb subscriber::message() {
  auto event = next();
  REQUIRE(event);
  REQUIRE(event->has_message());
  return event->message();
}

std::string subscriber::stopped() {
  auto event = next();
  REQUIRE(event);
  REQUIRE(event->has_stopped());
  CHECK_FALSE(next());
  CHECK(finish().ok());
  return event->stopped().reason();
}

bool eventually(server& running, const std::function<bool(const core_metrics&)>& holds) {
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(30);
  for (size_t n = 0; n < running.shards(); ++n) {
    core& one = running.at(n);
    if (!one.home().wait_until([&] { return holds(one.metrics(false)); }, deadline)) return false;
  }
  return true;
}

uint64_t sum(server& running, const std::function<uint64_t(const core_metrics&)>& number) {
  uint64_t all = 0;
  for (size_t n = 0; n < running.shards(); ++n) {
    core& one = running.at(n);
    one.home().call([&] { all += number(one.metrics(false)); });
  }
  return all;
}

}  // namespace weir
