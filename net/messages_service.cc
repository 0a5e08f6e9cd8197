#include "net/messages_service.h"

#include "net/parse_fault.h"
#include "net/publish_wire.h"
#include "net/typed.h"
#include "storage/codec.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;

constexpr std::string_view success_head("\x08\x01\x12\x02ok", 6);  // success, result_code "ok"
constexpr uint8_t messages_tag = 0x22;                             // field 4 of every response with records

template <class Response>
result<reply> failed_bytes(const error& failure) {
  result<Response> response = failed<Response>(failure);
  if (!response) return std::move(response).err();
  return serialize(*response);
}

// Stored bytes were checked when they were loaded; if they cannot be taken apart now, memory is damaged.
result<void> add_reencoded(message_run& run, const found_record& record, uint32_t deliver_count) {
  result<record_view> view = parse_record(record.bytes.bytes());
  if (!view) return std::move(view).err();
  append_reencoded(run.text(), messages_tag, *view, deliver_count);
  return ok();
}

// FetchResponse.damaged_seqs: field 1000, packed.
void add_damaged(std::string& to, const std::vector<seq_no>& damaged) {
  if (damaged.empty()) return;
  std::string packed;
  byte_writer numbers(packed);
  for (seq_no seq : damaged) numbers.varint(seq.raw());
  byte_writer out(to);
  out.varint(1000 << 3 | 2);
  out.counted(packed);
}

}  // namespace

void messages_service::attach(dispatcher& calls) {
  const std::string service = "/waymaker.streams.WaymakerStreamsService/";
  calls.implement(service + "Publish", raw(*this, &messages_service::publish));
  calls.implement(service + "Fetch", raw(*this, &messages_service::fetch));
  calls.implement(service + "Ack", typed(*this, &messages_service::ack));
  calls.implement(service + "ReadLatestAtSubject", raw(*this, &messages_service::read_latest));
  calls.implement(service + "ListSubjectsByPrefix", typed(*this, &messages_service::list_subjects));
  calls.implement(service + "ScanExactAtSubject", raw(*this, &messages_service::scan));
}

task<result<reply>> messages_service::publish(byte_span bytes, call_context&) {
  decoded_publish decoded;
  if (!decode_publish(bytes, decoded)) {
    co_return fail(errc::invalid_argument, parse_fault(bytes, *pb::PublishRequest::descriptor()));
  }
  const shard_place& place = shards_.of(decoded.request.stream);
  auto append = [&decoded](shard& there) { return there.publish(decoded.request); };
  // At home, the usual case, without the frames of a crossing.
  task<result<published>> work = place.home == &here_ ? append(*place.owner) : shard_map::ask_at(here_, place, append);
  result<published> done = co_await std::move(work);
  if (done) co_return encode_published(done->seq);
  if (is_status(done.err().code)) co_return std::move(done).err();
  pb::PublishResponse refused = *failed<pb::PublishResponse>(done.err());
  if (done.err().code == errc::wrong_revision) refused.set_seq(done.err().detail);
  co_return serialize(refused);
}

task<result<reply>> messages_service::fetch(byte_span bytes, call_context&) {
  pb::FetchRequest request;
  result<void> parsed = parse_message(bytes, request);
  if (!parsed) co_return std::move(parsed).err();
  auto take = [&](shard& there) { return there.fetch(request.stream(), request.consumer(), request.batch_size()); };
  result<fetch_outcome> taken = co_await shards_.ask(here_, request.stream(), take);
  if (!taken) co_return failed_bytes<pb::FetchResponse>(taken.err());
  reply out;
  out.head = success_head;
  message_run run(out);
  for (const delivery& one : taken->deliveries) {
    if (one.deliver_count == 1) {
      run.add_stored(one.record.bytes);
      continue;
    }
    result<void> added = add_reencoded(run, one.record, one.deliver_count);
    if (!added) co_return std::move(added).err();
  }
  add_damaged(run.text(), taken->damaged);
  run.finish();
  co_return out;
}

task<result<pb::AckResponse>> messages_service::ack(const pb::AckRequest& request, call_context&) {
  auto settle = [&](shard& there) { return there.ack(request.stream(), request.consumer(), seq_no(request.seq())); };
  result<void> settled = co_await shards_.ask(here_, request.stream(), settle);
  if (!settled) co_return failed<pb::AckResponse>(settled.err());
  co_return succeeded<pb::AckResponse>();
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
    result<void> added = add_reencoded(run, **found, 0);
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
    result<void> added = add_reencoded(run, record, 0);
    if (!added) co_return std::move(added).err();
  }
  run.finish();
  co_return out;
}

}  // namespace weir
