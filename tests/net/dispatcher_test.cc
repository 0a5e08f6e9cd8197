#include "net/dispatcher.h"

#include <doctest/doctest.h>

#include <random>
#include <thread>

#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.pb.h"
#include "tests/net/held_call.h"
#include "tests/net/test_client.h"
#include "tests/net/test_host.h"

namespace weir {
namespace {

namespace health = grpc::health::v1;
namespace reflection = grpc::reflection::v1;
const std::string check_path = "/grpc.health.v1.Health/Check";
const std::string watch_path = "/grpc.health.v1.Health/Watch";
const std::string reflection_path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

const std::string reflection_alpha_path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

const std::string held_path = "/waymaker.kv.WaymakerKvService/Put";

bool serves(test_client& client) {
  answer got = client.unary(check_path, "");
  health::HealthCheckResponse response;
  return got.status.ok() && response.ParseFromString(got.only()) &&
         response.status() == health::HealthCheckResponse::SERVING;
}

TEST_CASE("health: check tells whether the broker serves, and an unknown service is NOT_FOUND") {
  test_host host;
  test_client client(host.target());
  CHECK(serves(client));
  health::HealthCheckRequest request;
  request.set_service("waymaker.streams.WaymakerStreamsService");
  CHECK(client.unary(check_path, request.SerializeAsString()).status.ok());
  request.set_service("no.such.Service");
  CHECK(client.unary(check_path, request.SerializeAsString()).status.error_code() == grpc::NOT_FOUND);
  host.set_serving(false);
  CHECK_FALSE(serves(client));
}

TEST_CASE("health: watch tells the state at once and again at each change") {
  test_host host;
  test_stream watch(host.target(), watch_path);
  CHECK(watch.write(""));
  CHECK(watch.half_close());
  health::HealthCheckResponse response;
  auto first = watch.read();
  REQUIRE(first);
  REQUIRE(response.ParseFromString(*first));
  CHECK(response.status() == health::HealthCheckResponse::SERVING);
  host.set_serving(false);
  auto second = watch.read();
  REQUIRE(second);
  REQUIRE(response.ParseFromString(*second));
  CHECK(response.status() == health::HealthCheckResponse::NOT_SERVING);
}

TEST_CASE("reflection: lists the services and gives the files behind a symbol, in both versions") {
  test_host host;
  test_client client(host.target());
  for (const std::string& path : {reflection_path, reflection_alpha_path}) {
    reflection::ServerReflectionRequest list;
    list.set_list_services("");
    reflection::ServerReflectionRequest symbol;
    symbol.set_file_containing_symbol("waymaker.streams.WaymakerStreamsService.Publish");
    reflection::ServerReflectionRequest unknown;
    unknown.set_file_by_filename("no/such/file.proto");
    answer got = client.call(path, {list.SerializeAsString(), symbol.SerializeAsString(), unknown.SerializeAsString()});
    CHECK(got.status.ok());
    REQUIRE(got.messages.size() == 3);
    reflection::ServerReflectionResponse response;
    REQUIRE(response.ParseFromString(got.messages[0]));
    bool found = false;
    for (const auto& service : response.list_services_response().service()) {
      found = found || service.name() == "waymaker.streams.WaymakerStreamsService";
    }
    CHECK(found);
    REQUIRE(response.ParseFromString(got.messages[1]));
    CHECK(response.file_descriptor_response().file_descriptor_proto_size() >= 1);
    REQUIRE(response.ParseFromString(got.messages[2]));
    CHECK(response.error_response().error_code() == grpc::NOT_FOUND);
  }
}

TEST_CASE("dispatcher: a path without a row is UNIMPLEMENTED and a row without a handler names its feature") {
  test_host host;
  test_client client(host.target());
  answer got = client.unary("/no.such.Service/Method", "");
  CHECK(got.status.error_code() == grpc::UNIMPLEMENTED);
  got = client.unary("/waymaker.kv.WaymakerKvService/Put", "");
  CHECK(got.status.error_code() == grpc::UNIMPLEMENTED);
  CHECK(got.status.error_message().find("key-value buckets") != std::string::npos);
}

TEST_CASE("dispatcher: what is for other brokers is PERMISSION_DENIED on the client listener") {
  test_host host;
  test_client client(host.target());
  for (const method_row& row : method_table()) {
    if (row.needs != permission::peer) continue;
    CHECK_MESSAGE(client.unary(std::string(row.path), "").status.error_code() == grpc::PERMISSION_DENIED, row.path);
  }
}

TEST_CASE("dispatcher: garbage to every row gets a status, and the server keeps serving") {
  uint64_t seed = std::getenv("WEIR_SEED") != nullptr ? std::stoull(std::getenv("WEIR_SEED")) : std::random_device()();
  MESSAGE("WEIR_SEED=" << seed);
  std::mt19937_64 random(seed);
  test_host host;
  test_client client(host.target());
  for (const method_row& row : method_table()) {
    std::string garbage;
    for (int n = 0; n < 200; ++n) garbage.push_back(static_cast<char>(random()));
    garbage.insert(0, "\x07");  // field 0: never a message
    std::string path(row.path);
    answer got = client.unary(path, garbage);
    CHECK_MESSAGE(!got.status.ok(), path);
    CHECK_MESSAGE(!got.status.error_message().empty(), path);
    CHECK_MESSAGE(serves(client), path);
  }
}

TEST_CASE("dispatcher: bytes that do not parse are INVALID_ARGUMENT that names the message and the fault") {
  test_host host;
  test_client client(host.target());
  answer got = client.unary(check_path, "\x0a\x7fshort");
  CHECK(got.status.error_code() == grpc::INVALID_ARGUMENT);
  CHECK(got.status.error_message().find("grpc.health.v1.HealthCheckRequest") != std::string::npos);
  got = client.unary(check_path, std::string("\x0a\x02\xff\xfe", 4));
  CHECK(got.status.error_code() == grpc::INVALID_ARGUMENT);
  CHECK(got.status.error_message().find("'service' is not valid UTF-8") != std::string::npos);
}

TEST_CASE("dispatcher: a request over the row's or the transport's limit is RESOURCE_EXHAUSTED and names the limit") {
  test_host host;
  test_client client(host.target());
  answer got = client.unary(check_path, std::string(20'000, 'x'));
  CHECK(got.status.error_code() == grpc::RESOURCE_EXHAUSTED);
  CHECK(got.status.error_message().find("16384") != std::string::npos);
  got = client.unary(check_path, std::string(10u << 20, 'x'));
  CHECK(got.status.error_code() == grpc::RESOURCE_EXHAUSTED);
  CHECK(got.status.error_message().find(std::to_string(9u << 20)) != std::string::npos);
  got = client.unary(reflection_path, std::string(20'000, 'x'));
  CHECK(got.status.error_code() == grpc::RESOURCE_EXHAUSTED);
  CHECK(serves(client));
}

TEST_CASE("dispatcher: a call without a request message is INVALID_ARGUMENT") {
  test_host host;
  test_client client(host.target());
  CHECK(client.call(check_path, {}).status.error_code() == grpc::INVALID_ARGUMENT);
  CHECK(client.call(watch_path, {}).status.error_code() == grpc::INVALID_ARGUMENT);
}

TEST_CASE("dispatcher: cancelled and vanished clients leave nothing behind") {
  test_host host;
  for (int round = 0; round < 30; ++round) {
    auto watch = std::make_unique<test_stream>(host.target(), watch_path);
    CHECK(watch->write(""));
    REQUIRE(watch->read());
    if (round % 3 == 0) watch->cancel();
    if (round % 3 == 1) watch->half_close();
    watch.reset();  // closes the connection
  }
  test_client client(host.target());
  CHECK(serves(client));
  host.home().wait_until([&] { return host.calls().live() == 0; });
  CHECK(host.metrics().live == 0);
}

TEST_CASE("dispatcher: requests that handlers hold together are bounded, and freed with their calls") {
  held_call held;
  test_host_config config;
  config.calls.open_request_bytes_max = 5'000;
  config.prepare = [&](dispatcher& calls) { calls.implement(held_path, held.handler()); };
  test_host host(config);
  std::thread first([&] {
    test_client client(host.target());
    CHECK(client.unary(held_path, std::string(4'000, 'x')).status.ok());
  });
  host.home().wait_until([&] { return held.entered == 1; });
  test_client client(host.target());
  answer got = client.unary(check_path, std::string(2'000, 'x'));
  CHECK(got.status.error_code() == grpc::RESOURCE_EXHAUSTED);
  CHECK(got.status.error_message().find("open-request-bytes-max = 5000") != std::string::npos);
  CHECK(serves(client));
  host.home().call([&] { held.resume(); });
  first.join();
  host.home().wait_until([&] { return host.calls().live() == 0; });
  CHECK(host.metrics().request_bytes == 0);
}

TEST_CASE(
    "dispatcher: a unary call that is cancelled while its handler waits is gone for it, and its answer is dropped") {
  held_call held;
  test_host_config config;
  config.prepare = [&](dispatcher& calls) { calls.implement(held_path, held.handler()); };
  test_host host(config);
  for (bool vanish : {false, true}) {
    held.entered = 0;
    auto client = std::make_unique<test_stream>(host.target(), held_path);
    REQUIRE(client->write("x"));
    client->half_close();
    host.home().wait_until([&] { return held.entered == 1; });
    if (vanish) {
      client.reset();
    } else {
      client->cancel();
      CHECK(client->finish().error_code() == grpc::CANCELLED);
    }
    host.home().wait_until([&] { return held.call->gone(); });
    host.home().call([&] { held.resume(); });
    host.home().wait_until([&] { return host.calls().live() == 0; });
  }
}

TEST_CASE("dispatcher: a compressed request is refused, and the server keeps serving") {
  test_host host;
  test_client client(host.target());
  client.compress();
  CHECK(client.unary(check_path, std::string(10'000, 'x')).status.error_code() == grpc::UNIMPLEMENTED);
  test_client plain(host.target());
  CHECK(serves(plain));
}

TEST_CASE("dispatcher: over calls_max a call is RESOURCE_EXHAUSTED, and served again when others have ended") {
  test_host_config config;
  config.calls.calls_max = 3;
  test_host host(config);
  std::vector<std::unique_ptr<test_stream>> open;
  for (int n = 0; n < 3; ++n) {
    open.push_back(std::make_unique<test_stream>(host.target(), watch_path));
    REQUIRE(open.back()->write(""));
    REQUIRE(open.back()->read());
  }
  test_client client(host.target());
  answer got = client.unary(check_path, "");
  CHECK(got.status.error_code() == grpc::RESOURCE_EXHAUSTED);
  CHECK(got.status.error_message().find("calls-max = 3") != std::string::npos);
  open.clear();
  host.home().wait_until([&] { return host.calls().live() == 0; });
  CHECK(serves(client));
}

}  // namespace
}  // namespace weir
