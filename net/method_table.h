// The one table of RPCs: every method of every service we know, who may call it, how large a request may be.
//
// An RPC without a row does not exist: tests/net/method_table_test.cc walks the linked descriptors and fails on a
// missing row or a wrong shape. A row whose handler is not attached (dispatcher.h) answers UNIMPLEMENTED and names its
// feature.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir {

enum class call_shape : uint8_t { unary, server_stream, client_stream, bidi };

// What a caller needs to be allowed. `peer`: other brokers, on their own listener only.
enum class permission : uint8_t { open, publish, consume, manage_consumer, manage_stream, admin, peer };

std::string_view to_string(permission needed);

struct method_row {
  std::string_view path;  // "/package.Service/Method"
  call_shape shape;
  permission needs;
  size_t request_bytes_max;  // of one message; above rpc_settings::receive_bytes_max that one holds
  std::string_view feature;  // what it belongs to, for people: "key-value buckets"
};

std::span<const method_row> method_table();

}  // namespace weir
