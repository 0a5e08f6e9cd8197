#include "net/reflection_service.h"

#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "grpc/reflection/v1/reflection.pb.h"
#include "net/typed.h"
#include "proto/all_descriptors.h"

namespace weir {
namespace {

namespace pb = grpc::reflection::v1;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

const DescriptorPool& pool() {
  return *DescriptorPool::generated_pool();
}

void not_found(pb::ServerReflectionResponse& response, const std::string& what) {
  pb::ErrorResponse& failure = *response.mutable_error_response();
  failure.set_error_code(info(errc::not_found).grpc_status);
  failure.set_error_message("not known here: " + what);
}

// The file, then everything it imports, each once.
void add_file(const FileDescriptor& file, pb::FileDescriptorResponse& into, std::set<const FileDescriptor*>& seen) {
  if (!seen.insert(&file).second) return;
  google::protobuf::FileDescriptorProto described;
  file.CopyTo(&described);
  described.SerializeToString(into.add_file_descriptor_proto());
  for (int n = 0; n < file.dependency_count(); ++n) add_file(*file.dependency(n), into, seen);
}

void answer_file(const FileDescriptor* file, pb::ServerReflectionResponse& response, const std::string& asked) {
  if (file == nullptr) return not_found(response, asked);
  std::set<const FileDescriptor*> seen;
  add_file(*file, *response.mutable_file_descriptor_response(), seen);
}

void answer_extension(const pb::ExtensionRequest& asked, pb::ServerReflectionResponse& response) {
  std::string name = "extension " + std::to_string(asked.extension_number()) + " of " + asked.containing_type();
  const auto* type = pool().FindMessageTypeByName(asked.containing_type());
  const FieldDescriptor* field =
      type == nullptr ? nullptr : pool().FindExtensionByNumber(type, asked.extension_number());
  answer_file(field == nullptr ? nullptr : field->file(), response, name);
}

void answer_extension_numbers(const std::string& type_name, pb::ServerReflectionResponse& response) {
  const auto* type = pool().FindMessageTypeByName(type_name);
  if (type == nullptr) return not_found(response, type_name);
  std::vector<const FieldDescriptor*> extensions;
  pool().FindAllExtensions(type, &extensions);
  auto& numbers = *response.mutable_all_extension_numbers_response();
  numbers.set_base_type_name(type_name);
  for (const FieldDescriptor* field : extensions) numbers.add_extension_number(field->number());
}

pb::ServerReflectionResponse answer_to(const pb::ServerReflectionRequest& request) {
  pb::ServerReflectionResponse response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case pb::ServerReflectionRequest::kFileByFilename:
      answer_file(pool().FindFileByName(request.file_by_filename()), response, request.file_by_filename());
      break;
    case pb::ServerReflectionRequest::kFileContainingSymbol:
      answer_file(pool().FindFileContainingSymbol(request.file_containing_symbol()), response,
                  request.file_containing_symbol());
      break;
    case pb::ServerReflectionRequest::kFileContainingExtension:
      answer_extension(request.file_containing_extension(), response);
      break;
    case pb::ServerReflectionRequest::kAllExtensionNumbersOfType:
      answer_extension_numbers(request.all_extension_numbers_of_type(), response);
      break;
    case pb::ServerReflectionRequest::kListServices:
      for (const std::string& name : all_service_names()) {
        response.mutable_list_services_response()->add_service()->set_name(name);
      }
      break;
    case pb::ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      not_found(response, "a request without a question");
      break;
  }
  return response;
}

}  // namespace

void reflection_service::attach(dispatcher& calls) {
  for (const char* path : {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                           "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    calls.implement_stream(path, raw_stream(*this, &reflection_service::serve));
  }
}

task<result<void>> reflection_service::serve(rpc_stream& call) {
  while (true) {
    auto bytes = co_await call.read();
    if (!bytes) co_return ok();
    pb::ServerReflectionRequest request;
    result<void> parsed = parse_message(*bytes, request);
    if (!parsed) co_return std::move(parsed).err();
    reply message = serialize(answer_to(request));
    bool sent = co_await call.write(message);
    if (!sent) co_return ok();
  }
}

}  // namespace weir
