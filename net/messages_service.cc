#include "net/messages_service.h"

#include "net/parse_fault.h"
#include "net/publish_lane.h"
#include "net/record_wire.h"
#include "net/typed.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

template <class Response>
result<reply> failed_bytes(const error& failure) {
  result<Response> response = failed<Response>(failure);
  if (!response) return std::move(response).err();
  return serialize(*response);
}

// The requests of an atomic publish, which name one stream.
result<std::vector<publish_request>> one_stream(const std::deque<decoded_publish>& decoded, size_t messages_max) {
  if (decoded.empty()) return fail(errc::invalid_argument, "messages is empty: there is nothing to publish");
  if (decoded.size() > messages_max) {
    return fail(errc::invalid_argument,
                "messages takes at most atomic-messages-max = " + std::to_string(messages_max) + " of them");
  }
  std::vector<publish_request> run;
  run.reserve(decoded.size());
  for (const decoded_publish& one : decoded) {
    if (one.request.stream != decoded.front().request.stream) {
      return fail(errc::invalid_argument,
                  "messages[" + std::to_string(run.size()) + "].stream is not that of the first: one stream a call");
    }
    run.push_back(one.request);
  }
  return run;
}

}  // namespace

void messages_service::attach(dispatcher& calls) {
  const std::string service = "/waymaker.streams.WaymakerStreamsService/";
  calls.implement(service + "Publish", raw(*this, &messages_service::publish));
  calls.implement("/weir.v1.Broker/PublishAll", raw(*this, &messages_service::publish_all));
  calls.implement_stream("/weir.v1.Broker/Publish", raw_stream(*this, &messages_service::publish_frames));
  calls.implement(service + "ReadLatestAtSubject", raw(*this, &messages_service::read_latest));
  calls.implement(service + "ListSubjectsByPrefix", typed(*this, &messages_service::list_subjects));
  calls.implement(service + "ScanExactAtSubject", raw(*this, &messages_service::scan));
}

task<result<reply>> messages_service::publish(byte_span bytes, call_context&) {
  decoded_publish decoded;
  if (!decode_publish(bytes, decoded)) {
    co_return fail(errc::invalid_argument, parse_fault(bytes, *pb::PublishRequest::descriptor()));
  }
  auto append = [&decoded](shard& there) { return there.publish(decoded.request); };
  result<published> done = co_await shards_.ask(here_, decoded.request.stream, append);
  if (done) co_return encode_published(*done);
  if (is_status(done.err().code)) co_return std::move(done).err();
  pb::PublishResponse refused = *failed<pb::PublishResponse>(done.err());
  if (done.err().code == errc::wrong_revision) refused.set_seq(done.err().detail);
  co_return serialize(refused);
}

task<result<reply>> messages_service::publish_all(byte_span bytes, call_context&) {
  std::deque<decoded_publish> decoded;
  if (!decode_publish_all(bytes, limits_.atomic_messages_max, decoded)) {
    co_return fail(errc::invalid_argument, parse_fault(bytes, *v1::PublishAllRequest::descriptor()));
  }
  result<std::vector<publish_request>> run = one_stream(decoded, limits_.atomic_messages_max);
  if (!run) co_return failed_bytes<v1::PublishAllResponse>(run.err());
  auto append = [&run](shard& there) { return there.publish_all(std::move(*run)); };
  result<seq_no> first = co_await shards_.ask(here_, decoded.front().request.stream, append);
  if (!first) co_return failed_bytes<v1::PublishAllResponse>(first.err());
  auto response = succeeded<v1::PublishAllResponse>();
  response.set_first_seq(first->raw());
  co_return serialize(response);
}

task<result<void>> messages_service::publish_frames(rpc_stream& call) {
  publish_lane lane(here_, shards_, lane_limits_, call);
  auto outcome = co_await lane.run();
  co_return outcome;
}

task<result<reply>> messages_service::read_latest(byte_span bytes, call_context&) {
  pb::ReadLatestAtSubjectRequest request;
  result<void> parsed = parse_message(bytes, request);
  if (!parsed) co_return std::move(parsed).err();
  auto look = [&](shard& there) { return there.read_latest(request.stream(), request.subject()); };
  result<std::optional<found_record>> found = co_await shards_.ask(here_, request.stream(), look);
  if (!found) co_return failed_bytes<pb::ReadLatestAtSubjectResponse>(found.err());
  reply out;
  out.head = success_head;
  message_run run(out);
  if (*found) {
    result<void> added = run.add_reencoded(**found, 0);
    if (!added) co_return std::move(added).err();
  }
  run.finish();
  co_return out;
}

task<result<pb::ListSubjectsByPrefixResponse>> messages_service::list_subjects(
    const pb::ListSubjectsByPrefixRequest& request, call_context&) {
  auto look = [&](shard& there) { return there.list_subjects(request.stream(), request.prefix()); };
  result<std::vector<std::string>> found = co_await shards_.ask(here_, request.stream(), look);
  if (!found) co_return failed<pb::ListSubjectsByPrefixResponse>(found.err());
  auto response = succeeded<pb::ListSubjectsByPrefixResponse>();
  for (std::string& subject : *found) response.add_subjects(std::move(subject));
  co_return response;
}

task<result<reply>> messages_service::scan(byte_span bytes, call_context&) {
  pb::ScanExactAtSubjectRequest request;
  result<void> parsed = parse_message(bytes, request);
  if (!parsed) co_return std::move(parsed).err();
  scan_query query{request.stream(), request.subject(), request.from_seq(), request.limit()};
  auto look = [&](shard& there) { return there.scan_subject(query); };
  result<scan_result> found = co_await shards_.ask(here_, request.stream(), look);
  if (!found) co_return failed_bytes<pb::ScanExactAtSubjectResponse>(found.err());
  auto response = succeeded<pb::ScanExactAtSubjectResponse>();
  if (!found->damaged.empty()) {
    std::string text = "data_loss: damaged and not served:";
    for (seq_no seq : found->damaged) text += " " + std::to_string(seq.raw());
    response.set_message(text);
  }
  reply out = serialize(response);
  message_run run(out);
  for (const found_record& record : found->records) {
    result<void> added = run.add_reencoded(record, 0);
    if (!added) co_return std::move(added).err();
  }
  run.finish();
  co_return out;
}

}  // namespace weir
