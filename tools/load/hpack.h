// Just enough of HPACK (RFC 7541) for a benchmark client: request headers that cost the server as little as a real
// client's, and out of a response only `grpc-status` and `grpc-message`.
//
// One encoder and one decoder per connection, used in the order the header blocks travel.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "storage/bytes.h"

namespace weir {

class hpack_encoder {
 public:
  // The header block of a unary gRPC call. Every header enters the peer's table at first use and is one byte from then
  // on. At most a few dozen different paths a connection: the table is never trimmed here.
  void encode_request(std::string_view path, std::string_view authority, std::string& out);
  // Equal calls make equal blocks as long as this stays the same.
  uint32_t inserted() const { return inserted_; }

 private:
  void header(std::string_view name, std::string_view value, std::string& out);

  std::unordered_map<std::string, uint32_t> entries_;  // "name\0value" -> which insertion it was
  uint32_t inserted_ = 0;
};

struct response_headers {
  int grpc_status = -1;  // -1: not in this block
  std::string grpc_message;
};

class hpack_decoder {
 public:
  // False if the block is malformed or Huffman-codes what we need to read (gRPC never does).
  bool decode(byte_span block, response_headers& out);

 private:
  struct entry {
    std::string name;
    std::string value;
  };
  const entry* lookup(uint64_t index) const;
  void insert(entry fresh);
  void evict();

  std::deque<entry> table_;  // newest first
  size_t table_bytes_ = 0;
  size_t table_bytes_max_ = 4096;
  entry literal_;  // of the header being read; here to keep its capacity
};

}  // namespace weir
