// bench_scale: what many streams and many subjects cost a shard, against one stream with one subject, frames of the
// fast lane on a real disk: each in alternating rounds, settling into block files included.
//
//   streams   a thousand streams written in turn, against one
//   subjects  one stream with a million subjects, each frame over subjects at random, against one with one; new: the
//             first message of each subject
//
// Beside the rates the processor time, which a busy machine disturbs less; and what a subject takes in memory once its
// messages are in block files.
#include <malloc.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/bench/many_options.h"
#include "tests/bench/shard_under_load.h"
#include "tools/load/bench_report.h"

namespace weir {
namespace {

constexpr double bytes_goal = 150;

struct settings : many_options {
  std::string data_root = std::filesystem::temp_directory_path().string();
};

// A directory below the root, removed at the end.
class scratch {
 public:
  explicit scratch(const std::string& root) : path_(root + "/weir-bench-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) stop_bench("cannot make a directory in " + root);
  }
  scratch(const scratch&) = delete;
  ~scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

shard_under_load::work work_of(const settings& chosen) {
  shard_under_load::work all;
  all.messages = chosen.messages;
  all.records = chosen.records;
  all.payload_bytes = chosen.payload_bytes;
  return all;
}

struct compared {
  std::vector<double> base_rates, rates;
  std::vector<double> ratios, cpu_ratios;
  std::vector<double> base_cpu_ns, cpu_ns;      // a message
  std::vector<double> base_shard_ns, shard_ns;  // of that, the shard's thread

