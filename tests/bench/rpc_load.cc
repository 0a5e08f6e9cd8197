#include "tests/bench/rpc_load.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "storage/check.h"

namespace weir {
namespace {

using clock = std::chrono::steady_clock;

struct open_call {
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer response;
  grpc::Status status;
  clock::time_point started;
};

}  // namespace

double load_outcome::percentile_us(double p) const {
  if (latencies_ns.empty()) return 0;
  auto at = static_cast<size_t>(p / 100 * static_cast<double>(latencies_ns.size() - 1));
  return latencies_ns[at] / 1000.0;
}

load_outcome run_load(const load_config& config) {
  grpc::ChannelArguments settings;
  settings.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  grpc::GenericStub stub(grpc::CreateCustomChannel(config.target, grpc::InsecureChannelCredentials(), settings));
  grpc::CompletionQueue queue;
  grpc::Slice bytes(config.message.data(), config.message.size());
  grpc::ByteBuffer request(&bytes, 1);
  std::vector<open_call> calls(config.in_flight);
  auto start = [&](open_call& one) {
    one.context.emplace();
    one.context->set_wait_for_ready(true);
    one.response.Clear();
    one.started = clock::now();
    one.reader = stub.PrepareUnaryCall(&*one.context, config.path, request, &queue);
    one.reader->StartCall();
    one.reader->Finish(&one.response, &one.status, &one);
  };
  for (open_call& one : calls) start(one);
  auto measure_from = clock::now() + config.warm_up;
  auto end = measure_from + config.duration;
  load_outcome outcome;
  size_t open = calls.size();
  while (open != 0) {
    void* tag = nullptr;
    bool ok = false;
    WEIR_CHECK(queue.Next(&tag, &ok));
    auto& one = *static_cast<open_call*>(tag);
    auto now = clock::now();
    if (now >= measure_from && now < end) {
      ++outcome.calls;
      if (!one.status.ok()) ++outcome.failed;
      auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(now - one.started).count();
      outcome.latencies_ns.push_back(static_cast<uint32_t>(std::min<int64_t>(took, UINT32_MAX)));
    }
    if (now < end) {
      start(one);
    } else {
      --open;
    }
  }
  outcome.seconds = std::chrono::duration<double>(config.duration).count();
  std::sort(outcome.latencies_ns.begin(), outcome.latencies_ns.end());
  queue.Shutdown();
  return outcome;
}

}  // namespace weir
