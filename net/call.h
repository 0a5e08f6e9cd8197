// call: one RPC, from the request for it to the last of its completions. Only dispatcher.cc and call.cc see it.
//
// The dispatcher owns it and uses it again for the next RPC. It may be used again only when every operation it started
// has come back, the done notification included, and its handler has ended: `pending_` counts them.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server_context.h>

#include <optional>

#include "net/completion_tag.h"
#include "net/dispatcher.h"

namespace weir {

class call final : public rpc_stream {
 public:
  explicit call(dispatcher& home);
  call(const call&) = delete;

  // Asks the server for the next RPC.
  void request();
  // Ready to be used again.
  void reset();
  // The server is stopping: the handler sees gone().
  void tell_stop();
  // The client does not take what is being written to it: nothing can be told to it, cancels the call.
  void cut_if_stalled();

  bool gone() const override { return gone_; }
  std::string peer() const override { return context_->peer(); }
  void on_gone(std::function<void()> hook) override;
  void stop_reading() override;
  void finish_on_stop() override { finishes_on_stop_ = true; }
  std::unique_ptr<held_message> hold_message() override;

 private:
  template <void (call::*Handler)(bool)>
  struct tag final : completion_tag {
    explicit tag(call& c) : completion_tag{&tag::fire}, self(c) {}
    static void fire(completion_tag* which, bool ok) { (static_cast<tag*>(which)->self.*Handler)(ok); }
    call& self;
  };
  // A coroutine that nobody awaits: it owns itself, and counts in pending_.
  struct detached {
    struct promise_type {
      detached get_return_object() noexcept { return {}; }
      std::suspend_never initial_suspend() noexcept { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() noexcept {}
      [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
    };
  };

  void on_requested(bool ok);
  void on_read(bool ok);
  void on_written(bool ok);
  void on_finished(bool ok);
  void on_done(bool ok);

  void dispatch();
  void refuse(grpc::StatusCode code, const std::string& message);
  void on_unary_request(bool ok);
  bool take_message();
  void drop_message();
  void begin_handling();
  detached serve_unary();
  detached serve_stream();
  void answer(reply& message);
  void finish(const grpc::Status& status);
  void finish(const error& failure);
  void turn_gone();
  void release();

  bool start_read(operation& op) override;
  bool start_write(operation& op, reply& message, bool more) override;
  bool start_open(operation& op) override;
  byte_span message() const override { return {incoming_.begin(), incoming_.size()}; }

  dispatcher& home_;
  tag<&call::on_requested> requested_{*this};
  tag<&call::on_read> read_{*this};
  tag<&call::on_written> written_{*this};
  tag<&call::on_finished> finished_{*this};
  tag<&call::on_done> done_{*this};

  std::optional<grpc::GenericServerContext> context_;
  std::optional<grpc::GenericServerAsyncReaderWriter> stream_;
  const method_entry* method_ = nullptr;
  int pending_ = 0;
  bool gone_ = false;
  bool finishes_on_stop_ = false;
  bool told_of_stop_ = false;
  bool streaming_ = false;
  bool handled_ = false;
  bool opened_ = false;           // the headers are sent, or going with a message
  std::optional<error> verdict_;  // on the stream's input; goes before what the handler says
  std::function<void()> gone_hook_;
  operation* reader_ = nullptr;
  operation* writer_ = nullptr;
  bool read_pending_ = false;
  grpc::ByteBuffer buffer_;
  grpc::Slice incoming_;
  size_t held_bytes_ = 0;  // of incoming_, as counted in the dispatcher's metrics
};

}  // namespace weir
