#include "net/metrics_text.h"

#include <functional>

namespace weir {
namespace {

using read_number = std::function<uint64_t(const core_metrics&)>;

void head(std::string& out, const std::string& name, const char* type, const char* help) {
  out += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

void single(std::string& out, const std::string& name, const char* type, const char* help, uint64_t value) {
  head(out, name, type, help);
  out += name + " " + std::to_string(value) + "\n";
}

// One line a shard (a shard and its reactor have the same number).
void per_shard(std::string& out, const std::vector<core_metrics>& cores, const std::string& name, const char* type,
               const char* help, const read_number& read) {
  head(out, name, type, help);
  for (const core_metrics& one : cores) {
    out += name + "{shard=\"" + std::to_string(one.index) + "\"} " + std::to_string(read(one)) + "\n";
  }
}

void add_calls(std::string& out, const std::vector<core_metrics>& cores) {
  per_shard(out, cores, "weir_rpc_calls_total", "counter", "calls accepted",
            [](const core_metrics& m) { return m.calls.calls; });
  per_shard(out, cores, "weir_rpc_failed_total", "counter", "calls ended with a status other than OK",
            [](const core_metrics& m) { return m.calls.failed; });
  per_shard(out, cores, "weir_rpc_refused_total", "counter", "calls refused before a handler saw them",
            [](const core_metrics& m) { return m.calls.refused; });
  per_shard(out, cores, "weir_rpc_open", "gauge", "calls open now", [](const core_metrics& m) { return m.calls.live; });
  per_shard(out, cores, "weir_rpc_request_bytes", "gauge", "bytes of requests being handled",
            [](const core_metrics& m) { return m.calls.request_bytes; });
  per_shard(out, cores, "weir_reactor_turns_total", "counter", "turns of the reactor's loop",
            [](const core_metrics& m) { return m.turns; });
  per_shard(out, cores, "weir_reactor_bells_total", "counter", "times another thread woke the reactor",
            [](const core_metrics& m) { return m.bells; });
}

void add_shards(std::string& out, const std::vector<core_metrics>& cores) {
  per_shard(out, cores, "weir_streams", "gauge", "streams", [](const core_metrics& m) { return m.shard.streams; });
  per_shard(out, cores, "weir_consumers", "gauge", "consumers",
            [](const core_metrics& m) { return m.shard.consumers; });
  per_shard(out, cores, "weir_messages", "gauge", "live messages",
            [](const core_metrics& m) { return m.shard.messages; });
  per_shard(out, cores, "weir_message_bytes", "gauge", "bytes of live messages",
            [](const core_metrics& m) { return m.shard.bytes; });
  per_shard(out, cores, "weir_published_total", "counter", "messages published",
            [](const core_metrics& m) { return m.shard.published; });
  per_shard(out, cores, "weir_delivered_total", "counter", "messages delivered",
            [](const core_metrics& m) { return m.shard.delivered; });
  per_shard(out, cores, "weir_acked_total", "counter", "messages acknowledged by consumers",
            [](const core_metrics& m) { return m.shard.acked; });
  per_shard(out, cores, "weir_pruned_total", "counter", "messages removed by retention",
            [](const core_metrics& m) { return m.shard.pruned; });
  per_shard(out, cores, "weir_damaged_records", "gauge", "records that cannot be read",
            [](const core_metrics& m) { return m.shard.damaged_records; });
}

void add_journals(std::string& out, const std::vector<core_metrics>& cores) {
  per_shard(out, cores, "weir_journal_commits_total", "counter", "group commits",
            [](const core_metrics& m) { return m.shard.journal.commits; });
  per_shard(out, cores, "weir_journal_syncs_total", "counter", "group commits that were synced",
            [](const core_metrics& m) { return m.shard.journal.syncs; });
  per_shard(out, cores, "weir_journal_entries_total", "counter", "entries written",
            [](const core_metrics& m) { return m.shard.journal.entries; });
  per_shard(out, cores, "weir_journal_bytes_total", "counter", "bytes written",
            [](const core_metrics& m) { return m.shard.journal.bytes; });
  per_shard(out, cores, "weir_shard_failed", "gauge", "1 after a failed write or sync: read-only until restart",
            [](const core_metrics& m) -> uint64_t { return m.shard.failed ? 1 : 0; });
  per_shard(out, cores, "weir_shard_full", "gauge", "1 while the disk is full: publishes are refused",
            [](const core_metrics& m) -> uint64_t { return m.shard.full ? 1 : 0; });
}

}  // namespace

std::string metrics_text(const std::vector<core_metrics>& cores, const listener_metrics& connections) {
  std::string out;
  single(out, "weir_connections", "gauge", "client connections open now", connections.open);
  single(out, "weir_connections_accepted_total", "counter", "client connections accepted", connections.accepted);
  single(out, "weir_connections_refused_total", "counter", "client connections refused for a limit",
         connections.refused_total + connections.refused_address);
  single(out, "weir_connections_refused_descriptors_total", "counter", "refused for want of descriptors",
         connections.refused_descriptors);
  add_calls(out, cores);
  add_shards(out, cores);
  add_journals(out, cores);
  return out;
}

}  // namespace weir
