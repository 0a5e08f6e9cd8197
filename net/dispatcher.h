// dispatcher: every call of one reactor's server arrives here, is checked against the method table and given to its
// handler.
//
// One generic service with few outstanding requests instead of one request queue a method: the system's gRPC scans
// all outstanding tags on every completion (ARCHITECTURE.md, "Libraries"). Owned by main; lives on its reactor's thread
// from start() on. Handlers are attached before start().
//
// stop(): new calls get UNAVAILABLE, calls that can wait for long are told to end, the others finish. Then main waits
// until serving() is 0, as long as its patience lasts, calls rpc_server::shutdown(), and waits until live() is 0: a
// handler may outlast its call (its commit is still under way).
#pragma once

#include <chrono>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "net/call_context.h"
#include "net/method_table.h"
#include "net/reactor.h"
#include "net/rpc_server.h"

namespace weir {

class call;

struct dispatcher_limits {
  unsigned requests_outstanding = 8;           // more only spread the same calls over more memory
  size_t calls_max = 20'000;                   // open at a time on one reactor; more get RESOURCE_EXHAUSTED
  size_t open_request_bytes_max = 512u << 20;  // of the messages that handlers hold; likewise
  size_t idle_calls_max = 1'024;               // call objects kept for reuse
};

struct dispatcher_metrics {
  uint64_t calls = 0;    // accepted
  uint64_t failed = 0;   // ended with a status other than OK
  uint64_t refused = 0;  // of those, never given to a handler
  uint64_t live = 0;
  uint64_t request_bytes = 0;  // that handlers hold now
};

// A row of the table with what answers it, if anything does.
struct method_entry {
  const method_row* row = nullptr;
  unary_handler unary;
  stream_handler stream;
  bool implemented() const { return unary || stream; }
};

class dispatcher {
 public:
  // The client listener serves no peer RPC: they answer PERMISSION_DENIED.
  dispatcher(reactor& home, rpc_server& server, const dispatcher_limits& limits);
  dispatcher(const dispatcher&) = delete;
  ~dispatcher();

  // Attaches the handler of a row. A path without a row, a wrong shape or a second handler is a bug.
  void implement(std::string_view path, unary_handler handler);
  void implement_stream(std::string_view path, stream_handler handler);

  void start();
  void stop();
  // After stop(): cancels streams whose client has not taken what was written to it.
  void cut_stalled();
  size_t live() const { return metrics_.live; }
  size_t serving() const { return serving_; }  // of those, given to a handler
  bool stopping() const { return stopping_; }
  dispatcher_metrics metrics() const { return metrics_; }
  reactor& home() { return home_; }

 private:
  friend class call;
  method_entry& row_to_implement(std::string_view path);
  void request_call();
  void recycle(call& finished);

  reactor& home_;
  rpc_server& server_;
  const dispatcher_limits limits_;
  std::unordered_map<std::string_view, method_entry> methods_;
  std::unordered_map<call*, std::unique_ptr<call>> calls_;  // all there are
  std::vector<call*> idle_;
  std::unordered_set<call*> told_of_stop_;  // streams, and unary calls with a hook
  dispatcher_metrics metrics_;
  size_t serving_ = 0;
  bool stopping_ = false;
};

}  // namespace weir
