// JetStream's batched fast ingest (nats-server 2.14): one batch that lasts as long as the publishing. A message names
// its place in the batch in its reply subject; the server acknowledges every so many messages, cumulatively.
//
// libnats has no call for it, so this speaks it over the library's plain publish and subscribe.
#pragma once

#include "tools/versus/worker.h"

namespace weir {

std::unique_ptr<publisher_link> make_batched_publisher(const versus_options& options);
// A stream that takes batches; the library cannot make one.
void create_batched_stream(const versus_options& options);

}  // namespace weir
