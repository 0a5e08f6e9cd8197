#include "tests/bench/stream_requests.h"

#include "tools/load/bench_report.h"
#include "waymaker/streams.pb.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

// Field 1, varint, value 1: `success = true` first in a PublishResponse, `status = SERVING` in a HealthCheckResponse.
const std::string field_one_is_one = "\x08\x01";

}  // namespace

void create_stream(load_client& client, const std::string& name) {
  pb::CreateStreamRequest request;
  request.mutable_config()->set_name(name);
  request.mutable_config()->mutable_retention()->mutable_limits();
  pb::CreateStreamResponse response;
  std::string answer =
      client.call("/waymaker.streams.WaymakerStreamsService/CreateStream", request.SerializeAsString());
  if (!response.ParseFromString(answer) || !response.success()) {
    stop_bench("CreateStream: " + response.result_code() + ": " + response.message());
  }
}

load_method publish_to(const std::vector<std::string>& streams, size_t payload_bytes) {
  load_method made{"/waymaker.streams.WaymakerStreamsService/Publish", {}, field_one_is_one};
  std::string payload(payload_bytes, '\0');
  for (size_t n = 0; n < payload.size(); ++n) payload[n] = static_cast<char>(n * 131 + 17);
  for (const std::string& stream : streams) {
    pb::PublishRequest request;
    request.set_stream(stream);
    request.set_subject("bench.a");
    request.set_payload(payload);
    made.messages.push_back(request.SerializeAsString());
  }
  return made;
}

load_method empty_rpc() {
  return {"/grpc.health.v1.Health/Check", {""}, field_one_is_one};
}

}  // namespace weir
