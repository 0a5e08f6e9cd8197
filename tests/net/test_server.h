// A whole server in the test's process, in a folder of its own, and typed calls to it.
#pragma once

#include <doctest/doctest.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>

#include "net/server.h"
#include "tests/net/test_client.h"
#include "tests/sim/temp_dir.h"

namespace weir {

class test_server {
 public:
  explicit test_server(unsigned shards = 2);

  server& running() { return *server_; }
  server_options& options() { return options_; }
  std::string target() const { return server_->listen_address(); }
  // Stops and starts again on the same data.
  void restart();

 private:
  void start();

  temp_dir folder_;
  server_options options_;
  std::unique_ptr<server> server_;
};

// One typed call to WaymakerStreamsService; a status other than OK fails the test.
template <class Response>
Response ask(test_client& client, const std::string& method, const google::protobuf::Message& request) {
  answer got = client.unary("/waymaker.streams.WaymakerStreamsService/" + method, request.SerializeAsString());
  Response response;
  REQUIRE_MESSAGE(got.status.ok(), got.status.error_message());
  REQUIRE(response.ParseFromString(got.only()));
  return response;
}

}  // namespace weir
