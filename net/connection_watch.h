// connection_watch: learns when a connection that was handed to gRPC has ended, which gRPC 1.51 does not tell.
//
// Holds a duplicate of each socket in an epoll set of its own that reports only hang-ups, so data that arrives wakes
// nobody here. Both sides' closing shows: gRPC shuts a socket down before it closes it. Price: two descriptors a
// connection. One thread: the front's.
#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <functional>
#include <unordered_map>

#include "storage/result.h"

namespace weir {

class connection_watch {
 public:
  // on_end(token) for every connection that ended, on the context's thread.
  connection_watch(asio::io_context& context, std::function<void(uint64_t token)> on_end);
  connection_watch(const connection_watch&) = delete;
  ~connection_watch();

  // resource_exhausted when there are no more descriptors.
  result<void> add(int connection, uint64_t token);
  size_t size() const { return tokens_.size(); }
  // No more on_end(); forgets all.
  void stop();

 private:
  void wait();
  void collect();

  asio::posix::stream_descriptor ends_;  // the epoll set
  std::function<void(uint64_t)> on_end_;
  std::unordered_map<int, uint64_t> tokens_;  // by duplicate
};

}  // namespace weir
