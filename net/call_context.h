// What a handler sees of the RPC it answers: its context, its messages as bytes, and for the streaming shapes a stream
// to read and write. No gRPC here: the types of the transport stay in call.cc, dispatcher.cc and rpc_server.cc.
//
// All of it lives on the reactor that the connection belongs to, as long as the handler's coroutine runs; a handler
// that goes to another shard comes back before it touches them again (cross.h).
#pragma once

#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/bytes.h"
#include "storage/result.h"
#include "storage/task.h"

namespace weir {

// The bytes of one message to send: `head`, then `body`, whose slices are sent without copying.
struct reply {
  std::string head;
  std::vector<slice> body;
};

class call_context {
 public:
  // True once nobody waits for the answer: cancelled, past its deadline, disconnected; what can wait for long, streams
  // and calls with a hook, also when the server stops. A handler may look; a unary answer to nobody is dropped.
  virtual bool gone() const = 0;
  virtual std::string peer() const = 0;
  // `hook` is called once when gone() turns true; for handlers that wait for something else than read and write. Once a
  // call, from its handler, before it is gone. A unary call with a hook is gone when the server stops, too.
  virtual void on_gone(std::function<void()> hook) = 0;

 protected:
  ~call_context() = default;
};

// What keeps the bytes of a message alive.
class held_message {
 public:
  virtual ~held_message() = default;
};

// A streaming call. At most one read() and one write() under way at a time.
class rpc_stream : public call_context {
 public:
  struct operation {
    std::coroutine_handle<> caller;
    bool good = false;
  };

  struct read_awaiter {
    rpc_stream& self;
    operation op;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> caller) {
      op.caller = caller;
      return self.start_read(op);
    }
    std::optional<byte_span> await_resume() {
      if (!op.good) return std::nullopt;
      return self.message();
    }
  };
  // The next request message, valid until the next read(); nullopt when the peer has sent its last, or is gone.
  read_awaiter read() { return read_awaiter{*this, {}}; }
  // After a read(): its message is valid as long as what this returns, and counts as held by the handler.
  virtual std::unique_ptr<held_message> hold_message() = 0;

  // Resolves a read() under way with nullopt: for a handler that ends while its client may still send.
  virtual void stop_reading() = 0;

  // When the server stops, reads end as if the peer had sent its last, and writes go on: for a handler that then tells
  // what it has done, and ends. The call's status says UNAVAILABLE all the same. First thing of the handler.
  virtual void finish_on_stop() = 0;

  struct write_awaiter {
    rpc_stream& self;
    reply& message;
    bool more;
    operation op;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> caller) {
      op.caller = caller;
      return self.start_write(op, message, more);
    }
    bool await_resume() const { return op.good; }
  };
  // Sends one message; resolves when the transport took it: that is the flow control. False: the peer is gone, end.
  // more: another write follows at once, so this one need not be flushed.
  write_awaiter write(reply& message, bool more = false) { return write_awaiter{*this, message, more, {}}; }

  struct open_awaiter {
    rpc_stream& self;
    operation op;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> caller) {
      op.caller = caller;
      return self.start_open(op);
    }
    bool await_resume() const { return op.good; }
  };
  // Sends the headers before there is a message: the client learns that the call is being served. Before any write().
  open_awaiter open() { return open_awaiter{*this, {}}; }

 protected:
  // False: already over, the caller goes on at once with op.good as it is.
  virtual bool start_read(operation& op) = 0;
  virtual bool start_write(operation& op, reply& message, bool more) = 0;
  virtual bool start_open(operation& op) = 0;
  virtual byte_span message() const = 0;
  ~rpc_stream() = default;
};

// The request's bytes live until the task has ended. An error becomes the gRPC status of its code.
using unary_handler = std::function<task<result<reply>>(byte_span request, call_context& call)>;
// Reads its request messages itself, for server streams too; ends the stream with its result.
using stream_handler = std::function<task<result<void>>(rpc_stream& call)>;

}  // namespace weir
