// Between the broker's structs about consumers and their messages in waymaker.streams and weir.v1. As
// streams_convert.h: translation only.
#pragma once

#include "broker/types.h"
#include "storage/result.h"
#include "waymaker/streams.pb.h"
#include "weir/v1/admin.pb.h"

namespace weir {

result<consumer_config> from_proto(const waymaker::streams::ConsumerConfigPb& given);
consumer_update from_proto(const v1::UpdateConsumerRequest& given);

void to_proto(const consumer_config& config, waymaker::streams::ConsumerConfigPb& out);
void to_proto(const consumer_info& info, waymaker::streams::ConsumerStatePb& out);

}  // namespace weir