  void add(uint64_t messages, const shard_under_load::cost& base, const shard_under_load::cost& other) {
    const auto count = static_cast<double>(messages);
    base_rates.push_back(count / base.seconds);
    rates.push_back(count / other.seconds);
    ratios.push_back(base.seconds / other.seconds);
    cpu_ratios.push_back(base.cpu_seconds / other.cpu_seconds);
    base_cpu_ns.push_back(base.cpu_seconds / count * 1e9);
    cpu_ns.push_back(other.cpu_seconds / count * 1e9);
    base_shard_ns.push_back(base.shard_seconds / count * 1e9);
    shard_ns.push_back(other.shard_seconds / count * 1e9);
  }
  nlohmann::json to_json() const {
    return {{"base_rate", median(base_rates)},    {"rate", median(rates)},    {"ratio", median(ratios)},
            {"cpu_ratio", median(cpu_ratios)},    {"ratios", ratios},         {"cpu_ratios", cpu_ratios},
            {"base_cpu_ns", median(base_cpu_ns)}, {"cpu_ns", median(cpu_ns)}, {"base_shard_ns", median(base_shard_ns)},
            {"shard_ns", median(shard_ns)}};
  }
};

std::vector<std::string> make_streams(shard_under_load& to, unsigned count) {
  std::vector<std::string> names;
  for (unsigned n = 0; n < count; ++n) {
    names.push_back("scale-" + std::to_string(n));
    to.create_stream(names.back());
  }
  to.drain();
  return names;
}

nlohmann::json compare_streams(const settings& chosen) {
  scratch place(chosen.data_root);
  shard_under_load one(place.path() + "/one");
  shard_under_load many(place.path() + "/many");
  const std::vector<std::string> single = make_streams(one, 1);
  const std::vector<std::string> names = make_streams(many, chosen.streams);
  shard_under_load::work base = work_of(chosen);
  base.subject = one_subject;
  base.stream = [&](uint64_t) -> const std::string& { return single.front(); };
  shard_under_load::work other = base;
  other.stream = [&](uint64_t frame) -> const std::string& { return names[frame % names.size()]; };
  compared all;
  one.publish(base);  // fills segments that later rounds use again
  many.publish(other);
  for (unsigned round = 0; round < chosen.rounds; ++round) {
    const shard_under_load::cost of_one = one.publish(base);
    all.add(chosen.messages, of_one, many.publish(other));
  }
  return all.to_json();
}

// Bytes that the program has from malloc.
uint64_t allocated() {
  ::malloc_trim(0);
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

nlohmann::json compare_subjects(const settings& chosen) {
  scratch place(chosen.data_root);
  shard_under_load one(place.path() + "/one");
  shard_under_load many(place.path() + "/many");
  const std::vector<std::string> name = make_streams(one, 1);
  make_streams(many, 1);
  shard_under_load::work base = work_of(chosen);
  base.subject = one_subject;
  base.stream = [&](uint64_t) -> const std::string& { return name.front(); };
  shard_under_load::work fresh = base;
  fresh.messages = chosen.subjects;
  fresh.subject = numbered_subject;
  shard_under_load::work known = base;
  known.subject = random_subject(chosen.subjects);
  one.publish(base);
  shard_under_load::work same_count = base;
  same_count.messages = chosen.subjects;
  compared of_new;
  const shard_under_load::cost of_one = one.publish(same_count);
  of_new.add(chosen.subjects, of_one, many.publish(fresh));
  compared all;
  for (unsigned round = 0; round < chosen.rounds; ++round) {
    const shard_under_load::cost spent = one.publish(base);
    all.add(chosen.messages, spent, many.publish(known));
  }
  nlohmann::json report = all.to_json();
  report["new"] = of_new.to_json();
  return report;
}

// What a restarted shard holds for its subjects, against the same with one subject.
double subject_bytes(const settings& chosen) {
  scratch place(chosen.data_root);
  shard_under_load::work fill = work_of(chosen);
  const std::string stream = "scale-0";
  fill.messages = chosen.subjects;
  fill.stream = [&](uint64_t) -> const std::string& { return stream; };
  std::vector<double> held;
  for (const bool many : {false, true}) {
    const std::string directory = place.path() + (many ? "/many" : "/one");
    {
      shard_under_load one(directory);
      make_streams(one, 1);
      fill.subject = one_subject;
      if (many) fill.subject = numbered_subject;
      one.publish(fill);
      one.stop();
    }
    const uint64_t before = allocated();
    shard_under_load again(directory);
    held.push_back(static_cast<double>(allocated() - before));
    again.stop();
  }
  const std::string any = "fleet.0000000.position";
  return (held[1] - held[0]) / static_cast<double>(chosen.subjects) - static_cast<double>(any.size());
}

void print_row(const char* what, const nlohmann::json& row) {
  std::printf("%-15s %9.0f msg/s, %5.0f ns of CPU each (the shard's thread %5.0f); the base %9.0f, %5.0f (%5.0f)\n",
              what, row["rate"].get<double>(), row["cpu_ns"].get<double>(), row["shard_ns"].get<double>(),
              row["base_rate"].get<double>(), row["base_cpu_ns"].get<double>(), row["base_shard_ns"].get<double>());
}

void print_ratio(const std::string& what, const nlohmann::json& row) {
  std::printf("%s: %.2f of the rate, %.2f by processor time (goal >= %.2f)\n", what.c_str(), row["ratio"].get<double>(),
              row["cpu_ratio"].get<double>(), many_ratio_goal);
}

void print(const settings& chosen, const nlohmann::json& report) {
  if (report.contains("streams")) {
    print_row("streams", report["streams"]);
    print_ratio(std::to_string(chosen.streams) + " streams against one", report["streams"]);
  }
  if (!report.contains("subjects")) return;
  print_row("new subjects", report["subjects"]["new"]);
  print_row("known subjects", report["subjects"]);
  print_ratio(std::to_string(chosen.subjects) + " subjects against one", report["subjects"]);
  std::printf("memory a subject, beside its name: %.0f bytes (goal <= %.0f)\n", report["subject_bytes"].get<double>(),
              bytes_goal);
}

int main_of_bench(int argc, char** argv) {
  settings chosen;
  CLI::App app("A shard with many streams, and with many subjects, against one with one.");
  app.add_option("--data-root", chosen.data_root, "folder for the data directories")->capture_default_str();
  add_many_options(app, chosen, {"streams", "subjects"});
  CLI11_PARSE(app, argc, argv);
  const wait_meter neighbours;
  nlohmann::json report = nlohmann::json::object();
  if (chosen.only != "subjects") report["streams"] = compare_streams(chosen);
  if (chosen.only != "streams") {
    report["subjects"] = compare_subjects(chosen);
    report["subject_bytes"] = subject_bytes(chosen);
  }
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
