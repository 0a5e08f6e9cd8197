#include "tests/bench/load_client.h"

#include <poll.h>

#include <algorithm>
#include <limits>

#include "tools/load/bench_report.h"

namespace weir {

load_client::load_client(const std::string& target, unsigned connections) {
  for (unsigned n = 0; n < connections; ++n) connections_.push_back(std::make_unique<h2_connection>(target));
}

std::string load_client::call(const std::string& path, const std::string& message) {
  load_method once{path, {message}, ""};
  (void)run_count(once, 1);
  return std::move(single_answer_);
}

load_round load_client::run(const load_method& method, unsigned in_flight, std::chrono::nanoseconds ramp,
                            std::chrono::nanoseconds duration) {
  measure_from_ = clock::now() + ramp;
  end_ = measure_from_ + duration;
  starts_left_ = std::numeric_limits<uint64_t>::max();
  begin(method, in_flight);
  while (open_ != 0 || !waiting_.empty()) receive_some();
  round_.seconds = std::chrono::duration<double>(duration).count();
  return std::move(round_);
}

load_round load_client::run_count(const load_method& method, uint64_t count, unsigned in_flight) {
  measure_from_ = clock::now();
  end_ = clock::time_point::max();
  starts_left_ = count;
  begin(method, in_flight);
  while (open_ != 0 || !waiting_.empty()) receive_some();
  round_.seconds = std::chrono::duration<double>(clock::now() - measure_from_).count();
  return std::move(round_);
}

void load_client::begin(const load_method& method, unsigned in_flight) {
  method_ = &method;
  round_ = load_round();
  slots_.resize(in_flight);
  for (size_t which = 0; which < slots_.size(); ++which) {
    slots_[which].connection = which % connections_.size();
    start(which);
  }
  for (auto& connection : connections_) connection->flush();
}

void load_client::start(size_t which) {
  if (starts_left_ == 0) return;
  const std::string& message = method_->messages[next_message_++ % method_->messages.size()];
  slots_[which].started = clock::now();
  if (!connections_[slots_[which].connection]->start(method_->path, as_bytes(message), which)) {
    waiting_.push_back(which);
    return;
  }
  --starts_left_;
  ++open_;
}

void load_client::start_waiting() {
  std::vector<size_t> again;
  again.swap(waiting_);
  for (size_t which : again) start(which);
}

void load_client::receive_some() {
  if (connections_.size() == 1) {
    connections_[0]->receive(*this);
  } else {
    std::vector<pollfd> watched;
    for (auto& connection : connections_) watched.push_back({connection->descriptor(), POLLIN, 0});
    constexpr int silence_ms_max = 60'000;
    if (::poll(watched.data(), watched.size(), silence_ms_max) == 0) stop_bench("no answer from the server");
    for (size_t n = 0; n < watched.size(); ++n) {
      if (watched[n].revents != 0) connections_[n]->receive(*this);
    }
  }
  if (!waiting_.empty()) start_waiting();
  for (auto& connection : connections_) connection->flush();
}

void load_client::done(const call_answer& answer) {
  if (answer.grpc_status != 0) {
    stop_bench(method_->path + " failed with status " + std::to_string(answer.grpc_status) + ": " +
               std::string(answer.status_message));
  }
  std::string_view response = as_text(answer.response);
  if (!response.starts_with(method_->answer_begins)) {
    stop_bench(method_->path + " answered something else than expected: " + std::string(response));
  }
  clock::time_point now = clock::now();
  --open_;
  ++round_.calls;
  if (now >= measure_from_ && now < end_) {
    ++round_.measured;
    auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(now - slots_[answer.tag].started).count();
    round_.latencies_ns.push_back(static_cast<uint32_t>(std::min<int64_t>(took, UINT32_MAX)));
  }
  if (now >= end_) starts_left_ = 0;
  if (starts_left_ == 0) single_answer_ = response;
  start(answer.tag);
}

}  // namespace weir
