// How fast the journal is beside the disk it stands on.
//
//   plain    1 MiB pwrite + fdatasync in a loop, on a file filled with zeros before
//   journal  records with a 128-byte payload through the journal, its commit thread and the real disk
//   cpu      the same with a disk that does nothing: what our own code can do on one core
//
// All three in each round, one after the other, so that a noisy machine is noisy for all; the medians count.
//   bench_journal [--json] [--rounds N] [--mib N] [DIRECTORY]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "net/system_clock.h"
#include "storage/journal.h"
#include "storage/posix_disk.h"
#include "storage/record.h"
#include "tests/bench/null_disk.h"
#include "tests/sim/inline_lane.h"
#include "tests/sim/temp_dir.h"
#include "tests/sim/thread_lane.h"

namespace weir {
namespace {

constexpr size_t payload_bytes = 128;
constexpr size_t records_per_turn = 64;

struct no_visitor final : journal_visitor {
  result<void> on_entry(const journal_entry&) override { return ok(); }
  void on_hole(lsn, lsn) override {}
};

template <class T>
T must(result<T> outcome) {
  if (!outcome) {
    std::fprintf(stderr, "bench_journal: %s\n", outcome.err().message.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct rate {
  double records_per_s = 0;
  double log_bytes_per_s = 0;      // as written: records and entry headers
  double payload_bytes_per_s = 0;  // what the publishers sent
};

// Publishes numbered records into a journal, in turns.
class publisher {
 public:
  explicit publisher(journal& to) : to_(to) {}

  // One turn's worth; stops early when the journal has no room.
  size_t turn() {
    size_t done = 0;
    for (; done < records_per_turn && to_.has_room(entry_bytes()); ++done) publish();
    to_.flush();
    return done;
  }
  lsn end() const { return end_; }

 private:
  size_t entry_bytes() const { return record_size(fields_, seq_); }
  void publish() {
    auto space = to_.reserve(entry_kind::records, stream_id(1), entry_bytes());
    encode_record(space.payload, fields_, seq_, 1);
    end_ = to_.seal();
    seq_ = seq_.next();
  }

  journal& to_;
  std::string payload_ = std::string(payload_bytes, 'p');
  record_fields fields_{"bench.subject", wall_ms(1'700'000'000'000), {}, as_bytes(payload_)};
  seq_no seq_{1};
  lsn end_;
};

task<void> ask_for_sync(journal& of, lsn end) {
  must(co_await of.durable(end));
}

task<void> close_it(journal& which) {
  must(co_await which.close());
}

// Publishes `bytes` of log and waits until they are durable. `wait` lets the lane's completions run.
template <class Wait>
rate publish_all(journal& to, gate& tasks, uint64_t bytes, Wait wait) {
  publisher from(to);
  journal_stats before = to.stats();
  auto start = std::chrono::steady_clock::now();
  size_t records = 0;
  while (to.stats().bytes - before.bytes < bytes) {
    size_t done = from.turn();
    records += done;
    if (done != 0) tasks.spawn(ask_for_sync(to, from.end()));
    to.flush();
    wait(done == 0);
  }
  while (to.durable_end() != to.appended()) wait(true);
  double seconds = seconds_since(start);
  double log_bytes = static_cast<double>(to.stats().bytes - before.bytes);
  return rate{static_cast<double>(records) / seconds, log_bytes / seconds,
              static_cast<double>(records * payload_bytes) / seconds};
}

double plain_loop(disk& where, uint64_t bytes) {
  constexpr uint64_t step = 1 << 20;
  std::vector<uint8_t> buffer(step, 0);
  auto opened = must(where.open("plain", disk::mode::create));
  for (uint64_t at = 0; at < bytes; at += step) must(opened->write_at(at, buffer));
  must(opened->sync());
  std::fill(buffer.begin(), buffer.end(), uint8_t{'x'});
  auto start = std::chrono::steady_clock::now();
  for (uint64_t at = 0; at < bytes; at += step) {
    must(opened->write_at(at, buffer));
    must(opened->sync());
  }
  double seconds = seconds_since(start);
  opened.reset();
  must(where.remove("plain"));
  return static_cast<double>(bytes) / seconds;
}

rate journal_on_disk(disk& where, uint64_t bytes, const std::string& dir) {
  system_clock clock;
  no_visitor nothing;
  thread_lane lane;
  journal_config config;
  auto opened = must(journal::open(where, lane, clock, dir, config, lsn(), nothing));
  opened->on_roll = [&] { opened->release_before(opened->durable_end()); };
  gate tasks;
  auto wait = [&](bool block) { lane.run_done(block); };
  // Until segments are recycled, filling new ones with zeros takes part of the disk.
  publish_all(*opened, tasks, 4 * config.segment_bytes, wait);
  rate measured = publish_all(*opened, tasks, bytes, wait);
  tasks.spawn(close_it(*opened));
  while (tasks.running() != 0) wait(true);
  return measured;
}

rate journal_in_memory(uint64_t bytes) {
  system_clock clock;
  no_visitor nothing;
  inline_lane lane;
  null_disk where;
  auto opened = must(journal::open(where, lane, clock, "j", journal_config(), lsn(), nothing));
  opened->on_roll = [&] { opened->release_before(opened->durable_end()); };
  gate tasks;
  auto wait = [](bool) {};
  publish_all(*opened, tasks, bytes / 8, wait);
  return publish_all(*opened, tasks, bytes, wait);
}

template <class Value>
double median(std::vector<rate>& rates, Value value) {
  std::sort(rates.begin(), rates.end(), [&](const rate& a, const rate& b) { return value(a) < value(b); });
  return value(rates[rates.size() / 2]);
}

struct options {
  bool json = false;
  unsigned rounds = 5;
  uint64_t mib = 256;
  std::string directory;
};

options read_options(int count, char** words) {
  options chosen;
  for (int i = 1; i < count; ++i) {
    std::string word = words[i];
    if (word == "--json") {
      chosen.json = true;
    } else if (word == "--rounds" && i + 1 < count) {
      chosen.rounds = static_cast<unsigned>(std::max(1, std::atoi(words[++i])));
    } else if (word == "--mib" && i + 1 < count) {
      chosen.mib = static_cast<uint64_t>(std::max(1, std::atoi(words[++i])));
    } else {
      chosen.directory = word;
    }
  }
  return chosen;
}

void report(const options& chosen, std::vector<rate>& plain, std::vector<rate>& disk_rates, std::vector<rate>& cpu) {
  auto log_bytes = [](const rate& each) { return each.log_bytes_per_s; };
  auto payload = [](const rate& each) { return each.payload_bytes_per_s; };
  auto records = [](const rate& each) { return each.records_per_s; };
  double plain_rate = median(plain, log_bytes);
  double disk_rate = median(disk_rates, log_bytes);
  double disk_payload = median(disk_rates, payload);
  double disk_records = median(disk_rates, records);
  double cpu_records = median(cpu, records);
  if (chosen.json) {
    std::printf(
        "{\"rounds\": %u, \"plain_bytes_per_s\": %.0f, \"journal_bytes_per_s\": %.0f, "
        "\"journal_payload_bytes_per_s\": %.0f, \"journal_records_per_s\": %.0f, \"ratio\": %.3f, "
        "\"payload_ratio\": %.3f, \"cpu_records_per_s\": %.0f, \"cpu_ns_per_record\": %.1f}\n",
        chosen.rounds, plain_rate, disk_rate, disk_payload, disk_records, disk_rate / plain_rate,
        disk_payload / plain_rate, cpu_records, 1e9 / cpu_records);
    return;
  }
  std::printf("medians of %u rounds, records with %zu bytes of payload\n", chosen.rounds, payload_bytes);
  std::printf("  plain 1 MiB write + fdatasync  %8.1f MB/s\n", plain_rate / 1e6);
  std::printf("  journal, bytes in the log      %8.1f MB/s  %5.1f %% of plain (goal 50)\n", disk_rate / 1e6,
              100 * disk_rate / plain_rate);
  std::printf("  journal, payload alone         %8.1f MB/s  %5.1f %% of plain\n", disk_payload / 1e6,
              100 * disk_payload / plain_rate);
  std::printf("  journal                        %8.2f million records/s\n", disk_records / 1e6);
  std::printf("  cpu alone                      %8.2f million records/s (goal 2), %.0f ns each\n", cpu_records / 1e6,
              1e9 / cpu_records);
}

int run(const options& chosen) {
  temp_dir scratch;
  posix_disk where(chosen.directory.empty() ? scratch.path() + "/bench" : chosen.directory);
  must(where.make_dir(""));
  std::vector<rate> plain;
  std::vector<rate> disk_rates;
  std::vector<rate> cpu;
  uint64_t bytes = chosen.mib << 20;
  for (unsigned round = 0; round < chosen.rounds; ++round) {
    plain.push_back(rate{0, plain_loop(where, bytes), 0});
    std::string dir = "journal-" + std::to_string(round);
    disk_rates.push_back(journal_on_disk(where, bytes, dir));
    cpu.push_back(journal_in_memory(bytes));
    for (const auto& name : must(where.list(dir + "/journal"))) must(where.remove(dir + "/journal/" + name));
  }
  report(chosen, plain, disk_rates, cpu);
  return 0;
}

}  // namespace
}  // namespace weir

int main(int count, char** words) {
  return weir::run(weir::read_options(count, words));
}
