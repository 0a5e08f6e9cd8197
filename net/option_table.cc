#include "net/option_table.h"

#include <charconv>
#include <concepts>
#include <limits>

#include "net/socket_address.h"

namespace weir {
namespace {

constexpr uint64_t gib = 1ull << 30;
constexpr uint64_t day_ms = 24ull * 3600 * 1000;

template <std::unsigned_integral T>
option_row number(std::string name, T& field, T min, T max, std::string help) {
  option_row row;
  row.name = std::move(name);
  row.help = std::move(help);
  row.takes = "a number from " + std::to_string(min) + " to " + std::to_string(max);
  row.preset = std::to_string(field);
  row.set = [&field, min, max](const std::string& text) {
    T value{};
    auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size() || value < min || value > max) return false;
    field = value;
    return true;
  };
  return row;
}

option_row text(std::string name, std::string& field, std::string takes, std::string help) {
  option_row row{std::move(name), std::move(help), std::move(takes), false, field, nullptr};
  row.set = [&field](const std::string& value) {
    if (value.empty()) return false;
    field = value;
    return true;
  };
  return row;
}

option_row address(std::string name, std::string& field, std::string help) {
  option_row row = text(std::move(name), field, "HOST:PORT", std::move(help));
  row.set = [&field](const std::string& value) {
    if (!parse_host_port(value)) return false;
    field = value;
    return true;
  };
  return row;
}

option_row choice(std::string name, std::string& field, std::vector<std::string> words, std::string help) {
  std::string takes = "one of";
  for (const std::string& word : words) takes += " " + word;
  option_row row = text(std::move(name), field, std::move(takes), std::move(help));
  row.set = [&field, words = std::move(words)](const std::string& value) {
    for (const std::string& word : words) {
      if (word != value) continue;
      field = value;
      return true;
    }
    return false;
  };
  return row;
}

option_row boolean(std::string name, bool& field, bool flag, std::string help) {
  option_row row{std::move(name), std::move(help), "true or false", flag, field ? "true" : "false", nullptr};
  row.set = [&field](const std::string& value) {
    if (value != "true" && value != "false") return false;
    field = value == "true";
    return true;
  };
  return row;
}

option_row shard_count(std::optional<unsigned>& field) {
  option_row row{"shards",
                 "shards, each with a reactor thread and a journal; fixed when the data directory is made",
                 "a number from 1 to 64",
                 false,
                 "one per core",
                 nullptr};
  row.set = [&field](const std::string& value) {
    unsigned count = 0;
    if (!number("shards", count, 1u, 64u, "").set(value)) return false;
    field = count;
    return true;
  };
  return row;
}

void add_server_rows(std::vector<option_row>& rows, server_options& o) {
  rows.push_back(address("listen", o.listen, "where clients connect (gRPC); port 0 picks a free one"));
  rows.push_back(address("admin", o.admin, "HTTP /healthz /readyz /metrics; port 0 picks a free one"));
  rows.push_back(text("data", o.data, "a directory", "the data directory; made if missing"));
  rows.push_back(shard_count(o.shards));
  rows.push_back(boolean("insecure", o.insecure, true, "listen beyond loopback although nothing is encrypted"));
  rows.push_back(choice("poller", o.poller, {"poll", "epoll1"}, "gRPC's poller; epoll1 for thousands of connections"));
  rows.push_back(boolean("pin", o.pin, false, "give each reactor a core of its own"));
  rows.push_back(number("pool-threads", o.pool_threads, 1u, 64u, "threads for cold reads and settling"));
  rows.push_back(number("stop-grace-ms", o.stop_grace_ms, 0u, 600'000u, "how long a stop waits for open calls"));
  rows.push_back(number<size_t>("subscriptions-bytes-max", o.subscriptions_bytes_max, 1u << 20, 1024 * gib,
                                "taken for all subscriptions together and not yet written"));
  rows.push_back(number<size_t>("publish-inflight-bytes-max", o.publish_inflight_bytes_max, 64u << 10, 1024 * gib,
                                "sent on one fast lane and not yet answered"));
  rows.push_back(number("publish-inflight-frames-max", o.publish_inflight_frames_max, 1u, 1'000'000u, "likewise"));
  rows.push_back(choice("log-level", o.log_level, {"debug", "info", "warn", "error"}, "what goes to standard error"));
}

void add_transport_rows(std::vector<option_row>& rows, server_options& o) {
  constexpr unsigned day = static_cast<unsigned>(day_ms);
  constexpr size_t many = 1'000'000;
  rows.push_back(number<size_t>("connections-max", o.connections.connections_max, 1, many, "client connections"));
  rows.push_back(number<size_t>("connections-per-address-max", o.connections.connections_per_address_max, 1, many,
                                "client connections from one address"));
  rows.push_back(number<size_t>("calls-max", o.calls.calls_max, 1, many, "open calls on one reactor"));
  rows.push_back(number<size_t>("open-request-bytes-max", o.calls.open_request_bytes_max, 1u << 20, 1024 * gib,
                                "requests being handled on one reactor, together"));
  rows.push_back(number("requests-outstanding", o.calls.requests_outstanding, 1u, 1'024u,
                        "calls a reactor offers to take at a time"));
  rows.push_back(number("streams-per-connection-max", o.rpc.streams_per_connection_max, 1u, 100'000u,
                        "open calls on one connection"));
  rows.push_back(number<size_t>("receive-bytes-max", o.rpc.receive_bytes_max, 64u << 10, gib, "one request message"));
  rows.push_back(
      number<size_t>("metadata-bytes-max", o.rpc.metadata_bytes_max, 1u << 10, 1u << 20, "request headers of a call"));
  rows.push_back(number("handshake-ms-max", o.rpc.handshake_ms_max, 100u, day, "for a new connection"));
  rows.push_back(number("keepalive-ms", o.rpc.keepalive_ms, 1'000u, day, "silence after which a client is pinged"));
  rows.push_back(number("keepalive-timeout-ms", o.rpc.keepalive_timeout_ms, 100u, day, "wait for its answer"));
  rows.push_back(number("ping-interval-ms-min", o.rpc.ping_interval_ms_min, 0u, day, "between a client's own pings"));
  rows.push_back(number("connection-idle-ms-max", o.rpc.connection_idle_ms_max, 1'000u, day, "without a call"));
  rows.push_back(number("connection-age-ms-max", o.rpc.connection_age_ms_max, 1'000u, 15 * day,
                        "then new calls go to a new connection"));
}

void add_delivery_rows(std::vector<option_row>& rows, broker_limits& b) {
  rows.push_back(
      number<uint64_t>("pending-max", b.pending_max, 1, 100'000'000, "unacknowledged messages of a consumer"));
  rows.push_back(number<size_t>("held-back-max", b.held_back_max, 1, 1'000'000,
                                "messages of a consumer held back by max_ack_pending_per_subject"));
  rows.push_back(number<size_t>("parked-max", b.parked_max, 1, 10'000'000, "parked messages of a consumer"));
  rows.push_back(number<size_t>("parked-listed-max", b.parked_listed_max, 1, 100'000, "parked messages of a listing"));
  rows.push_back(
      number("subscribe-batch-max", b.subscribe_batch_max, 1u, 100'000u, "messages a subscription has in hand"));
  rows.push_back(number<size_t>("subscribe-bytes-max", b.subscribe_bytes_max, 1u << 10, gib, "the same in bytes"));
  rows.push_back(number("consume-batch-max", b.consume_batch_max, 1u, 1'000'000u, "messages of a fast-lane delivery"));
  rows.push_back(number<size_t>("dedup-ids-max", b.dedup_ids_max, 1, 10'000'000, "message ids a stream remembers"));
  rows.push_back(number<size_t>("scheduled-max", b.scheduled_max, 1, 100'000'000, "scheduled messages of a stream"));
  rows.push_back(
      number("batch-messages-max", b.batch_messages_max, 1u, 1'000'000u, "messages of a frame of the fast lane"));
  rows.push_back(
      number<size_t>("atomic-messages-max", b.atomic_messages_max, 1, 100'000, "messages of an atomic publish"));
  rows.push_back(number<size_t>("atomic-bytes-max", b.atomic_bytes_max, 1u << 10, gib, "bytes of an atomic publish"));
}

void add_broker_rows(std::vector<option_row>& rows, server_options& o) {
  constexpr uint64_t any = std::numeric_limits<uint64_t>::max();
  broker_limits& b = o.broker;
  rows.push_back(number<size_t>("payload-bytes-max", b.payload_bytes_max, 1, gib, "payload of a message"));
  rows.push_back(number<size_t>("headers-max", b.headers_max, 0, 10'000, "headers of a message"));
  rows.push_back(number<size_t>("header-bytes-max", b.header_bytes_max, 0, 1u << 20, "headers of a message together"));
  rows.push_back(number<size_t>("streams-max", b.streams_max, 1, 10'000'000, "streams of a shard"));
  rows.push_back(number<size_t>("consumers-max", b.consumers_max, 1, 1'000'000, "consumers of a stream"));
  rows.push_back(number("fetch-messages-max", b.fetch_messages_max, 1u, 1'000'000u, "messages of a fetch"));
  rows.push_back(number<size_t>("fetch-bytes-max", b.fetch_bytes_max, 1u << 10, gib, "bytes of a fetch"));
  add_delivery_rows(rows, b);
  rows.push_back(number<uint64_t>("scan-messages-max", b.scan_messages_max, 1, 1'000'000, "messages of a scan"));
  rows.push_back(number<size_t>("subjects-listed-max", b.subjects_listed_max, 1, 10'000'000, "subjects of a listing"));
  rows.push_back(number<uint64_t>("retention-sweep-ms", b.retention_sweep_ms, 10, day_ms, "between retention sweeps"));
  rows.push_back(number<size_t>("metrics-consumers-max", b.metrics_consumers_max, 0, 1'000'000,
                                "consumers of a shard with lines of their own in /metrics"));
  rows.push_back(number<size_t>("watch-events-buffered", b.watch_events_buffered, 1, 1'000'000,
                                "events a slow watcher may be behind"));
  store_config& s = o.storage;
  rows.push_back(number<uint64_t>("journal-segment-bytes", s.journal.segment_bytes, 1u << 20, 4 * gib,
                                  "size of a journal segment"));
  rows.push_back(number<uint64_t>("taken-segment-bytes-min", s.taken_bytes_min, 1u << 20, any,
                                  "size from which a segment that is mostly one stream's becomes its block"));
  rows.push_back(number("journal-segments-max", s.journal.segments_max, 2u, 1'000u, "journal segments of a shard"));
  rows.push_back(
      number<uint64_t>("journal-batch-bytes-max", s.journal.batch_bytes_max, 64u << 10, gib, "one group commit"));
  rows.push_back(number<uint64_t>("cache-bytes-max", s.cache_bytes_max, 1u << 20, any, "block cache of a shard"));
  rows.push_back(number<uint64_t>("disk-reserve-bytes", s.disk_reserve_bytes, 0, any,
                                  "free disk space below which publishes are refused"));
}

}  // namespace

std::vector<option_row> option_table(server_options& options) {
  std::vector<option_row> rows;
  add_server_rows(rows, options);
  add_transport_rows(rows, options);
  add_broker_rows(rows, options);
  return rows;
}

}  // namespace weir
