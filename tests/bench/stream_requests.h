// The requests of WaymakerStreamsService that benchmarks send, ready to be repeated by load_client.
#pragma once

#include <cstddef>
#include <string>

#include "tests/bench/load_client.h"

namespace weir {

// A stream with default settings: messages are acknowledged when they are synced.
void create_stream(load_client& client, const std::string& name);
// Publishes one message after the other to the streams in turn; every one must succeed.
load_method publish_to(const std::vector<std::string>& streams, size_t payload_bytes);
// The RPC that does nothing: grpc.health.v1.Health/Check.
load_method empty_rpc();

}  // namespace weir
