#include "tests/net/test_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "storage/check.h"

namespace weir {
namespace {

grpc::ByteBuffer to_buffer(const std::string& message) {
  grpc::Slice bytes(message.data(), message.size());
  return grpc::ByteBuffer(&bytes, 1);
}

std::string to_text(const grpc::ByteBuffer& buffer) {
  grpc::Slice bytes;
  if (buffer.Length() == 0 || !buffer.DumpToSingleSlice(&bytes).ok()) return {};
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

// One operation at a time: the next thing the queue tells is its end.
bool wait_on(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  WEIR_CHECK(queue.Next(&tag, &ok));
  return ok;
}

void drain(grpc::CompletionQueue& queue) {
  queue.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) {
  }
}

}  // namespace

std::shared_ptr<grpc::Channel> connect(const std::string& target) {
  grpc::ChannelArguments settings;
  settings.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  settings.SetMaxReceiveMessageSize(-1);
  settings.SetMaxSendMessageSize(-1);
  settings.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  settings.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  settings.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), settings);
}

test_client::test_client(const std::string& target) : channel_(connect(target)), stub_(channel_) {}

test_client::~test_client() {
  drain(queue_);
}

answer test_client::call(const std::string& path, const std::vector<std::string>& messages,
                         std::chrono::milliseconds timeout) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  context.set_wait_for_ready(wait_for_ready_);
  if (compress_) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  auto open = stub_.PrepareCall(&context, path, &queue_);
  open->StartCall(nullptr);
  bool alive = wait_on(queue_);
  for (const std::string& message : messages) {
    if (!alive) break;
    open->Write(to_buffer(message), nullptr);
    alive = wait_on(queue_);
  }
  if (alive) {
    open->WritesDone(nullptr);
    wait_on(queue_);
  }
  answer got;
  while (true) {
    grpc::ByteBuffer buffer;
    open->Read(&buffer, nullptr);
    if (!wait_on(queue_)) break;
    got.messages.push_back(to_text(buffer));
  }
  open->Finish(&got.status, nullptr);
  wait_on(queue_);
  return got;
}

test_stream::test_stream(const std::string& target, const std::string& path)
    : channel_(connect(target)), stub_(channel_) {
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  context_.set_wait_for_ready(true);
  call_ = stub_.PrepareCall(&context_, path, &queue_);
  call_->StartCall(nullptr);
  wait();
}

test_stream::~test_stream() {
  context_.TryCancel();
  drain(queue_);
}

bool test_stream::wait() {
  return wait_on(queue_);
}

bool test_stream::write(const std::string& message) {
  call_->Write(to_buffer(message), nullptr);
  return wait();
}

bool test_stream::half_close() {
  call_->WritesDone(nullptr);
  return wait();
}

bool test_stream::headers() {
  call_->ReadInitialMetadata(nullptr);
  return wait();
}

std::optional<std::string> test_stream::read() {
  grpc::ByteBuffer buffer;
  call_->Read(&buffer, nullptr);
  if (!wait()) return std::nullopt;
  return to_text(buffer);
}

grpc::Status test_stream::finish() {
  grpc::Status status;
  call_->Finish(&status, nullptr);
  wait();
  return status;
}

}  // namespace weir
