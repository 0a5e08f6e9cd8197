// grpc.reflection.v1 and v1alpha: tells tools like grpcurl what services and messages there are.
//
// One per reactor, stateless. The two versions differ in their package only, so the same bytes serve both.
#pragma once

#include "net/dispatcher.h"

namespace weir {

class reflection_service {
 public:
  void attach(dispatcher& calls);

 private:
  task<result<void>> serve(rpc_stream& call);
};

}  // namespace weir
