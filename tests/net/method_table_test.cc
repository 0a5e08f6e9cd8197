#include "net/method_table.h"

#include <doctest/doctest.h>
#include <google/protobuf/descriptor.h>

#include <map>
#include <set>

#include "proto/all_descriptors.h"

namespace weir {
namespace {

namespace pb = google::protobuf;

call_shape shape_of(const pb::MethodDescriptor& method) {
  if (method.client_streaming()) return method.server_streaming() ? call_shape::bidi : call_shape::client_stream;
  return method.server_streaming() ? call_shape::server_stream : call_shape::unary;
}

TEST_CASE("method table: every RPC of every linked service has one row of its shape, and no row is for nothing") {
  std::map<std::string_view, const method_row*> rows;
  for (const method_row& row : method_table()) CHECK_MESSAGE(rows.emplace(row.path, &row).second, row.path);
  std::set<std::string> known;
  for (const std::string& name : all_service_names()) {
    const auto* service = pb::DescriptorPool::generated_pool()->FindServiceByName(name);
    REQUIRE(service != nullptr);
    for (int n = 0; n < service->method_count(); ++n) {
      std::string path = "/" + name + "/" + service->method(n)->name();
      known.insert(path);
      REQUIRE_MESSAGE(rows.contains(path), path, " has no row");
      CHECK_MESSAGE(rows[path]->shape == shape_of(*service->method(n)), path);
    }
  }
  CHECK(known.size() > 100);
  for (const auto& one : rows) {
    const std::string path(one.first);
    CHECK_MESSAGE(known.contains(path), path, " is in no linked service");
  }
}

TEST_CASE("method table: every row has a limit and names its feature, and what only brokers may call is for peers") {
  for (const method_row& row : method_table()) {
    CHECK_MESSAGE(row.request_bytes_max > 0, row.path);
    CHECK_MESSAGE(!row.feature.empty(), row.path);
    bool for_brokers = row.path.find("/Replicate") != std::string_view::npos ||
                       row.path.find("/TransferStream") != std::string_view::npos ||
                       row.path.starts_with("/weir.v1.Peer/");
    CHECK_MESSAGE((row.needs == permission::peer) == for_brokers, row.path);
  }
}

}  // namespace
}  // namespace weir
