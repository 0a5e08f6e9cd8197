// The commands of the weir program: one call each, its answer printed for people or as JSON.
//
// Every command returns the program's exit code: 0, or 1 after one line on standard error.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "waymaker/streams.grpc.pb.h"
#include "weir/v1/admin.grpc.pb.h"

namespace weir {

struct create_options {
  std::vector<std::string> filters;
  std::string retention = "limits";
  std::string durability = "default";
  std::optional<uint64_t> max_age_ms;
  std::optional<uint64_t> max_msgs;
  std::optional<uint64_t> max_bytes;
  uint64_t max_msg_bytes = 0;
  uint64_t max_msgs_per_subject = 0;
  uint64_t block_size = 0;
  bool strict = false;
  bool ephemeral = false;
};

struct publish_options {
  std::string subject;
  std::string payload;               // `-` = all of standard input
  std::vector<std::string> headers;  // KEY=VALUE
  std::optional<uint64_t> expected_last_seq;
  std::string message_id;
  uint64_t ttl_ms = 0;
  uint64_t deliver_at_ms = 0;
};

struct fetch_options {
  std::string consumer;
  uint64_t batch = 10;
  uint64_t wait_ms = 0;
  bool create = false;
  bool ack = false;
};

struct parked_options {
  std::string consumer;
  uint64_t from_seq = 0;
  uint64_t limit = 0;
  std::vector<uint64_t> seqs;  // none: all
};

struct purge_options {
  std::string subject;
  uint64_t up_to_seq = 0;
  uint64_t keep = 0;
};

class commands {
 public:
  commands(const std::string& server, bool json);

  int streams();
  int info(const std::string& stream);
  int create(const std::string& stream, const create_options& options);
  int remove(const std::string& stream);
  int publish(const std::string& stream, const publish_options& options);
  int latest(const std::string& stream, const std::string& subject);
  int subjects(const std::string& stream, const std::string& prefix);
  int purge(const std::string& stream, const purge_options& options);
  int consumers(const std::string& stream);
  int consumer(const std::string& stream, const std::string& consumer);
  int fetch(const std::string& stream, const fetch_options& options);
  int subscribe(const std::string& stream, const fetch_options& options);
  int parked(const std::string& stream, const parked_options& options);
  int requeue(const std::string& stream, const parked_options& options);
  int discard(const std::string& stream, const parked_options& options);
  // 0: go on now.
  int pause(const std::string& stream, const std::string& consumer, uint64_t until_ms);
  int watch();

 private:
  bool ensure_consumer(const std::string& stream, const std::string& consumer);
  bool ack(const std::string& stream, const std::string& consumer, uint64_t seq);

  std::string server_;
  bool json_;
  std::unique_ptr<waymaker::streams::WaymakerStreamsService::Stub> stub_;
  std::unique_ptr<v1::Admin::Stub> admin_;
};

}  // namespace weir
