#include "tools/cli/commands.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <iostream>
#include <iterator>

#include "tools/channel.h"
#include "tools/cli/answers.h"
#include "tools/cli/print.h"

namespace weir {
namespace {

using namespace waymaker::streams;

weir::v1::Durability to_durability(const std::string& name) {
  if (name == "memory") return weir::v1::DURABILITY_MEMORY;
  if (name == "written") return weir::v1::DURABILITY_WRITTEN;
  if (name == "fsync") return weir::v1::DURABILITY_FSYNC;
  return weir::v1::DURABILITY_DEFAULT;
}

void fill(StreamConfigPb& config, const create_options& options) {
  for (const std::string& filter : options.filters) config.add_subjects_filter(filter);
  if (options.retention == "work_queue") config.mutable_retention()->mutable_work_queue();
  if (options.retention == "interest") config.mutable_retention()->mutable_interest();
  if (options.retention == "limits") {
    LimitsRetention& limits = *config.mutable_retention()->mutable_limits();
    if (options.max_age_ms) limits.set_max_age_ms(*options.max_age_ms);
    if (options.max_msgs) limits.set_max_msgs(*options.max_msgs);
    if (options.max_bytes) limits.set_max_bytes(*options.max_bytes);
    limits.set_strict_limits(options.strict);
  }
  config.set_block_size(options.block_size);
  config.set_max_msg_bytes(options.max_msg_bytes);
  config.set_max_msgs_per_subject(options.max_msgs_per_subject);
  config.set_ephemeral(options.ephemeral);
  config.set_durability(to_durability(options.durability));
}

}  // namespace

commands::commands(const std::string& server, bool json) : server_(server), json_(json) {
  const auto channel = open_channel(server);
  stub_ = WaymakerStreamsService::NewStub(channel);
  admin_ = v1::Admin::NewStub(channel);
}

int commands::streams() {
  grpc::ClientContext context;
  set_deadline(context);
  ListStreamsResponse listed;
  if (!reached(stub_->ListStreams(&context, ListStreamsRequest(), &listed))) return exit_failed;
  if (json_) {
    put_json(listed);
    return 0;
  }
  for (const std::string& name : listed.names()) {
    grpc::ClientContext one;
    set_deadline(one);
    GetStreamInfoRequest request;
    request.set_name(name);
    GetStreamInfoResponse info;
    const grpc::Status status = stub_->GetStreamInfo(&one, request, &info);
    if (status.ok() && info.result_code() == "no_such_stream") continue;  // deleted meanwhile
    if (!accepted(status, info)) return exit_failed;
    put(fmt::format("{}  {} messages  {}  last seq {}\n", name, info.stats().msg_count(),
                    bytes_text(info.stats().bytes()), info.stats().last_seq()));
  }
  return 0;
}

int commands::info(const std::string& stream) {
  grpc::ClientContext context;
  set_deadline(context);
  GetStreamInfoRequest request;
  request.set_name(stream);
  GetStreamInfoResponse response;
  if (!accepted(stub_->GetStreamInfo(&context, request, &response), response)) return exit_failed;
  json_ ? put_json(response) : put(to_text(response));
  return 0;
}

int commands::create(const std::string& stream, const create_options& options) {
  grpc::ClientContext context;
  set_deadline(context);
  CreateStreamRequest request;
  request.mutable_config()->set_name(stream);
  fill(*request.mutable_config(), options);
  CreateStreamResponse response;
  if (!accepted(stub_->CreateStream(&context, request, &response), response)) return exit_failed;
  json_ ? put_json(response) : put(fmt::format("created {}\n", stream));
  return 0;
}

int commands::remove(const std::string& stream) {
  grpc::ClientContext context;
  set_deadline(context);
  DeleteStreamRequest request;
  request.set_name(stream);
  DeleteStreamResponse response;
  if (!accepted(stub_->DeleteStream(&context, request, &response), response)) return exit_failed;
  json_ ? put_json(response) : put(fmt::format("deleted {}\n", stream));
  return 0;
}

int commands::publish(const std::string& stream, const publish_options& options) {
  PublishRequest request;
  request.set_stream(stream);
  request.set_subject(options.subject);
  request.set_payload(options.payload);
  if (options.payload == "-") {
    request.set_payload(std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()));
  }
  for (const std::string& header : options.headers) {
    const size_t equals = header.find('=');
    MessageHeader& added = *request.add_headers();
    added.set_key(header.substr(0, equals));
    if (equals != std::string::npos) added.set_value(header.substr(equals + 1));
  }
  if (options.expected_last_seq) request.set_expected_last_seq(*options.expected_last_seq);
  request.set_message_id(options.message_id);
  request.set_ttl_ms(options.ttl_ms);
  request.set_deliver_at_ms(static_cast<int64_t>(options.deliver_at_ms));
  grpc::ClientContext context;
  set_deadline(context);
  PublishResponse response;
  if (!accepted(stub_->Publish(&context, request, &response), response)) return exit_failed;
  if (json_) {
    put_json(response);
  } else if (response.scheduled()) {
    put("scheduled\n");
  } else {
    put(fmt::format("stored as {}{}\n", response.seq(), response.duplicate() ? ", before" : ""));
  }
  return 0;
}

int commands::latest(const std::string& stream, const std::string& subject) {
  grpc::ClientContext context;
  set_deadline(context);
  ReadLatestAtSubjectRequest request;
  request.set_stream(stream);
  request.set_subject(subject);
  ReadLatestAtSubjectResponse response;
  if (!accepted(stub_->ReadLatestAtSubject(&context, request, &response), response)) return exit_failed;
  if (json_) {
    put_json(response);
  } else {
    put(response.has_latest() ? to_text(response.latest()) : "none\n");
  }
  return 0;
}

int commands::subjects(const std::string& stream, const std::string& prefix) {
  grpc::ClientContext context;
  set_deadline(context);
  ListSubjectsByPrefixRequest request;
  request.set_stream(stream);
  request.set_prefix(prefix);
  ListSubjectsByPrefixResponse response;
  if (!accepted(stub_->ListSubjectsByPrefix(&context, request, &response), response)) return exit_failed;
  if (json_) {
    put_json(response);
  } else {
    for (const std::string& subject : response.subjects()) put(subject + "\n");
  }
  return 0;
}

int commands::purge(const std::string& stream, const purge_options& options) {
  grpc::ClientContext context;
  set_deadline(context);
  v1::PurgeRequest request;
  request.set_stream(stream);
  request.set_subject(options.subject);
  request.set_up_to_seq(options.up_to_seq);
  request.set_keep(options.keep);
  v1::PurgeResponse response;
  if (!accepted(admin_->Purge(&context, request, &response), response)) return exit_failed;
  json_ ? put_json(response) : put(fmt::format("purged {} messages\n", response.purged()));
  return 0;
}

int commands::watch() {
  grpc::ClientContext context;
  const auto events = stub_->WatchStreams(&context, WatchStreamsRequest());
  WatchEvent event;
  while (events->Read(&event)) {
    json_ ? put_json(event) : put(to_text(event));
    std::fflush(stdout);
  }
  return reached(events->Finish()) ? 0 : exit_failed;
}

}  // namespace weir
