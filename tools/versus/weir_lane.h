// weir's fast lane, weir.v1.Broker: Publish with many records a frame, and Consume, over our own HTTP/2 connection.
#pragma once

#include "tools/versus/worker.h"

namespace weir {

std::unique_ptr<publisher_link> make_lane_publisher(const versus_options& options);
std::unique_ptr<consumer_link> make_lane_consumer(const versus_options& options);

}  // namespace weir
