// bench_lane: what the fast lane of a server loses when there is much of something: messages to many streams or many
// subjects against one, and two shards against one; each against its base in alternating rounds.
//
//   streams   frames to a thousand streams in turn
//   subjects  one stream with a million subjects, each message to one of them at random
//   shards    a server with two shards, eight streams, half of them on each. On a small machine, which the client
//             shares, the rate says little: what counts is the server's processor time a message. Two shards have 1.7
//             times the capacity of one if a message costs at most 1/0.85 of what it costs there.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "broker/shard.h"
#include "tests/bench/lane_load.h"
#include "tests/bench/many_options.h"
#include "tests/bench/server_options.h"
#include "tests/bench/stream_requests.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr double capacity_goal = 1.7;

struct settings : many_options {
  server_settings server{"build/bin/weir-server", {}, "", std::nullopt};
};

lane_load::settings load_of(const settings& chosen, unsigned connections) {
  lane_load::settings all;
  all.connections = connections;
  all.records = chosen.records;
  all.payload_bytes = chosen.payload_bytes;
  all.stream = [](unsigned, uint64_t) { return std::string("base"); };
  all.subject = one_subject;
  return all;
}

// One side of a comparison.
struct side {
  server_process& server;
  lane_load& load;
  std::vector<double> rates;
  std::vector<double> cpu_ns;  // of the server, a message

  void round(uint64_t messages) {
    const double before = server.cpu_seconds();
    const double seconds = load.publish(messages);
    rates.push_back(static_cast<double>(messages) / seconds);
    cpu_ns.push_back((server.cpu_seconds() - before) / static_cast<double>(messages) * 1e9);
  }
};

nlohmann::json compare(const settings& chosen, side base, side other) {
  std::vector<double> ratios, cpu_ratios;
  base.load.publish(chosen.messages / 2);
  other.load.publish(chosen.messages / 2);
  for (unsigned n = 0; n < chosen.rounds; ++n) {
    base.round(chosen.messages);
    other.round(chosen.messages);
    ratios.push_back(other.rates.back() / base.rates.back());
    cpu_ratios.push_back(base.cpu_ns.back() / other.cpu_ns.back());
  }
  return {{"base_rate", median(base.rates)},
          {"rate", median(other.rates)},
          {"ratio", median(ratios)},
          {"base_cpu_ns", median(base.cpu_ns)},
          {"cpu_ns", median(other.cpu_ns)},
          {"cpu_ratio", median(cpu_ratios)},
          {"ratios", ratios},
          {"cpu_ratios", cpu_ratios}};
}

server_settings with_shards(const settings& chosen, unsigned shards) {
  server_settings wanted = chosen.server;
  wanted.arguments.insert(wanted.arguments.end(), {"--shards", std::to_string(shards)});
  return wanted;
}

nlohmann::json compare_streams(const settings& chosen) {
  server_process server(with_shards(chosen, 1));
  load_client control(server.listen(), 1);
  create_stream(control, "base");
  for (unsigned n = 0; n < chosen.streams; ++n) create_stream(control, "many-" + std::to_string(n));
  lane_load one(server.listen(), load_of(chosen, 1));
  lane_load::settings wanted = load_of(chosen, 1);
  wanted.stream = [&](unsigned, uint64_t frame) { return "many-" + std::to_string(frame % chosen.streams); };
  lane_load many(server.listen(), wanted);
  return compare(chosen, side{server, one, {}, {}}, side{server, many, {}, {}});
}

nlohmann::json compare_subjects(const settings& chosen) {
  server_process server(with_shards(chosen, 1));
  load_client control(server.listen(), 1);
  create_stream(control, "base");
  create_stream(control, "many");
  lane_load one(server.listen(), load_of(chosen, 1));
  lane_load::settings wanted = load_of(chosen, 1);
  wanted.stream = [](unsigned, uint64_t) { return std::string("many"); };
  wanted.subject = numbered_subject;
  lane_load(server.listen(), wanted).publish(chosen.subjects);
  wanted.subject = random_subject(chosen.subjects);
  lane_load many(server.listen(), wanted);
  return compare(chosen, side{server, one, {}, {}}, side{server, many, {}, {}});
}

nlohmann::json compare_shards(const settings& chosen) {
  constexpr unsigned connections = 8;
  server_process single(with_shards(chosen, 1));
  server_process pair(with_shards(chosen, 2));
  std::vector<std::string> names;
  for (uint32_t shard = 0, n = 0; names.size() < connections; ++n) {
    const std::string name = "shards-" + std::to_string(n);
    if (shard_of(name, 2) != shard) continue;
    names.push_back(name);
    shard = 1 - shard;
  }
  lane_load::settings wanted = load_of(chosen, connections);
  wanted.frames_max = 8;
  wanted.stream = [&](unsigned connection, uint64_t) { return names[connection]; };
  load_client control_single(single.listen(), 1), control_pair(pair.listen(), 1);
  for (const std::string& name : names) {
    create_stream(control_single, name);
    create_stream(control_pair, name);
  }
  lane_load one(single.listen(), wanted), two(pair.listen(), wanted);
  return compare(chosen, side{single, one, {}, {}}, side{pair, two, {}, {}});
}

void print_row(const char* what, const nlohmann::json& row) {
  std::printf("%-9s %9.0f msg/s, %5.0f ns of the server's CPU each; base %9.0f msg/s, %5.0f ns\n", what,
              row["rate"].get<double>(), row["cpu_ns"].get<double>(), row["base_rate"].get<double>(),
              row["base_cpu_ns"].get<double>());
}

void print(const settings& chosen, const nlohmann::json& report) {
  for (const char* what : {"streams", "subjects"}) {
    if (!report.contains(what)) continue;
    const nlohmann::json& row = report[what];
    print_row(what, row);
    const bool streams = std::string(what) == "streams";
    std::printf("fast lane, %llu %s against one: %.2f of the rate (goal >= %.2f), %.2f by the server's CPU\n",
                static_cast<unsigned long long>(streams ? chosen.streams : chosen.subjects), what,
                row["ratio"].get<double>(), many_ratio_goal, row["cpu_ratio"].get<double>());
  }
  if (!report.contains("shards")) return;
  print_row("shards", report["shards"]);
  std::printf("two shards have %.2f times the capacity of one (goal >= %.2f); here %.2f of the rate\n",
              2 * report["shards"]["cpu_ratio"].get<double>(), capacity_goal, report["shards"]["ratio"].get<double>());
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  CLI::App app("The fast lane with many streams, many subjects, two shards, against one.");
  add_server_options(app, chosen.server);
  add_many_options(app, chosen, {"streams", "subjects", "shards"});
  CLI11_PARSE(app, argc, argv);
  const wait_meter neighbours;
  nlohmann::json report = nlohmann::json::object();
  const auto wants = [&](const char* what) { return chosen.only.empty() || chosen.only == what; };
  if (wants("streams")) report["streams"] = compare_streams(chosen);
  if (wants("subjects")) report["subjects"] = compare_subjects(chosen);
  if (wants("shards")) report["shards"] = compare_shards(chosen);
  report["waited_percent"] = neighbours.percent();
  if (chosen.json) {
    std::printf("%s\n", report.dump().c_str());
    return 0;
  }
  print(chosen, report);
  std::printf("%s\n", neighbours.verdict().c_str());
  return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::main_of_bench(argc, argv);
}
