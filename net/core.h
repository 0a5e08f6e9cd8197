// core: everything that belongs to one reactor thread: its gRPC server, its shard with the lanes, its services.
//
// Made and stopped by server, on main. The steps in order: construct all cores (the map needs every reactor), start(),
// open_shard(), serve(); then stop_calls(), ... as server.cc spells out.
#pragma once

#include <memory>
#include <optional>

#include "net/admin_service.h"
#include "net/commit_thread.h"
#include "net/consumers_service.h"
#include "net/delivery_service.h"
#include "net/dispatcher.h"
#include "net/health_service.h"
#include "net/messages_service.h"
#include "net/reactor.h"
#include "net/reflection_service.h"
#include "net/rpc_server.h"
#include "net/server_options.h"
#include "net/shard_map.h"
#include "net/streams_service.h"
#include "net/watch_hub.h"
#include "net/worker_pool.h"
#include "storage/posix_disk.h"

namespace weir {

// Numbers of one core, taken on its thread.
struct core_metrics {
  unsigned index = 0;
  dispatcher_metrics calls;
  uint64_t turns = 0;
  uint64_t bells = 0;
  shard_metrics shard;
  std::vector<consumer_metrics> consumers;  // up to metrics_consumers_max
};

class core {
 public:
  core(unsigned index, std::optional<int> cpu, clock_port& clock, const server_options& options);
  core(const core&) = delete;
  ~core();

  reactor& home() { return *home_; }
  rpc_server& rpc() { return *rpc_; }
  watch_hub& events() { return events_; }
  dispatcher& calls() { return *calls_; }
  shard& owner() { return *shard_; }

  // On main, after every core's reactor runs: recovers the shard on its reactor's thread.
  result<void> open_shard(const std::string& data, worker_pool& pool,
                          const std::vector<watch_relay::place>& everywhere);
  // On main, once every shard is open: attaches the services and takes calls.
  void serve(const shard_map& shards);
  void set_serving(bool serving);

  // On main: the shard finishes what is under way and syncs; then its lane ends.
  result<void> stop_shard();
  void stop_commits() { commits_->stop(); }

  core_metrics metrics(bool with_consumers);  // on the reactor's thread

 private:
  // Ends a turn of the reactor with the shard's flush. While the reactor is busy it gathers for a while: what waits in
  // the queue joins the commit, so that a sync covers many small publishes; large ones are on their way at once.
  struct flush final : turn_end {
    static constexpr int64_t gather_ns_max = 1'000'000;
    static constexpr size_t gather_bytes_max = 64 << 10;
    explicit flush(const core& c) : self(c) {}
    void end_of_turn() override;
    bool holds();
    const core& self;
    shard* owner = nullptr;
    int64_t held_until = 0;  // 0: nothing is held
  };

  const server_options& options_;
  clock_port& clock_;
  std::unique_ptr<reactor> home_;
  std::unique_ptr<rpc_server> rpc_;  // after the reactor: destroyed before its queue
  std::unique_ptr<commit_thread> commits_;
  std::unique_ptr<posix_disk> disk_;
  std::unique_ptr<watch_relay> relay_;
  watch_hub events_;
  flush flush_{*this};
  std::unique_ptr<shard> shard_;
  health_service health_;
  reflection_service reflection_;
  std::unique_ptr<streams_service> streams_;
  std::unique_ptr<messages_service> messages_;
  std::unique_ptr<delivery_service> delivery_;
  std::unique_ptr<consumers_service> consumers_;
  std::unique_ptr<admin_service> admin_;
  std::unique_ptr<dispatcher> calls_;
  gate stopping_;
};

}  // namespace weir
