#include "net/core.h"

#include <grpcpp/completion_queue.h>

#include <future>
#include <string>

namespace weir {
namespace {

task<void> stop_and_tell(shard& owner, std::promise<result<void>>& outcome) {
  result<void> stopped = co_await owner.stop();
  outcome.set_value(std::move(stopped));
}

}  // namespace

core::core(unsigned index, std::optional<int> cpu, clock_port& clock, const server_options& options)
    : options_(options), clock_(clock), events_(options.broker.watch_events_buffered) {
  auto rpc = std::make_unique<rpc_server>(options.rpc);
  home_ = std::make_unique<reactor>(index, cpu, clock, rpc->take_queue());
  rpc_ = std::move(rpc);
  commits_ = std::make_unique<commit_thread>(*home_, "commit-" + std::to_string(index));
  calls_ = std::make_unique<dispatcher>(*home_, *rpc_, options.calls);
  home_->add_turn_end(flush_);
}

core::~core() = default;

void core::flush::end_of_turn() {
  if (owner == nullptr || holds()) return;
  held_until = 0;
  owner->end_of_turn();
}

bool core::flush::holds() {
  if (!self.home_->busy() || owner->gathered_bytes() >= gather_bytes_max) return false;
  const int64_t now = self.clock_.mono().raw();
  if (held_until == 0) held_until = now + gather_ns_max;
  return now < held_until;
}

result<void> core::open_shard(const std::string& data, worker_pool& pool,
                              const std::vector<watch_relay::place>& everywhere) {
  disk_ = std::make_unique<posix_disk>(data);
  relay_ = std::make_unique<watch_relay>(*home_, everywhere);
  lane& cold = pool.lane_of(*home_);
  result<void> outcome;
  home_->call([&] {
    shard_ports ports{*disk_, *commits_, cold, clock_, home_->deadlines(), *relay_};
    std::string dir = "shard-" + std::to_string(home_->index());
    auto opened = shard::open(ports, dir, options_.broker, options_.storage);
    if (!opened) {
      outcome = std::move(opened).err();
      return;
    }
    shard_ = std::move(*opened);
    flush_.owner = shard_.get();
  });
  return outcome;
}

void core::serve(const shard_map& shards) {
  streams_ = std::make_unique<streams_service>(*home_, shards, events_);
  const publish_limits lane{options_.rpc.receive_bytes_max, options_.broker.batch_messages_max,
                            options_.publish_inflight_bytes_max, options_.publish_inflight_frames_max};
  messages_ = std::make_unique<messages_service>(*home_, shards, options_.broker, lane);
  delivery_ = std::make_unique<delivery_service>(*home_, shards, options_.broker,
                                                 options_.subscriptions_bytes_max / shards.all().size());
  consumers_ = std::make_unique<consumers_service>(*home_, shards);
  admin_ = std::make_unique<admin_service>(*home_, shards);
  home_->call([this] {
    health_.attach(*calls_);
    reflection_.attach(*calls_);
    streams_->attach(*calls_);
    messages_->attach(*calls_);
    delivery_->attach(*calls_);
    consumers_->attach(*calls_);
    admin_->attach(*calls_);
    calls_->start();
  });
}

void core::set_serving(bool serving) {
  home_->call([&] { health_.set_serving(serving); });
}

result<void> core::stop_shard() {
  if (!shard_) return ok();
  std::promise<result<void>> outcome;
  home_->call([&] { stopping_.spawn(stop_and_tell(*shard_, outcome)); });
  result<void> stopped = outcome.get_future().get();
  home_->call([this] {
    WEIR_CHECK(stopping_.running() == 0);
    flush_.owner = nullptr;
  });
  return stopped;
}

core_metrics core::metrics(bool with_consumers) {
  core_metrics now;
  now.index = home_->index();
  now.calls = calls_->metrics();
  now.turns = home_->turns();
  now.bells = home_->bells();
  if (shard_) now.shard = shard_->metrics();
  if (shard_ && with_consumers) now.consumers = shard_->metrics_of_consumers(options_.broker.metrics_consumers_max);
  return now;
}

}  // namespace weir
