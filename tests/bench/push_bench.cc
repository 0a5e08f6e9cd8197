// bench_push: how long after the publisher has its acknowledgement a message arrives at a subscriber, against the
// latency of an RPC that does nothing.
//
// A publisher sends at a fixed rate, whether or not answers are late; half a period after each message goes one empty
// RPC, so both find the machine in the same state. Publisher and subscriber have connections of their own and are one
// thread here: one clock, and neither waits for the other. A message may arrive before its acknowledgement does; its
// latency is negative then. The subscriber acknowledges as it goes (AckMany, on a third connection).
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/bench/server_options.h"
#include "tests/bench/stream_requests.h"
#include "tests/bench/weir_consumer.h"
#include "tools/load/bench_report.h"
#include "weir/v1/admin.pb.h"

namespace weir {
namespace {

namespace pb = waymaker::streams;
using clock = std::chrono::steady_clock;

constexpr double ratio_goal = 2;
constexpr std::chrono::seconds silence_max{30};
const char* const stream_name = "bench";
const char* const consumer_name = "pushed";

struct settings {
  server_settings server{"build/bin/weir-server", {"--shards", "1"}, "", std::nullopt};
  unsigned rate = 1'000;
  unsigned seconds = 10;
  size_t payload_bytes = 128;
  std::optional<int> client_cpu;
  bool json = false;
};

double microseconds(clock::duration took) {
  return std::chrono::duration<double, std::micro>(took).count();
}

// A message on its way: sequence n is at index n - 1, because the stream is new and has one publisher.
struct journey {
  clock::time_point sent, acknowledged, arrived;
};

class push_meter final : private call_sink {
 public:
  push_meter(const std::string& target, size_t payload_bytes)
      : publisher_(target), subscriber_(target), acker_(target), publish_(publish_to({stream_name}, payload_bytes)) {}

  void subscribe();
  // Returns when all have arrived and all answers are there.
  void run(uint64_t messages, clock::duration period);

  const std::vector<journey>& journeys() const { return journeys_; }
  const std::vector<double>& empty_us() const { return empty_us_; }

 private:
  enum tags : uint64_t { of_publish, of_empty, of_push, of_ack };

  void send(h2_connection& over, const std::string& path, std::string_view message, tags tag);
  void send_publish();
  void send_empty();
  void send_ack();
  void wait_until(clock::time_point due);
  void look(std::chrono::nanoseconds wait_max);
  bool all_here(uint64_t messages) const { return answered_ == messages && arrived_ == messages && empties_ == 0; }
  void streamed(uint64_t tag, byte_span message) override;
  void done(const call_answer& answer) override;

  h2_connection publisher_;  // empty RPCs too
  h2_connection subscriber_;
  h2_connection acker_;
  load_method publish_;
  load_method empty_ = empty_rpc();
  std::vector<journey> journeys_;
  std::vector<double> empty_us_;
  clock::time_point empty_sent_;
  uint64_t answered_ = 0;
  uint64_t arrived_ = 0;
  unsigned empties_ = 0;  // under way
  std::vector<uint64_t> unacknowledged_;
  pb::SubscribeEvent event_;
};

void push_meter::send(h2_connection& over, const std::string& path, std::string_view message, tags tag) {
  // A server that stalls for long has as many calls open as it allows: late then, and measured so.
  while (!over.start(path, as_bytes(message), tag)) look(silence_max);
  over.flush();
}

void push_meter::subscribe() {
  pb::SubscribeRequest request;
  request.set_stream(stream_name);
  request.set_consumer(consumer_name);
  std::string bytes = request.SerializeAsString();
  (void)subscriber_.start_streaming("/waymaker.streams.WaymakerStreamsService/Subscribe", as_bytes(bytes), of_push);
  subscriber_.flush();
}

void push_meter::run(uint64_t messages, clock::duration period) {
  journeys_.reserve(messages);
  clock::time_point due = clock::now();
  for (uint64_t n = 0; n < messages; ++n) {
    wait_until(due);
    send_publish();
    wait_until(due + period / 2);
    if (empties_ == 0) send_empty();
    due += period;
  }
  const clock::time_point limit = clock::now() + silence_max;
  while (!all_here(messages)) {
    if (clock::now() > limit) stop_bench("messages or answers are missing");
    look(silence_max);
  }
}

void push_meter::send_publish() {
  journeys_.push_back({clock::now(), {}, {}});
  send(publisher_, publish_.path, publish_.messages.front(), of_publish);
}

void push_meter::send_empty() {
  ++empties_;
  empty_sent_ = clock::now();
  send(publisher_, empty_.path, empty_.messages.front(), of_empty);
}

void push_meter::send_ack() {
  weir::v1::AckManyRequest request;
  request.set_stream(stream_name);
  request.set_consumer(consumer_name);
  request.mutable_seqs()->Add(unacknowledged_.begin(), unacknowledged_.end());
  unacknowledged_.clear();
  send(acker_, "/weir.v1.Admin/AckMany", request.SerializeAsString(), of_ack);
}

void push_meter::wait_until(clock::time_point due) {
  for (clock::duration left; (left = due - clock::now()) > clock::duration::zero();) look(left);
}

void push_meter::look(std::chrono::nanoseconds wait_max) {
  std::array<h2_connection*, 3> connections{&publisher_, &subscriber_, &acker_};
  std::array<pollfd, 3> watched{};
  for (size_t n = 0; n < watched.size(); ++n) watched[n] = {connections[n]->descriptor(), POLLIN, 0};
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait_max);
  timespec limit{seconds.count(), (wait_max - seconds).count()};
  (void)::ppoll(watched.data(), watched.size(), &limit, nullptr);
  for (size_t n = 0; n < watched.size(); ++n) {
    if (watched[n].revents == 0) continue;
    connections[n]->receive(*this);
    connections[n]->flush();
  }
  constexpr size_t ack_batch = 100;
  if (unacknowledged_.size() >= ack_batch) send_ack();
}

void push_meter::streamed(uint64_t, byte_span message) {
  clock::time_point now = clock::now();
  if (!event_.ParseFromArray(message.data(), static_cast<int>(message.size())) || !event_.has_message()) {
    stop_bench("an event that is no message");
  }
  uint64_t seq = event_.message().seq();
  if (seq != ++arrived_) stop_bench("message " + std::to_string(seq) + " is out of order");
  journeys_[seq - 1].arrived = now;
  unacknowledged_.push_back(seq);
}

void push_meter::done(const call_answer& answer) {
  clock::time_point now = clock::now();
  if (answer.grpc_status != 0 || answer.tag == of_push) {
    stop_bench("a call ended with status " + std::to_string(answer.grpc_status) + ": " +
               std::string(answer.status_message));
  }
  if (!as_text(answer.response).starts_with(publish_.answer_begins)) stop_bench("a call was refused");
  if (answer.tag == of_publish) journeys_[answered_++].acknowledged = now;  // one journal: in order
  if (answer.tag == of_empty) {
    empty_us_.push_back(microseconds(now - empty_sent_));
    --empties_;
  }
}

double at_percent(std::vector<double> values, double percent) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(percent / 100 * static_cast<double>(values.size() - 1))];
}

