#include "tests/bench/weir_consumer.h"

#include <chrono>
#include <limits>

#include "tests/bench/stream_requests.h"
#include "tools/load/bench_report.h"
#include "weir/v1/admin.pb.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

const std::string streams_service = "/waymaker.streams.WaymakerStreamsService/";
const std::string ack_many_path = "/weir.v1.Admin/AckMany";

template <typename Response>
void must_succeed(const std::string& what, const Response& response) {
  if (!response.success()) stop_bench(what + ": " + response.result_code() + ": " + response.message());
}

template <typename Response>
void parse(byte_span bytes, Response& out) {
  if (!out.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) stop_bench("an answer that is no message");
}

template <typename Response, typename Request>
void call(load_client& client, const std::string& method, const Request& request) {
  Response response;
  std::string answer = client.call(streams_service + method, request.SerializeAsString());
  parse(as_bytes(answer), response);
  must_succeed(method, response);
}

}  // namespace

void fill_stream(load_client& client, const std::string& stream, uint64_t messages, size_t payload_bytes) {
  constexpr unsigned in_flight = 256;
  create_stream(client, stream);
  load_method publish = publish_to({stream}, payload_bytes);
  (void)client.run_count(publish, messages, in_flight);
}

void create_consumer(load_client& client, const std::string& stream, const std::string& consumer) {
  constexpr uint64_t ack_wait_ms = 600'000;  // nothing is to come twice, however slow the machine
  pb::CreateConsumerRequest request;
  request.set_stream(stream);
  request.mutable_config()->set_name(consumer);
  request.mutable_config()->set_ack_wait_ms(ack_wait_ms);
  call<pb::CreateConsumerResponse>(client, "CreateConsumer", request);
}

void delete_consumer(load_client& client, const std::string& stream, const std::string& consumer) {
  pb::DeleteConsumerRequest request;
  request.set_stream(stream);
  request.set_consumer(consumer);
  call<pb::DeleteConsumerResponse>(client, "DeleteConsumer", request);
}

double weir_consumer::fetch_and_ack(const work_order& order) {
  return work(order, false, true);
}

double weir_consumer::subscribe_and_ack(const work_order& order) {
  return work(order, true, true);
}

void weir_consumer::fetch_only(const work_order& order) {
  (void)work(order, false, false);
}

double weir_consumer::work(const work_order& order, bool subscribe, bool acknowledge) {
  order_ = &order;
  acknowledge_ = acknowledge;
  open_ = subscribe;
  received_ = acknowledged_ = 0;
  auto started = std::chrono::steady_clock::now();
  if (subscribe) {
    send_subscribe();
  } else {
    send_fetch();
  }
  connection_.flush();
  while (open_ || received_ < order.messages || (acknowledge && acknowledged_ < order.messages)) {
    connection_.receive(*this);
    connection_.flush();
  }
  unacknowledged_.clear();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

void weir_consumer::send(std::string_view path, const google::protobuf::MessageLite& request, tags tag) {
  request_bytes_ = request.SerializeAsString();
  bool sent = tag == of_subscribe ? connection_.start_streaming(path, as_bytes(request_bytes_), tag)
                                  : connection_.start(path, as_bytes(request_bytes_), tag);
  if (!sent) stop_bench("the server gives no room for a request");
}

void weir_consumer::send_fetch() {
  pb::FetchRequest request;
  request.set_stream(order_->stream);
  request.set_consumer(order_->consumer);
  request.set_batch_size(order_->batch);
  send(streams_service + "Fetch", request, of_fetch);
}

void weir_consumer::send_subscribe() {
  pb::SubscribeRequest request;
  request.set_stream(order_->stream);
  request.set_consumer(order_->consumer);
  request.set_batch_size(order_->batch);
  request.set_stop_when_empty(true);
  send(streams_service + "Subscribe", request, of_subscribe);
}

void weir_consumer::send_ack() {
  weir::v1::AckManyRequest request;
  request.set_stream(order_->stream);
  request.set_consumer(order_->consumer);
  request.mutable_seqs()->Add(unacknowledged_.begin(), unacknowledged_.end());
  unacknowledged_.clear();
  send(ack_many_path, request, of_ack);
}

void weir_consumer::take(const pb::MessagePb& message) {
  if (message.seq() != ++received_) stop_bench("message " + std::to_string(message.seq()) + " is out of order");
  if (message.payload().size() != order_->payload_bytes) stop_bench("a payload of another size");
  if (acknowledge_) unacknowledged_.push_back(message.seq());
}

void weir_consumer::streamed(uint64_t, byte_span message) {
  parse(message, event_);
  if (!event_.has_message()) return;
  take(event_.message());
  if (unacknowledged_.size() == order_->batch || (received_ == order_->messages && acknowledge_)) send_ack();
}

void weir_consumer::done(const call_answer& answer) {
  if (answer.grpc_status != 0) {
    stop_bench("a call failed with status " + std::to_string(answer.grpc_status) + ": " +
               std::string(answer.status_message));
  }
  switch (answer.tag) {
    case of_fetch:
      return fetched(answer.response);
    case of_ack:
      return acked(answer.response);
    default:
      open_ = false;
      if (received_ != order_->messages) stop_bench("Subscribe ended early");
  }
}

void weir_consumer::fetched(byte_span response) {
  parse(response, batch_);
  must_succeed("Fetch", batch_);
  if (batch_.messages().empty()) stop_bench("Fetch found nothing after message " + std::to_string(received_));
  for (const pb::MessagePb& message : batch_.messages()) take(message);
  if (received_ < order_->messages) send_fetch();
  if (acknowledge_) send_ack();
}

void weir_consumer::acked(byte_span response) {
  weir::v1::AckManyResponse answer;
  parse(response, answer);
  must_succeed("AckMany", answer);
  acknowledged_ += answer.acked();
}

}  // namespace weir
