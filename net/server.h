// server: the whole broker in one object: data directory, pool, cores, front. What weir-server runs, and what tests run
// in their own process.
//
// start() and stop() on one thread (main); prepare_grpc() was called before. start() returns when clients are served;
// stop() stops accepting, lets open calls finish (up to stop_grace_ms), syncs, ends every thread. The destructor stops.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/core.h"
#include "net/data_directory.h"
#include "net/front.h"
#include "net/server_options.h"
#include "net/system_clock.h"

namespace weir {

class server {
 public:
  // invalid_argument: an option asks for what cannot be, or is not safe. locked, foreign_directory, unavailable,
  // storage_failed, disk_full: as their makers say.
  static result<std::unique_ptr<server>> start(const server_options& options,
                                               std::function<void(int signal)> on_signal = nullptr);
  server(const server&) = delete;
  ~server();

  std::string listen_address() const { return front_->listen_address(); }
  std::string admin_address() const { return front_->admin_address(); }
  const std::string& data() const { return directory_.path(); }
  size_t shards() const { return cores_.size(); }
  core& at(size_t shard) { return *cores_[shard]; }

  // The first error of a shard that could not end cleanly.
  result<void> stop();

 private:
  server(const server_options& options, data_directory directory);
  void make_cores();
  result<void> open_shards();
  result<void> stop_cores();
  void await_handlers(std::chrono::system_clock::time_point deadline);

  const server_options options_;
  data_directory directory_;
  system_clock clock_;
  worker_pool pool_;
  std::vector<std::unique_ptr<core>> cores_;
  std::unique_ptr<shard_map> shards_;
  std::unique_ptr<front> front_;
  bool stopped_ = false;
};

}  // namespace weir