nlohmann::json to_json(const std::vector<double>& us) {
  return {{"p50_us", at_percent(us, 50)}, {"p99_us", at_percent(us, 99)}, {"max_us", at_percent(us, 100)}};
}

nlohmann::json measure(const settings& chosen) {
  server_process server(chosen.server);
  load_client client(server.listen(), 1);
  create_stream(client, stream_name);
  create_consumer(client, stream_name, consumer_name);
  push_meter meter(server.listen(), chosen.payload_bytes);
  meter.subscribe();
  const wait_meter neighbours;
  meter.run(uint64_t(chosen.rate) * chosen.seconds, std::chrono::nanoseconds(std::chrono::seconds(1)) / chosen.rate);
  std::vector<double> acknowledged, arrived, whole;
  for (const journey& one : meter.journeys()) {
    acknowledged.push_back(microseconds(one.acknowledged - one.sent));
    arrived.push_back(microseconds(one.arrived - one.acknowledged));
    whole.push_back(microseconds(one.arrived - one.sent));
  }
  auto early = std::count_if(arrived.begin(), arrived.end(), [](double us) { return us < 0; });
  nlohmann::json report = {{"empty", to_json(meter.empty_us())},
                           {"publish", to_json(acknowledged)},
                           {"push", to_json(arrived)},
                           {"whole", to_json(whole)},
                           {"early_percent", 100.0 * static_cast<double>(early) / static_cast<double>(arrived.size())}};
  report["ratio"] = median(arrived) / median(meter.empty_us());
  report["waited_percent"] = neighbours.percent();
  report["verdict"] = neighbours.verdict();
  return report;
}

void print_row(const char* name, const nlohmann::json& row) {
  std::printf("%-28s %10.1f %10.1f %10.1f\n", name, row["p50_us"].get<double>(), row["p99_us"].get<double>(),
              row["max_us"].get<double>());
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  CLI::App app("From a publish's acknowledgement to the message's arrival at a subscriber, against an empty RPC.");
  add_server_options(app, chosen.server);
  app.add_option("--server-cpu", chosen.server.cpu, "the only processor it may use; default: any");
  app.add_option("--client-cpu", chosen.client_cpu, "the only processor of this client; default: any");
  app.add_option("--rate", chosen.rate, "messages a second")->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("--seconds", chosen.seconds, "how long")->check(CLI::Range(1, 3600))->capture_default_str();
  app.add_option("--size", chosen.payload_bytes, "payload bytes")->check(CLI::Range(0, 16000))->capture_default_str();
  app.add_flag("--json", chosen.json, "one JSON object instead of a table");
  CLI11_PARSE(app, argc, argv);
  if (chosen.client_cpu) pin_this_process(*chosen.client_cpu);
  nlohmann::json report = measure(chosen);
  if (chosen.json) {
    std::printf("%s\n", report.dump().c_str());
    return 0;
  }
  std::printf("%-28s %10s %10s %10s\n", "", "p50 us", "p99 us", "max us");
  print_row("empty RPC", report["empty"]);
  print_row("Publish, until acknowledged", report["publish"]);
  print_row("push, from acknowledged", report["push"]);
  print_row("push, from sent", report["whole"]);
  std::printf("%.0f %% of the messages arrived before their acknowledgement\n", report["early_percent"].get<double>());
  std::printf("median push latency from acknowledged / empty RPC at %u messages/s: %.2f (goal < %.0f)\n", chosen.rate,
              report["ratio"].get<double>(), ratio_goal);
  std::printf("%s\n", report["verdict"].get<std::string>().c_str());
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::main_of_bench(argc, argv);
}
