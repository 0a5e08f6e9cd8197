#include "tests/bench/nats_broker.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/bench/server_process.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds start_limit{30};
constexpr std::chrono::milliseconds look_again{1};
constexpr int64_t answer_ms_max = 60'000;
constexpr int64_t ack_wait_ns = 600'000'000'000;  // nothing is to come twice, however slow the machine
constexpr int64_t publish_pending_max = 4096;
const char* const stream_name = "bench";
const char* const subject = "bench.a";

void must(natsStatus status, const char* what) {
  if (status != NATS_OK) stop_bench(std::string("nats: ") + what + ": " + natsStatus_GetText(status));
}

// The address in the file that the server writes when it listens.
std::string wait_for_address(const std::string& folder, pid_t server) {
  const clock::time_point limit = clock::now() + start_limit;
  while (clock::now() < limit) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() != ".ports") continue;
      std::ifstream in(entry.path());
      nlohmann::json ports = nlohmann::json::parse(in, nullptr, false);
      if (!ports.is_discarded() && ports.contains("nats")) return ports["nats"][0].get<std::string>();
    }
    if (::waitpid(server, nullptr, WNOHANG) != 0) stop_bench("nats-server did not start");
    std::this_thread::sleep_for(look_again);
  }
  stop_bench("nats-server did not become ready");
}

pid_t start_server(const nats_settings& settings, const std::string& folder) {
  std::string store = folder + "/store";
  const char* words[] = {
      settings.program.c_str(), "--jetstream",  "--addr", "127.0.0.1", "--port", "-1", "--store_dir", store.c_str(),
      "--ports_file_dir",       folder.c_str(), nullptr};
  pid_t made = ::fork();
  if (made != 0) return made;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  allow_cpus(settings.cpu);
  int nowhere = ::open("/dev/null", O_WRONLY);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  ::execvp(words[0], const_cast<char* const*>(words));
  ::_exit(127);
}

}  // namespace

nats_broker::nats_broker(const nats_settings& settings) {
  std::string pattern = settings.data_root + "/weir-bench-nats-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    stop_bench("cannot make a directory in " + settings.data_root + ": " + std::strerror(errno));
  }
  data_root_ = pattern;
  pid_ = start_server(settings, data_root_);
  std::string address = wait_for_address(data_root_, pid_);
  must(natsConnection_ConnectTo(&connection_, address.c_str()), "connect");
  jsOptions options;
  must(jsOptions_Init(&options), "options");
  options.Wait = answer_ms_max;
  options.PublishAsync.MaxPending = publish_pending_max;
  must(natsConnection_JetStream(&stream_, connection_, &options), "JetStream");
}

nats_broker::~nats_broker() {
  jsCtx_Destroy(stream_);
  natsConnection_Destroy(connection_);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  std::error_code ignored;
  fs::remove_all(data_root_, ignored);
}

void nats_broker::fill(uint64_t messages, size_t payload_bytes) {
  const char* subjects[] = {subject};
  jsStreamConfig config;
  must(jsStreamConfig_Init(&config), "stream settings");
  config.Name = stream_name;
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  must(js_AddStream(nullptr, stream_, &config, nullptr, nullptr), "add stream");
  std::string payload(payload_bytes, 'x');
  for (uint64_t n = 0; n < messages; ++n) {
    must(js_PublishAsync(stream_, subject, payload.data(), static_cast<int>(payload.size()), nullptr), "publish");
  }
  jsPubOptions wait;
  must(jsPubOptions_Init(&wait), "publish options");
  wait.MaxWait = answer_ms_max;
  must(js_PublishAsyncComplete(stream_, &wait), "publish");
  jsStreamInfo* info = nullptr;
  must(js_GetStreamInfo(&info, stream_, stream_name, nullptr, nullptr), "stream info");
  if (info->State.Msgs != messages) stop_bench("nats: the stream was not filled");
  jsStreamInfo_Destroy(info);
}

natsSubscription* nats_broker::subscribe(const std::string& consumer, uint64_t messages) {
  jsSubOptions options;
  must(jsSubOptions_Init(&options), "subscription options");
  options.Stream = stream_name;
  options.Config.Durable = consumer.c_str();
  options.Config.AckPolicy = js_AckExplicit;
  options.Config.AckWait = ack_wait_ns;
  options.Config.MaxAckPending = static_cast<int64_t>(messages);
  natsSubscription* made = nullptr;
  must(js_PullSubscribe(&made, stream_, subject, consumer.c_str(), nullptr, &options, nullptr), "pull subscribe");
  return made;
}

double nats_broker::fetch_and_ack(const std::string& consumer, uint32_t batch, uint64_t messages,
                                  size_t payload_bytes) {
  natsSubscription* from = subscribe(consumer, messages);
  auto started = clock::now();
  take(from, batch, messages, payload_bytes, true);
  wait_for_acks(consumer);
  double seconds = std::chrono::duration<double>(clock::now() - started).count();
  natsSubscription_Destroy(from);
  must(js_DeleteConsumer(stream_, stream_name, consumer.c_str(), nullptr, nullptr), "delete consumer");
  return seconds;
}

void nats_broker::fetch_only(const std::string& consumer, uint32_t batch, uint64_t messages, size_t payload_bytes) {
  natsSubscription* from = subscribe(consumer, messages);
  take(from, batch, messages, payload_bytes, false);
  natsSubscription_Destroy(from);
}

void nats_broker::take(natsSubscription* from, uint32_t batch, uint64_t messages, size_t payload_bytes,
                       bool acknowledge) {
  for (uint64_t received = 0; received < messages;) {
    natsMsgList list;
    must(natsSubscription_Fetch(&list, from, static_cast<int>(batch), answer_ms_max, nullptr), "fetch");
    for (int n = 0; n < list.Count; ++n) {
      if (static_cast<size_t>(natsMsg_GetDataLength(list.Msgs[n])) != payload_bytes)
        stop_bench("nats: a wrong payload");
      if (acknowledge) must(natsMsg_Ack(list.Msgs[n], nullptr), "ack");
    }
    received += static_cast<uint64_t>(list.Count);
    natsMsgList_Destroy(&list);
  }
}

// Acknowledgements are not answered; they are flushed, then the server is asked.
void nats_broker::wait_for_acks(const std::string& consumer) {
  must(natsConnection_FlushTimeout(connection_, answer_ms_max), "flush");
  const clock::time_point limit = clock::now() + std::chrono::milliseconds(answer_ms_max);
  while (clock::now() < limit) {
    jsConsumerInfo* info = nullptr;
    must(js_GetConsumerInfo(&info, stream_, stream_name, consumer.c_str(), nullptr, nullptr), "consumer info");
    int64_t unacknowledged = info->NumAckPending;
    jsConsumerInfo_Destroy(info);
    if (unacknowledged == 0) return;
    std::this_thread::sleep_for(look_again);
  }
  stop_bench("nats: acknowledgements got lost");
}

uint64_t nats_broker::resident_bytes() const {
  return resident_bytes_of(pid_);
}

}  // namespace weir
