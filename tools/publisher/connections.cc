#include "tools/publisher/connections.h"

#include "storage/check.h"
#include "tools/channel.h"

namespace weir {
namespace {

// gRPC's deadlines: a time in the past is "do not wait" and needs no clock read there.
gpr_timespec to_deadline(steady_time until) {
  if (until == steady_time::min()) return gpr_inf_past(GPR_CLOCK_MONOTONIC);
  const auto now = std::chrono::steady_clock::now();
  if (until <= now) return gpr_inf_past(GPR_CLOCK_MONOTONIC);
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(until - now).count();
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(ns, GPR_TIMESPAN));
}

}  // namespace

connections::connections(const std::string& server, size_t channels, size_t calls) : calls_(calls) {
  for (size_t i = 0; i < channels; ++i) {
    stubs_.push_back(waymaker::streams::WaymakerStreamsService::NewStub(open_channel(server)));
  }
  free_.reserve(calls);
  for (size_t i = calls; i > 0; --i) {
    calls_[i - 1].stub = stubs_[(i - 1) % channels].get();
    free_.push_back(&calls_[i - 1]);
  }
}

connections::~connections() {
  WEIR_CHECK(under_way_ == 0);
  queue_.Shutdown();
  void* tag = nullptr;
  bool good = false;
  while (queue_.Next(&tag, &good)) {
  }
}

publish_call& connections::free_call() {
  WEIR_CHECK(!free_.empty());
  publish_call& call = *free_.back();
  free_.pop_back();
  return call;
}

void connections::start(publish_call& call) {
  ++under_way_;
  call.reader.reset();
  call.context.emplace();
  call.reader = call.stub->PrepareAsyncPublish(&*call.context, call.request, &queue_);
  call.reader->StartCall();
  call.reader->Finish(&call.response, &call.status, &call);
}

publish_call* connections::next_done(steady_time until) {
  void* tag = nullptr;
  bool good = false;
  if (queue_.AsyncNext(&tag, &good, to_deadline(until)) != grpc::CompletionQueue::GOT_EVENT) return nullptr;
  --under_way_;
  return static_cast<publish_call*>(tag);
}

void connections::release(publish_call& call) {
  free_.push_back(&call);
}

void connections::cancel() {
  for (publish_call& call : calls_) {
    if (call.context) call.context->TryCancel();
  }
}

}  // namespace weir
