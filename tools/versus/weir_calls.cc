#include "tools/versus/weir_calls.h"

#include "tools/load/bench_report.h"
#include "tools/versus/worker.h"
#include "waymaker/streams.pb.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

constexpr int status_unimplemented = 12;
const std::string streams_service = "/waymaker.streams.WaymakerStreamsService/";

template <typename Response, typename Request>
Response answer_of(weir_caller& caller, const std::string& method, const Request& request) {
  Response response;
  if (!response.ParseFromString(caller.call(streams_service + method, request.SerializeAsString()))) {
    stop_bench(method + ": an answer that is no message");
  }
  if (!response.success()) stop_bench(method + ": " + response.result_code() + ": " + response.message());
  return response;
}

}  // namespace

void must_be_ok(std::string_view path, int grpc_status, std::string_view message) {
  if (grpc_status == 0) return;
  if (grpc_status == status_unimplemented) stop_unavailable("UNIMPLEMENTED: " + std::string(message));
  stop_bench(std::string(path) + " failed with status " + std::to_string(grpc_status) + ": " + std::string(message));
}

std::string weir_caller::call(std::string_view path, const std::string& request) {
  answered_ = false;
  if (!connection_.start(path, as_bytes(request), 0)) stop_bench("the server gives no room for a request");
  connection_.flush();
  while (!answered_) {
    connection_.receive(*this);
    connection_.flush();
  }
  return std::move(response_);
}

void weir_caller::done(const call_answer& answer) {
  must_be_ok("a call", answer.grpc_status, answer.status_message);
  answered_ = true;
  response_ = as_text(answer.response);
}

void create_weir_stream(const std::string& server, const std::string& stream) {
  weir_caller caller(server);
  pb::CreateStreamRequest request;
  request.mutable_config()->set_name(stream);
  request.mutable_config()->mutable_retention()->mutable_limits();
  (void)answer_of<pb::CreateStreamResponse>(caller, "CreateStream", request);
}

void create_weir_consumer(const std::string& server, const std::string& stream, const std::string& consumer) {
  weir_caller caller(server);
  pb::CreateConsumerRequest request;
  request.set_stream(stream);
  request.mutable_config()->set_name(consumer);
  request.mutable_config()->set_ack_wait_ms(ack_wait_ms);
  (void)answer_of<pb::CreateConsumerResponse>(caller, "CreateConsumer", request);
}

uint64_t weir_pending(weir_caller& caller, const std::string& stream, const std::string& consumer) {
  pb::GetConsumerInfoRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  return answer_of<pb::GetConsumerInfoResponse>(caller, "GetConsumerInfo", request).consumer().pending();
}

}  // namespace weir
