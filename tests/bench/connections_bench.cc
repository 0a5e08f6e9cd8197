// bench_connections: what an idle connection costs a broker in memory beyond what gRPC itself takes for it: how much
// the resident set grows by two thousand connections that made one call each, against a bare gRPC server (this same
// program, --bare: a generic service that refuses every call, one completion queue, the broker's transport settings).
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <sys/resource.h>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "net/rpc_server.h"
#include "tests/bench/server_options.h"
#include "tools/load/bench_report.h"
#include "tools/load/h2_connection.h"

namespace weir {
namespace {

constexpr double bytes_goal = 40 << 10;

struct settings {
  server_settings server{"build/bin/weir-server", {"--shards", "1"}, "", std::nullopt};
  unsigned connections = 2'000;
  unsigned warm = 50;  // connections that go first: what they make grow is not counted
  unsigned settle_ms = 500;
  bool bare = false;
  bool json = false;
};

// --bare

// One offered call after the other: a refusal is written when one came.
class refusal {
 public:
  explicit refusal(rpc_server& server) : server_(server) { offer(); }

  void proceed(bool good) {
    if (!good) return;
    if (std::exchange(finishing_, !finishing_)) return offer();
    call_->Finish(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "bare"), this);
  }

 private:
  void offer() {
    context_ = std::make_unique<grpc::GenericServerContext>();
    call_ = std::make_unique<grpc::GenericServerAsyncReaderWriter>(context_.get());
    server_.calls().RequestCall(context_.get(), call_.get(), &server_.queue(), &server_.queue(), this);
  }

  rpc_server& server_;
  bool finishing_ = false;
  std::unique_ptr<grpc::GenericServerContext> context_;
  std::unique_ptr<grpc::GenericServerAsyncReaderWriter> call_;
};

void serve(rpc_server& server) {
  constexpr unsigned offered = 32;
  std::vector<std::unique_ptr<refusal>> calls;
  for (unsigned n = 0; n < offered; ++n) calls.push_back(std::make_unique<refusal>(server));
  void* which = nullptr;
  bool good = false;
  while (server.queue().Next(&which, &good)) static_cast<refusal*>(which)->proceed(good);
}

// Until somebody ends the process.
int run_bare() {
  prepare_grpc("poll");
  rpc_server server{rpc_settings()};
  std::thread calls([&] { serve(server); });
  asio::io_context context;
  asio::ip::tcp::acceptor door(context, {asio::ip::make_address("127.0.0.1"), 0});
  std::printf("bare ready listen=127.0.0.1:%u admin=none data=none\n", door.local_endpoint().port());
  std::fflush(stdout);
  for (;;) {
    asio::ip::tcp::socket taken = door.accept();
    taken.native_non_blocking(true);
    taken.set_option(asio::ip::tcp::no_delay(true));
    server.hand_over(taken.release());
  }
}

// The measuring side

class any_answer final : public call_sink {
 public:
  void done(const call_answer&) override { ended = true; }
  bool ended = false;
};

std::unique_ptr<h2_connection> connect_and_call(const std::string& target) {
  constexpr size_t calls_max = 4;
  auto made = std::make_unique<h2_connection>(target, calls_max);
  any_answer answer;
  if (!made->start("/grpc.health.v1.Health/Check", {}, 0)) stop_bench("no call can be started");
  made->flush();
  while (!answer.ended) made->receive(answer);
  made->flush();
  return made;
}

double bytes_each(const settings& chosen, const server_settings& wanted) {
  server_process server(wanted);
  std::vector<std::unique_ptr<h2_connection>> held;
  const auto connect = [&](unsigned count) {
    for (unsigned n = 0; n < count; ++n) held.push_back(connect_and_call(server.listen()));
    std::this_thread::sleep_for(std::chrono::milliseconds(chosen.settle_ms));
    return static_cast<double>(server.resident_bytes());
  };
  const double before = connect(chosen.warm);
  return (connect(chosen.connections) - before) / chosen.connections;
}

nlohmann::json measure(const settings& chosen) {
  server_settings broker = chosen.server;
  broker.arguments.insert(broker.arguments.end(), {"--connections-per-address-max", "100000"});
  server_settings bare = chosen.server;
  bare.program = std::filesystem::read_symlink("/proc/self/exe").string();
  bare.arguments = {"--bare"};
  const double of_bare = bytes_each(chosen, bare);
  const double of_broker = bytes_each(chosen, broker);
  return {{"connections", chosen.connections},
          {"broker_bytes", of_broker},
          {"bare_bytes", of_bare},
          {"bytes_beyond", of_broker - of_bare}};
}

void allow_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  std::string ignored;
  CLI::App app("Memory of an idle connection, beyond gRPC's own.");
  add_server_options(app, chosen.server);
  app.add_option("--connections", chosen.connections, "connections")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_flag("--bare", chosen.bare, "be the bare server");
  for (const char* name : {"--listen", "--admin", "--data"}) app.add_option(name, ignored)->group("");
  app.add_flag("--json", chosen.json, "one JSON object instead of text");
  CLI11_PARSE(app, argc, argv);
  if (chosen.bare) return run_bare();
  allow_descriptors();
  const nlohmann::json report = measure(chosen);
  if (chosen.json) {
    std::printf("%s\n", report.dump().c_str());
    return 0;
  }
  constexpr double kib = 1024;
  std::printf(
      "%u idle connections: %.1f KiB each, a bare gRPC server %.1f KiB: %.1f KiB beyond gRPC's own (goal <= %.0f)\n",
      chosen.connections, report["broker_bytes"].get<double>() / kib, report["bare_bytes"].get<double>() / kib,
      report["bytes_beyond"].get<double>() / kib, bytes_goal / kib);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::main_of_bench(argc, argv);
}
