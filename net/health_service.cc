#include "net/health_service.h"

#include <algorithm>

#include "grpc/health/v1/health.pb.h"
#include "net/typed.h"

namespace weir {

namespace pb = grpc::health::v1;

// Resumes at the next set_serving(), or when the watcher is gone.
struct health_service::change_awaiter {
  health_service& self;
  std::coroutine_handle<> caller;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    caller = handle;
    self.waiting_.push_back(this);
  }
  void await_resume() const noexcept {}
};

health_service::health_service() {
  known_.insert("");
  for (const method_row& row : method_table()) {
    known_.emplace(row.path.substr(1, row.path.rfind('/') - 1));
  }
}

void health_service::attach(dispatcher& calls) {
  calls.implement("/grpc.health.v1.Health/Check", raw(*this, &health_service::check));
  calls.implement_stream("/grpc.health.v1.Health/Watch", typed_stream(*this, &health_service::watch));
}

void health_service::set_serving(bool serving) {
  serving_ = serving;
  wake();
}

void health_service::wake() {
  std::vector<change_awaiter*> all;
  all.swap(waiting_);
  for (change_awaiter* one : all) one->caller.resume();
}

int health_service::status_of(const std::string& service) const {
  if (!known_.contains(service)) return pb::HealthCheckResponse::SERVICE_UNKNOWN;
  return serving_ ? pb::HealthCheckResponse::SERVING : pb::HealthCheckResponse::NOT_SERVING;
}

task<result<reply>> health_service::check(byte_span bytes, call_context&) {
  pb::HealthCheckRequest asked;
  if (!bytes.empty()) {
    result<void> parsed = parse_message(bytes, asked);
    if (!parsed) co_return std::move(parsed).err();
  }
  int status = status_of(asked.service());
  if (status == pb::HealthCheckResponse::SERVICE_UNKNOWN) {
    co_return fail(errc::not_found, "unknown service '" + asked.service() + "'");
  }
  pb::HealthCheckResponse response;
  response.set_status(static_cast<pb::HealthCheckResponse::ServingStatus>(status));
  co_return serialize(response);
}

task<result<void>> health_service::watch(const request& asked, rpc_stream& call) {
  call.on_gone([this] { wake(); });
  std::string service = asked.service();
  int told = -1;
  while (!call.gone()) {
    int status = status_of(service);
    if (status != told) {
      pb::HealthCheckResponse response;
      response.set_status(static_cast<pb::HealthCheckResponse::ServingStatus>(status));
      reply message = serialize(response);
      told = status;
      bool sent = co_await call.write(message);
      if (!sent) break;
      continue;  // it may have changed meanwhile
    }
    change_awaiter change{*this, nullptr};
    co_await change;
  }
  co_return ok();
}

}  // namespace weir
