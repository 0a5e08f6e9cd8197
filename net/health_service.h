// grpc.health.v1: tells whether the broker serves. Check is also the RPC that does nothing, for benchmarks.
//
// One per reactor, on its thread. Known services: "" (the whole broker) and every service that has a row. set_serving()
// wakes the watchers.
#pragma once

#include <coroutine>
#include <string>
#include <unordered_set>
#include <vector>

#include "net/dispatcher.h"

namespace grpc::health::v1 {
class HealthCheckRequest;
}

namespace weir {

class health_service {
 public:
  health_service();
  void attach(dispatcher& calls);
  void set_serving(bool serving);

 private:
  using request = grpc::health::v1::HealthCheckRequest;
  struct change_awaiter;

  task<result<reply>> check(byte_span bytes, call_context& call);
  task<result<void>> watch(const request& asked, rpc_stream& call);
  int status_of(const std::string& service) const;
  void wake();

  std::unordered_set<std::string> known_;
  bool serving_ = false;
  std::vector<change_awaiter*> waiting_;
};

}  // namespace weir
