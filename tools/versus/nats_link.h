// A connection to a nats-server with its JetStream context, by libnats. A failure ends the program.
#pragma once

#include <nats/nats.h>

#include <string>

namespace weir {

// The server's or the library's limit for an answer.
inline constexpr int64_t nats_answer_ms_max = 60'000;

void must_be_ok(natsStatus status, const char* what);

class nats_link {
 public:
  // `send_at_once`: a message is written when it is published, not gathered with others first.
  explicit nats_link(const std::string& server, bool send_at_once = false);
  ~nats_link();
  nats_link(const nats_link&) = delete;

  // Makes the JetStream context: once, before it is used.
  void open(jsOptions& settings);
  void open();

  natsConnection* connection() { return connection_; }
  jsCtx* stream() { return stream_; }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* stream_ = nullptr;
};

}  // namespace weir
