// A worker on a weir stream, for benchmarks: takes all messages of a stream through one consumer and acknowledges them
// with weir.v1.Admin/AckMany, over one connection.
//
// One thread: the calling one. A refused call, a message out of order or of another size ends the program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/load_client.h"
#include "tools/load/h2_connection.h"
#include "waymaker/streams.pb.h"

namespace weir {

struct work_order {
  std::string stream;
  std::string consumer;   // made when the work begins, and never used before
  uint64_t messages = 0;  // the stream's: sequences 1 to this
  uint32_t batch = 256;   // taken, and acknowledged, at a time
  size_t payload_bytes = 0;
};

// Publishes until the stream, which must be new, has so many messages; each is on disk then.
void fill_stream(load_client& client, const std::string& stream, uint64_t messages, size_t payload_bytes);
void create_consumer(load_client& client, const std::string& stream, const std::string& consumer);
void delete_consumer(load_client& client, const std::string& stream, const std::string& consumer);

class weir_consumer final : private call_sink {
 public:
  explicit weir_consumer(const std::string& target) : connection_(target) {}

  // Each returns the seconds it took, from the first request until the last acknowledgement is answered: on disk.
  //
  // Unary Fetch after Fetch; the AckMany of a batch travels with the next Fetch.
  double fetch_and_ack(const work_order& order);
  // One Subscribe; an AckMany a batch.
  double subscribe_and_ack(const work_order& order);
  // Fetches everything and acknowledges nothing.
  void fetch_only(const work_order& order);

 private:
  enum tags : uint64_t { of_fetch, of_subscribe, of_ack };

  double work(const work_order& order, bool subscribe, bool acknowledge);
  void send(std::string_view path, const google::protobuf::MessageLite& request, tags tag);
  void send_fetch();
  void send_subscribe();
  void send_ack();
  void take(const waymaker::streams::MessagePb& message);
  void streamed(uint64_t tag, byte_span message) override;
  void done(const call_answer& answer) override;
  void fetched(byte_span response);
  void acked(byte_span response);

  h2_connection connection_;
  const work_order* order_ = nullptr;
  bool acknowledge_ = false;
  bool open_ = false;  // a Subscribe
  uint64_t received_ = 0;
  uint64_t acknowledged_ = 0;
  std::vector<uint64_t> unacknowledged_;
  std::string request_bytes_;
  waymaker::streams::FetchResponse batch_;
  waymaker::streams::SubscribeEvent event_;
};

}  // namespace weir
