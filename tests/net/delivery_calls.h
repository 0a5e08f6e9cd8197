// The calls that tests of delivery make again and again; what is refused unexpectedly fails the test.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/net/test_server.h"
#include "waymaker/streams.pb.h"
#include "weir/v1/admin.pb.h"
#include "weir/v1/broker.pb.h"

namespace weir {

// One typed call to any service; a status other than OK fails the test.
template <class Response>
Response ask_at(test_client& client, const std::string& path, const google::protobuf::Message& request) {
  answer got = client.unary(path, request.SerializeAsString());
  Response response;
  REQUIRE_MESSAGE(got.status.ok(), path, ": ", got.status.error_message());
  REQUIRE(response.ParseFromString(got.only()));
  return response;
}

template <class Response>
Response ask_admin(test_client& client, const std::string& method, const google::protobuf::Message& request) {
  return ask_at<Response>(client, "/weir.v1.Admin/" + method, request);
}

void make_stream(test_client& client, const std::string& name, bool work_queue = false);
// A consumer of that name; `change` sets what is special about it.
void make_consumer(test_client& client, const std::string& stream, const std::string& name,
                   const std::function<void(waymaker::streams::ConsumerConfigPb&)>& change = nullptr);
void drop_consumer(test_client& client, const std::string& stream, const std::string& name);
void drop_stream(test_client& client, const std::string& name);
// Returns the sequence.
uint64_t put(test_client& client, const std::string& stream, const std::string& subject, const std::string& payload);
void put_many(test_client& client, const std::string& stream, int count, size_t payload_bytes = 1);

waymaker::streams::FetchRequest fetch_request(const std::string& stream, const std::string& consumer, uint32_t batch);
waymaker::streams::FetchResponse fetch_now(test_client& client, const std::string& stream, const std::string& consumer,
                                           uint32_t batch = 100);
std::vector<uint64_t> seqs_of(const waymaker::streams::FetchResponse& fetched);
waymaker::streams::ConsumerStatePb state_of(test_client& client, const std::string& stream,
                                            const std::string& consumer);

// One Subscribe call of a connection of its own.
class subscriber {
 public:
  subscriber(const std::string& target, const std::string& stream, const std::string& consumer,
             bool stop_when_empty = false, uint32_t batch_size = 0);

  // nullopt: the call has ended.
  std::optional<waymaker::streams::SubscribeEvent> next();
  waymaker::streams::MessagePb message();  // fails the test if it is something else
  std::string stopped();                   // the reason, then the end of the call
  bool headers() { return call_.headers(); }
  void cancel() { call_.cancel(); }
  grpc::Status finish() { return call_.finish(); }

 private:
  test_stream call_;
};

// Waits until it holds on every core; false after a long time.
bool eventually(server& running, const std::function<bool(const core_metrics&)>& holds);
// Of all cores together.
uint64_t sum(server& running, const std::function<uint64_t(const core_metrics&)>& number);

}  // namespace weir
