#include "net/call.h"

#include <algorithm>

#include "storage/check.h"

namespace weir {
namespace {

constexpr size_t status_message_bytes_max = 1024;  // it travels as a header

grpc::Status to_status(const error& failure) {
  return grpc::Status(static_cast<grpc::StatusCode>(info(failure.code).grpc_status),
                      failure.message.substr(0, status_message_bytes_max));
}

void drop_chunk(void* held) {
  delete static_cast<chunk_ref*>(held);
}

// The transport keeps the chunk until the bytes are sent; it never writes to them.
grpc::Slice share(const slice& part) {
  auto* held = new chunk_ref(part.owner());
  return grpc::Slice(const_cast<uint8_t*>(part.data()), part.size(), &drop_chunk, held);
}

grpc::ByteBuffer to_buffer(const reply& message) {
  grpc::Slice head(message.head.data(), message.head.size());
  if (message.body.empty()) return grpc::ByteBuffer(&head, 1);
  std::vector<grpc::Slice> parts;
  parts.reserve(message.body.size() + 1);
  if (head.size() != 0) parts.push_back(std::move(head));
  for (const slice& part : message.body) parts.push_back(share(part));
  return grpc::ByteBuffer(parts.data(), parts.size());
}

}  // namespace

call::call(dispatcher& home) : home_(home) {}

void call::request() {
  context_.emplace();
  stream_.emplace(&*context_);
  context_->AsyncNotifyWhenDone(done_.as_tag());
  home_.server_.calls().RequestCall(&*context_, &*stream_, &home_.server_.queue(), &home_.server_.queue(),
                                    requested_.as_tag());
}

void call::reset() {
  stream_.reset();
  context_.reset();
  method_ = nullptr;
  gone_ = finishes_on_stop_ = told_of_stop_ = streaming_ = handled_ = opened_ = false;
  verdict_.reset();
  gone_hook_ = nullptr;
  buffer_.Clear();
  drop_message();
}

void call::on_requested(bool ok) {
  if (!ok) {  // the server is shut down; done_ never comes for a call that never began
    home_.recycle(*this);
    return;
  }
  pending_ = 1;  // done_
  ++home_.metrics_.calls;
  ++home_.metrics_.live;
  home_.request_call();
  dispatch();
}

void call::dispatch() {
  auto found = home_.methods_.find(context_->method());
  if (found == home_.methods_.end()) {
    return refuse(grpc::StatusCode::UNIMPLEMENTED, "no such method: " + context_->method());
  }
  method_ = &found->second;
  if (home_.stopping_) return refuse(grpc::StatusCode::UNAVAILABLE, "the server is stopping");
  if (home_.metrics_.live > home_.limits_.calls_max) {
    return refuse(grpc::StatusCode::RESOURCE_EXHAUSTED,
                  "more than calls-max = " + std::to_string(home_.limits_.calls_max) + " calls are open");
  }
  if (method_->row->needs == permission::peer) {
    return refuse(grpc::StatusCode::PERMISSION_DENIED, "for other brokers only, on the peer listener");
  }
  if (!method_->implemented()) {
    return refuse(grpc::StatusCode::UNIMPLEMENTED,
                  "not in this version: " + std::string(method_->row->feature) + " (" + context_->method() + ")");
  }
  if (method_->stream) {
    streaming_ = true;
    home_.told_of_stop_.insert(this);
    serve_stream();
    return;
  }
  ++pending_;
  stream_->Read(&buffer_, read_.as_tag());
}

void call::refuse(grpc::StatusCode code, const std::string& message) {
  ++home_.metrics_.refused;
  finish(grpc::Status(code, message.substr(0, status_message_bytes_max)));
}

void call::on_read(bool ok) {
  if (streaming_) {
    read_pending_ = false;
    if (reader_ != nullptr) {
      operation* waiting = std::exchange(reader_, nullptr);
      waiting->good = ok && !gone_ && take_message();
      waiting->caller.resume();
    }
  } else {
    on_unary_request(ok);
  }
  release();
}

void call::on_unary_request(bool ok) {
  if (!ok) return refuse(grpc::StatusCode::INVALID_ARGUMENT, "the call ended before its request was complete");
  if (!take_message()) return finish(*verdict_);
  serve_unary();
}

// Makes the read buffer one run of bytes, if it is within the limits.
bool call::take_message() {
  drop_message();
  const size_t size = buffer_.Length();
  const size_t limit = method_->row->request_bytes_max;
  const size_t all_max = home_.limits_.open_request_bytes_max;
  if (size > limit) {
    verdict_ = fail(errc::resource_exhausted, "the request has " + std::to_string(size) + " bytes, the limit of " +
                                                  std::string(method_->row->path) + " is " + std::to_string(limit));
  } else if (home_.metrics_.request_bytes + size > all_max) {
    verdict_ = fail(errc::resource_exhausted,
                    "open requests hold more than open-request-bytes-max = " + std::to_string(all_max) + " bytes");
  } else if (size != 0 && !buffer_.TrySingleSlice(&incoming_).ok() && !buffer_.DumpToSingleSlice(&incoming_).ok()) {
    verdict_ = fail(errc::internal, "the request could not be read");
  } else {
    held_bytes_ = size;
    home_.metrics_.request_bytes += size;
  }
  buffer_.Clear();
  return !verdict_;
}

void call::drop_message() {
  incoming_ = grpc::Slice();
  home_.metrics_.request_bytes -= held_bytes_;
  held_bytes_ = 0;
}

std::unique_ptr<held_message> call::hold_message() {
  struct held final : held_message {
    held(grpc::Slice m, size_t s, uint64_t& a) : message(std::move(m)), size(s), all(a) {}
    ~held() override { all -= size; }
    grpc::Slice message;
    size_t size;
    uint64_t& all;
  };
  return std::make_unique<held>(std::exchange(incoming_, {}), std::exchange(held_bytes_, 0),
                                home_.metrics_.request_bytes);
}

void call::begin_handling() {
  ++pending_;
  handled_ = true;
  ++home_.serving_;
}

call::detached call::serve_unary() {
  begin_handling();
  task<result<reply>> handling = method_->unary(message(), *this);
  result<reply> outcome = co_await std::move(handling);
  if (gone_hook_) {
    gone_hook_ = nullptr;
    home_.told_of_stop_.erase(this);
  }
  if (outcome) {
    answer(*outcome);
  } else {
    finish(outcome.err());
  }
  release();
}

call::detached call::serve_stream() {
  begin_handling();
  task<result<void>> handling = method_->stream(*this);
  result<void> outcome = co_await std::move(handling);
  gone_hook_ = nullptr;
  home_.told_of_stop_.erase(this);
  if (verdict_) {
    finish(*verdict_);
  } else if (told_of_stop_ || (home_.stopping_ && gone_)) {
    finish(fail(errc::unavailable, "the server is stopping"));
  } else if (!outcome) {
    finish(outcome.err());
  } else {
    finish(grpc::Status::OK);
  }
  release();
}

void call::answer(reply& message) {
  ++pending_;
  stream_->WriteAndFinish(to_buffer(message), grpc::WriteOptions(), grpc::Status::OK, finished_.as_tag());
}

void call::finish(const error& failure) {
  finish(to_status(failure));
}

void call::finish(const grpc::Status& status) {
  if (!status.ok()) ++home_.metrics_.failed;
  ++pending_;
  stream_->Finish(status, finished_.as_tag());
}

void call::on_finished(bool) {
  release();
}

// After finish(), or before it if the peer cancelled, vanished or let its deadline pass.
void call::on_done(bool) {
  if (context_->IsCancelled()) turn_gone();
  release();
}

void call::tell_stop() {
  ++pending_;  // the handler may end, and everything with it, in here
  if (finishes_on_stop_) {
    told_of_stop_ = true;
    stop_reading();
  } else {
    turn_gone();
  }
  release();
}

void call::cut_if_stalled() {
  if (writer_ != nullptr) context_->TryCancel();
}

void call::turn_gone() {
  if (gone_) return;
  gone_ = true;
  if (auto hook = std::exchange(gone_hook_, nullptr)) {
    home_.told_of_stop_.erase(this);
    hook();
  }
  stop_reading();
}

// A read that is under way ends with the call; its handler need not wait for that.
void call::stop_reading() {
  if (reader_ == nullptr) return;
  operation* waiting = std::exchange(reader_, nullptr);
  waiting->good = false;
  waiting->caller.resume();
}

void call::on_gone(std::function<void()> hook) {
  WEIR_CHECK(!gone_hook_);
  gone_hook_ = std::move(hook);
  home_.told_of_stop_.insert(this);
}

bool call::start_read(operation& op) {
  WEIR_CHECK(reader_ == nullptr);
  op.good = false;
  if (gone_ || told_of_stop_ || verdict_ || read_pending_) return false;
  reader_ = &op;
  read_pending_ = true;
  ++pending_;
  stream_->Read(&buffer_, read_.as_tag());
  return true;
}

bool call::start_write(operation& op, reply& message, bool more) {
  WEIR_CHECK(writer_ == nullptr);
  op.good = false;
  if (gone_) return false;
  writer_ = &op;
  ++pending_;
  grpc::WriteOptions options;
  // Never on the first message: the headers would be held back with it, and the call hang.
  if (more && opened_) options.set_buffer_hint();
  opened_ = true;
  stream_->Write(to_buffer(message), options, written_.as_tag());
  return true;
}

bool call::start_open(operation& op) {
  WEIR_CHECK(writer_ == nullptr && !opened_);
  op.good = false;
  if (gone_) return false;
  writer_ = &op;
  opened_ = true;
  ++pending_;
  stream_->SendInitialMetadata(written_.as_tag());
  return true;
}

void call::on_written(bool ok) {
  operation* waiting = std::exchange(writer_, nullptr);
  waiting->good = ok;
  waiting->caller.resume();
  release();
}

void call::release() {
  if (--pending_ != 0) return;
  --home_.metrics_.live;
  if (handled_) --home_.serving_;
  home_.recycle(*this);
}

}  // namespace weir
