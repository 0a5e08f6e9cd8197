// A nats-server with JetStream on a directory of its own, and a worker on one of its streams through libnats: what the
// delivery benchmarks compare with. Its defaults: file storage, synced every two minutes.
//
// One thread calls; libnats reads on a thread of its own. Any failure ends the program (stop_bench).
#pragma once

#include <nats/nats.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace weir {

struct nats_settings {
  std::string program = "nats-server";  // sought on the PATH
  std::string data_root;                // where the data directory is made; removed at the end
  std::optional<int> cpu;               // the only one it may use; absent: any
};

class nats_broker {
 public:
  explicit nats_broker(const nats_settings& settings);
  ~nats_broker();
  nats_broker(const nats_broker&) = delete;

  // A stream named bench with so many messages.
  void fill(uint64_t messages, size_t payload_bytes);
  // Takes them all through a durable pull consumer that is new, `batch` at a time, and acknowledges each. Returns the
  // seconds from the first fetch until the server has counted the last acknowledgement.
  double fetch_and_ack(const std::string& consumer, uint32_t batch, uint64_t messages, size_t payload_bytes);
  // The same without acknowledging.
  void fetch_only(const std::string& consumer, uint32_t batch, uint64_t messages, size_t payload_bytes);
  uint64_t resident_bytes() const;

 private:
  natsSubscription* subscribe(const std::string& consumer, uint64_t messages);
  void take(natsSubscription* from, uint32_t batch, uint64_t messages, size_t payload_bytes, bool acknowledge);
  void wait_for_acks(const std::string& consumer);

  std::string data_root_;
  pid_t pid_ = -1;
  natsConnection* connection_ = nullptr;
  jsCtx* stream_ = nullptr;
};

}  // namespace weir
