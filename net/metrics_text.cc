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
  per_shard(out, cores, "weir_redelivered_total", "counter", "of the delivered, not for the first time",
            [](const core_metrics& m) { return m.shard.redelivered; });
  per_shard(out, cores, "weir_dead_lettered_total", "counter", "messages given up and published as dead letters",
            [](const core_metrics& m) { return m.shard.dead_lettered; });
  per_shard(out, cores, "weir_duplicates_total", "counter", "publishes of a message id that was known",
            [](const core_metrics& m) { return m.shard.duplicates; });
  per_shard(out, cores, "weir_pending", "gauge", "messages delivered and not acknowledged, and those held back",
            [](const core_metrics& m) { return m.shard.pending; });
  per_shard(out, cores, "weir_parked", "gauge", "messages that consumers gave up on and keep",
            [](const core_metrics& m) { return m.shard.parked; });
  per_shard(out, cores, "weir_scheduled", "gauge", "messages to be delivered later",
            [](const core_metrics& m) { return m.shard.scheduled; });
  per_shard(out, cores, "weir_waiting", "gauge", "fetches and subscriptions open now",
            [](const core_metrics& m) { return m.shard.waiting; });
  per_shard(out, cores, "weir_damaged_records", "gauge", "records that cannot be read",
            [](const core_metrics& m) { return m.shard.damaged_records; });
}

// A value of a label: names may hold any character but controls.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string labels(const consumer_metrics& one) {
  return "stream=" + quoted(one.stream) + ",consumer=" + quoted(one.consumer);
}

void per_consumer(std::string& out, const std::vector<core_metrics>& cores, const std::string& name, const char* help,
                  uint64_t consumer_metrics::*number) {
  head(out, name, "gauge", help);
  for (const core_metrics& core : cores) {
    for (const consumer_metrics& one : core.consumers) {
      out += name + "{" + labels(one) + "} " + std::to_string(one.*number) + "\n";
    }
  }
}

const char* reason_of(blocked_by why) {
  switch (why) {
    case blocked_by::nothing:
      return nullptr;
    case blocked_by::paused:
      return "paused";
    case blocked_by::max_ack_pending:
      return "max_ack_pending";
    case blocked_by::max_ack_pending_per_subject:
      return "max_ack_pending_per_subject";
    case blocked_by::no_match:
      return "no_match";
    case blocked_by::caught_up:
      return "caught_up";
  }
  return nullptr;
}

void add_consumers(std::string& out, const std::vector<core_metrics>& cores) {
  per_shard(out, cores, "weir_consumers_unlisted", "gauge",
            "consumers beyond --metrics-consumers-max, without lines of their own below",
            [](const core_metrics& m) { return m.shard.consumers - m.consumers.size(); });
  per_consumer(out, cores, "weir_consumer_lag", "messages of the stream above the ack floor", &consumer_metrics::lag);
  per_consumer(out, cores, "weir_consumer_pending", "delivered and not acknowledged, and those held back",
               &consumer_metrics::pending);
  per_consumer(out, cores, "weir_consumer_parked", "given up and kept", &consumer_metrics::parked);
  head(out, "weir_consumer_blocked", "gauge", "1: why nothing is delivered to the consumer now");
  for (const core_metrics& core : cores) {
    for (const consumer_metrics& one : core.consumers) {
      const char* reason = reason_of(one.blocked);
      if (reason == nullptr) continue;
      out += "weir_consumer_blocked{" + labels(one) + ",reason=\"" + reason + "\"} 1\n";
    }
  }
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
  add_consumers(out, cores);
  return out;
}

}  // namespace weir
