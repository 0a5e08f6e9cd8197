#include "tests/net/test_server.h"

#include "storage/check.h"

namespace weir {

test_server::test_server(unsigned shards) {
  options_.listen = "127.0.0.1:0";
  options_.admin = "127.0.0.1:0";
  options_.data = folder_.path() + "/data";
  options_.shards = shards;
  options_.storage.journal.segment_bytes = 4u << 20;
  options_.storage.journal.batch_bytes_max = 2u << 20;
  options_.broker.payload_bytes_max = 1u << 20;
  start();
}

void test_server::start() {
  auto started = server::start(options_);
  WEIR_CHECK(started);
  server_ = std::move(*started);
}

void test_server::restart() {
  auto stopped = server_->stop();
  WEIR_CHECK(stopped);
  server_.reset();
  start();
}

}  // namespace weir
