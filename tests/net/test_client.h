// A real gRPC client that speaks bytes, so that a test can send any method anything.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weir {

struct answer {
  grpc::Status status;
  std::vector<std::string> messages;
  const std::string& only() const { return messages.at(0); }
};

std::shared_ptr<grpc::Channel> connect(const std::string& target);

// A channel of its own connection, and blocking calls over it.
class test_client {
 public:
  explicit test_client(const std::string& target);
  ~test_client();

  // Sends the messages, half-closes, reads until the status. nullopt: half-closes without a message.
  answer call(const std::string& path, const std::vector<std::string>& messages,
              std::chrono::milliseconds timeout = std::chrono::seconds(20));
  answer unary(const std::string& path, const std::string& message) { return call(path, {message}); }
  // From now on a call fails at once when there is no connection.
  void fail_fast() { wait_for_ready_ = false; }
  // From now on messages are sent compressed.
  void compress() { compress_ = true; }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  bool wait_for_ready_ = true;
  bool compress_ = false;
};

// One open streaming call, driven step by step.
class test_stream {
 public:
  test_stream(const std::string& target, const std::string& path);
  ~test_stream();

  bool write(const std::string& message);
  bool half_close();
  std::optional<std::string> read();
  // Waits for the server's headers.
  bool headers();
  void cancel() { context_.TryCancel(); }
  grpc::Status finish();

 private:
  bool wait();

  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

}  // namespace weir
