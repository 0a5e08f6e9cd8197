// Between the broker's structs and the messages of waymaker.streams (consumers: consumers_convert.h). Translation only;
// what a value means, and whether it is allowed, the broker says. Only a number that no struct can hold is refused here
// (an unknown enum value).
#pragma once

#include "broker/types.h"
#include "storage/result.h"
#include "waymaker/streams.pb.h"

namespace weir {

namespace streams_pb = waymaker::streams;

result<stream_config> from_proto(const streams_pb::StreamConfigPb& given);
stream_update from_proto(const streams_pb::UpdateStreamRequest& given);

void to_proto(const stream_config& config, streams_pb::StreamConfigPb& out);
void to_proto(const stream_stats& stats, streams_pb::StreamStatsPb& out);
void to_proto(const watch_event& event, uint64_t missed_before, streams_pb::WatchEvent& out);

// What the answer itself cannot say: the transport's faults and ours become a gRPC status (DESIGN section 5).
bool is_status(errc code);

template <class Response>
Response succeeded() {
  Response response;
  response.set_success(true);
  response.set_result_code("ok");
  return response;
}

template <class Response>
result<Response> failed(const error& failure) {
  if (is_status(failure.code)) return failure;
  Response response;
  response.set_success(false);
  response.set_result_code(std::string(to_string(failure.code)));
  response.set_message(failure.message);
  return response;
}

}  // namespace weir
