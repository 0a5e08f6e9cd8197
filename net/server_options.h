// Everything an operator can set, each with a name, a default and bounds: by flag (`--connections-max 100`) or in the
// JSON file of --config (`{"connections-max": 100}`, '_' for '-' is fine). Flags win over the file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/limits.h"
#include "net/dispatcher.h"
#include "net/listener.h"
#include "net/rpc_server.h"
#include "storage/result.h"
#include "storage/store.h"

namespace weir {

struct server_options {
  std::string listen = "127.0.0.1:7460";
  std::string admin = "127.0.0.1:7461";
  std::string data = "./weir-data";
  std::optional<unsigned> shards;  // absent: what the data directory has, or one per core
  bool insecure = false;           // listen beyond loopback without TLS
  std::string poller = "poll";
  bool pin = true;  // a core for each reactor
  unsigned pool_threads = 2;
  unsigned stop_grace_ms = 10'000;
  size_t subscriptions_bytes_max = 32u << 20;     // taken for all subscriptions together, not yet written
  size_t publish_inflight_bytes_max = 16u << 20;  // frames of one Publish call placed and not answered, in bytes
  uint32_t publish_inflight_frames_max = 1'024;   // and how many
  std::string log_level = "info";
  rpc_settings rpc;
  dispatcher_limits calls;
  listener_limits connections;
  broker_limits broker;
  store_config storage;
};

// What the command line asks for.
struct command {
  enum class kind { run, help, version } what = kind::run;
  std::string text;  // of help and version
  server_options options;
};

// invalid_argument: one sentence that names the option and what it takes. Reads the --config file.
result<command> parse_command_line(int argc, const char* const* argv);

// Applies the text of a configuration file.
result<void> apply_config(const std::string& json_text, server_options& options);

// Checks what single values cannot tell: that they fit together.
result<void> check_options(const server_options& options);

}  // namespace weir
