#include "net/server.h"

#include <sched.h>
#include <spdlog/spdlog.h>

#include <thread>

#include "net/socket_address.h"

namespace weir {
namespace {

constexpr unsigned shards_max = 64;
constexpr auto stalled_patience = std::chrono::seconds(1);  // of a stop, with clients that do not read

// The processors this process may use.
std::vector<int> usable_cpus() {
  std::vector<int> cpus;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(static_cast<size_t>(cpu), &allowed)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

struct addresses {
  asio::ip::tcp::endpoint listen;
  asio::ip::tcp::endpoint admin;
};

result<addresses> resolve_addresses(const server_options& options) {
  addresses found;
  auto listen = resolve(options.listen);
  if (!listen) return fail(errc::invalid_argument, "--listen takes HOST:PORT: " + listen.err().message);
  auto admin = resolve(options.admin);
  if (!admin) return fail(errc::invalid_argument, "--admin takes HOST:PORT: " + admin.err().message);
  for (auto& [name, address] : {std::pair("--listen", *listen), std::pair("--admin", *admin)}) {
    if (address.address().is_loopback() || options.insecure) continue;
    return fail(errc::invalid_argument, std::string(name) +
                                            " takes a loopback address unless --insecure is given, not " +
                                            to_string(address) + ": nothing is encrypted in this version");
  }
  found.listen = *listen;
  found.admin = *admin;
  return found;
}

void tell(const core& one, unsigned index) {
  const recovery_report& report = const_cast<core&>(one).owner().recovery();
  spdlog::info("shard {}: recovered {} entries, {} bytes of journal", index, report.entries, report.bytes);
  if (report.torn_bytes != 0) spdlog::info("shard {}: cut a torn tail of {} bytes", index, report.torn_bytes);
  if (report.damaged_records != 0) spdlog::error("shard {}: {} damaged records", index, report.damaged_records);
  for (const std::string& file : report.quarantined) spdlog::error("shard {}: set aside {}", index, file);
  for (const std::string& note : report.notes) spdlog::warn("shard {}: {}", index, note);
}

}  // namespace

server::server(const server_options& options, data_directory directory)
    : options_(options), directory_(std::move(directory)), pool_(options.pool_threads) {}

server::~server() {
  (void)stop();
}

result<std::unique_ptr<server>> server::start(const server_options& options,
                                              std::function<void(int signal)> on_signal) {
  auto where = resolve_addresses(options);
  if (!where) return std::move(where).err();
  auto cpus = static_cast<unsigned>(usable_cpus().size());
  auto directory = data_directory::open(options.data, options.shards, std::min(cpus, shards_max));
  if (!directory) return std::move(directory).err();
  std::unique_ptr<server> made(new server(options, std::move(*directory)));
  made->make_cores();
  result<void> opened = made->open_shards();
  if (!opened) return std::move(opened).err();
  opened = made->front_->open(where->listen, where->admin);
  if (!opened) return std::move(opened).err();
  made->front_->start(std::move(on_signal));
  for (auto& one : made->cores_) one->set_serving(true);
  made->front_->set_ready(true);
  return made;
}

void server::make_cores() {
  std::vector<int> cpus = usable_cpus();
  std::vector<core*> all;
  for (unsigned n = 0; n < directory_.shards(); ++n) {
    std::optional<int> cpu;
    if (options_.pin) cpu = cpus[n % cpus.size()];
    cores_.push_back(std::make_unique<core>(n, cpu, clock_, options_));
    all.push_back(cores_.back().get());
  }
  for (core* one : all) one->home().start();
  front_ = std::make_unique<front>(all, options_.connections);
}

// Each shard on its own reactor, all at the same time.
result<void> server::open_shards() {
  std::vector<watch_relay::place> everywhere;
  for (auto& one : cores_) everywhere.push_back({&one->home(), &one->events()});
  std::vector<result<void>> outcomes(cores_.size());
  std::vector<std::thread> openers;
  for (size_t n = 0; n < cores_.size(); ++n) {
    openers.emplace_back([&, n] { outcomes[n] = cores_[n]->open_shard(directory_.path(), pool_, everywhere); });
  }
  for (std::thread& one : openers) one.join();
  std::vector<shard_place> places;
  for (size_t n = 0; n < cores_.size(); ++n) {
    if (!outcomes[n]) return std::move(outcomes[n]);
    tell(*cores_[n], static_cast<unsigned>(n));
    places.push_back({&cores_[n]->home(), &cores_[n]->owner()});
  }
  shards_ = std::make_unique<shard_map>(std::move(places));
  for (auto& one : cores_) one->serve(*shards_);
  return ok();
}

result<void> server::stop() {
  if (stopped_) return ok();
  stopped_ = true;
  front_->set_ready(false);
  result<void> outcome = stop_cores();
  return outcome;
}

void server::await_handlers(std::chrono::system_clock::time_point deadline) {
  for (auto& one : cores_) {
    one->home().wait_until([&] { return one->calls().serving() == 0; }, deadline);
  }
}

// The order matters: grpc-asio-notes 1.5. No thread may post to a reactor that was told to end.
result<void> server::stop_cores() {
  front_->stop_listening();
  for (auto& one : cores_) {
    one->set_serving(false);
    one->home().call([&] { one->calls().stop(); });
  }
  const auto began = std::chrono::system_clock::now();
  const auto deadline = began + std::chrono::milliseconds(options_.stop_grace_ms);
  await_handlers(std::min(began + stalled_patience, deadline));
  for (auto& one : cores_) one->home().call([&] { one->calls().cut_stalled(); });
  await_handlers(deadline);
  for (auto& one : cores_) one->rpc().shutdown();
  result<void> outcome;
  for (auto& one : cores_) {
    result<void> stopped = one->stop_shard();
    if (outcome && !stopped) outcome = std::move(stopped);
  }
  for (auto& one : cores_) {
    one->home().wait_until([&] { return one->calls().live() == 0; });
  }
  for (auto& one : cores_) one->stop_commits();
  pool_.stop();
  front_->stop();
  for (auto& one : cores_) one->home().call([] {});
  for (auto& one : cores_) one->home().stop();
  return outcome;
}

}  // namespace weir
