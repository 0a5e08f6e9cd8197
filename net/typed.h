// Handlers that speak protobuf: turns a service's method into the handler that the dispatcher takes.
//
//   calls.implement(path, typed(*this, &streams_service::create_stream));
//   task<result<pb::CreateStreamResponse>> create_stream(const pb::CreateStreamRequest& request, call_context& call);
//
// The service outlives the dispatcher. Hot methods take the bytes themselves instead (call_context.h).
#pragma once

#include <google/protobuf/message.h>

#include <utility>

#include "net/call_context.h"

namespace weir {

// invalid_argument, naming the message type and what is wrong with it, if the bytes are not such a message. What it
// holds after a failure is unspecified.
result<void> parse_message(byte_span bytes, google::protobuf::Message& into);

reply serialize(const google::protobuf::Message& message);

namespace detail {

template <class Service, class Request, class Response>
task<result<reply>> run_typed(Service& service,
                              task<result<Response>> (Service::*method)(const Request&, call_context&), byte_span bytes,
                              call_context& call) {
  Request request;
  result<void> parsed = parse_message(bytes, request);
  if (!parsed) co_return std::move(parsed).err();
  task<result<Response>> work = (service.*method)(request, call);
  result<Response> outcome = co_await std::move(work);
  if (!outcome) co_return std::move(outcome).err();
  co_return serialize(*outcome);
}

template <class Service, class Request>
task<result<void>> run_typed_stream(Service& service,
                                    task<result<void>> (Service::*method)(const Request&, rpc_stream&),
                                    rpc_stream& call) {
  Request request;
  auto first = co_await call.read();
  if (!first) co_return fail(errc::invalid_argument, "the call ended before its request was complete");
  result<void> parsed = parse_message(*first, request);
  if (!parsed) co_return std::move(parsed).err();
  task<result<void>> work = (service.*method)(request, call);
  result<void> outcome = co_await std::move(work);
  co_return outcome;
}

}  // namespace detail

template <class Service, class Request, class Response>
unary_handler typed(Service& service, task<result<Response>> (Service::*method)(const Request&, call_context&)) {
  return [&service, method](byte_span bytes, call_context& call) {
    return detail::run_typed(service, method, bytes, call);
  };
}

// Server streams: one request, then writes.
template <class Service, class Request>
stream_handler typed_stream(Service& service, task<result<void>> (Service::*method)(const Request&, rpc_stream&)) {
  return [&service, method](rpc_stream& call) { return detail::run_typed_stream(service, method, call); };
}

// Methods that take the bytes, and streams that read for themselves.
template <class Service>
unary_handler raw(Service& service, task<result<reply>> (Service::*method)(byte_span, call_context&)) {
  return [&service, method](byte_span bytes, call_context& call) { return (service.*method)(bytes, call); };
}
template <class Service>
stream_handler raw_stream(Service& service, task<result<void>> (Service::*method)(rpc_stream&)) {
  return [&service, method](rpc_stream& call) { return (service.*method)(call); };
}

}  // namespace weir
