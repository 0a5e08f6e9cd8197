// weir by unary calls: Publish with many in flight, Fetch + AckMany.
#pragma once

#include "tools/versus/worker.h"

namespace weir {

std::unique_ptr<publisher_link> make_unary_publisher(const versus_options& options);
std::unique_ptr<consumer_link> make_unary_consumer(const versus_options& options);

}  // namespace weir
