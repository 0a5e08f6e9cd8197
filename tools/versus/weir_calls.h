// Unary calls to a weir-server for a comparison: over our own HTTP/2 connection, which costs the machine less than
// gRPC's client does.
#pragma once

#include <string>

#include "tools/load/h2_connection.h"

namespace weir {

// One call at a time, answered when it returns.
class weir_caller final : private call_sink {
 public:
  explicit weir_caller(const std::string& server) : connection_(server) {}
  // The response; a failed call ends the program.
  std::string call(std::string_view path, const std::string& request);

 private:
  void done(const call_answer& answer) override;

  h2_connection connection_;
  bool answered_ = false;
  std::string response_;
};

void create_weir_stream(const std::string& server, const std::string& stream);
void create_weir_consumer(const std::string& server, const std::string& stream, const std::string& consumer);
// Delivered and not acknowledged.
uint64_t weir_pending(weir_caller& caller, const std::string& stream, const std::string& consumer);

// Ends the program unless the call's status is OK; UNIMPLEMENTED ends it as unavailable.
void must_be_ok(std::string_view path, int grpc_status, std::string_view message);

}  // namespace weir
