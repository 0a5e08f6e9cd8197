#include "tools/publisher/report.h"

#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>

namespace weir {
namespace {

constexpr double ns_per_us = 1000;
constexpr double ns_per_s = 1e9;
constexpr double bytes_per_mb = 1e6;

struct percentile_name {
  const char* text;
  const char* json;
  double percent;
};
constexpr std::array percentiles = {percentile_name{"p50", "p50", 50}, percentile_name{"p90", "p90", 90},
                                    percentile_name{"p99", "p99", 99}, percentile_name{"p99.9", "p99_9", 99.9}};

double per_second(uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

std::string duration_text(double ns) {
  if (ns < 1e6) return fmt::format("{:.1f} us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.2f} ms", ns / 1e6);
  return fmt::format("{:.2f} s", ns / 1e9);
}

std::string latency_text(const histogram& latency_ns) {
  std::string text;
  for (const percentile_name& p : percentiles) {
    const auto ns = static_cast<double>(latency_ns.percentile(p.percent));
    text += fmt::format(" {} {} ", p.text, duration_text(ns));
  }
  return text + fmt::format(" max {}\n", duration_text(static_cast<double>(latency_ns.max())));
}

std::string consumer_text(const consume_totals& totals) {
  std::string text = fmt::format("consumed  {} messages, {:.0f} msg/s over {:.2f} s", totals.consumed,
                                 per_second(totals.consumed, totals.seconds), totals.seconds);
  if (totals.others != 0) text += fmt::format(", {} of others or twice", totals.others);
  text += "\nend to end" + latency_text(totals.latency_ns);
  if (totals.missing != 0) text += fmt::format("MISSING   {} acknowledged and not delivered\n", totals.missing);
  if (!totals.failure.empty()) text += fmt::format("consumer  stopped: {}\n", totals.failure);
  return text;
}

nlohmann::ordered_json latency_json(const histogram& latency_ns) {
  nlohmann::ordered_json made;
  for (const percentile_name& p : percentiles) {
    made[p.json] = static_cast<double>(latency_ns.percentile(p.percent)) / ns_per_us;
  }
  made["max"] = static_cast<double>(latency_ns.max()) / ns_per_us;
  made["mean"] = latency_ns.mean() / ns_per_us;
  return made;
}

// What a plot shows, slot by slot.
nlohmann::ordered_json timeline_json(const timeline& over_time) {
  const double slot_s = static_cast<double>(over_time.slot_ns()) / ns_per_s;
  nlohmann::ordered_json slots = nlohmann::ordered_json::array();
  for (const timeline_slot& slot : over_time.slots()) {
    nlohmann::ordered_json one = {{"messages", slot.latency_ns.count()}};
    if (slot.latency_ns.count() != 0) one["latency_us"] = latency_json(slot.latency_ns);
    slots.push_back(std::move(one));
  }
  return {{"slot_seconds", slot_s}, {"slots", std::move(slots)}};
}

nlohmann::ordered_json consumer_json(const consume_totals& totals) {
  return {{"consumed", totals.consumed},
          {"missing", totals.missing},
          {"others", totals.others},
          {"seconds", totals.seconds},
          {"messages_per_second", per_second(totals.consumed, totals.seconds)},
          {"end_to_end_us", latency_json(totals.latency_ns)},
          {"timeline", timeline_json(totals.over_time)},
          {"failure", totals.failure}};
}

std::string verify_text(const verify_report& report) {
  std::string text = fmt::format(
      "verify    {}: {} read back in {:.2f} s, {} as acknowledged, {} different, {} missing, "
      "{} out of order, {} of others, {} stored in another order than sent\n",
      report.good() ? "good" : "FAILED", report.read, report.seconds, report.matched, report.different, report.missing,
      report.out_of_order, report.foreign, report.moved);
  for (const std::string& failure : report.failures) text += fmt::format("          {}\n", failure);
  return text;
}

}  // namespace

bool all_good(const run_totals& totals, const std::optional<verify_report>& verified) {
  const bool stored = totals.failed == 0 && totals.errors.empty() && totals.acked == totals.sent;
  const bool ended_well = totals.stopped.empty() || totals.interrupted;
  const bool came = !totals.consumer || (totals.consumer->missing == 0 && totals.consumer->failure.empty());
  return stored && ended_well && came && (!verified || verified->good());
}

std::string text_report(const publisher_options& options, const run_totals& totals,
                        const std::optional<verify_report>& verified) {
  const std::string streams = options.streams == 1 ? "" : fmt::format(", {} streams", options.streams);
  std::string text = fmt::format("stream    {} at {}{}\n", options.stream, options.server, streams);
  text += fmt::format("messages  {} sent, {} acknowledged, {} failed, {} sent again\n", totals.sent, totals.acked,
                      totals.failed, totals.retried);
  text += fmt::format("rate      {:.0f} msg/s, {:.2f} MB/s over {:.2f} s\n", per_second(totals.acked, totals.seconds),
                      per_second(totals.bytes, totals.seconds) / bytes_per_mb, totals.seconds);
  if (totals.overdue != 0) {
    text += fmt::format("overdue   {} messages were due and never sent: the broker was slower than --rate\n",
                        totals.overdue);
  }
  text += "latency  " + latency_text(totals.latency_ns);
  if (totals.consumer) text += consumer_text(*totals.consumer);
  for (const auto& [code, count] : totals.errors) text += fmt::format("errors    {} {}\n", count, code);
  for (const std::string& example : totals.examples) text += fmt::format("          {}\n", example);
  if (!totals.stopped.empty()) text += fmt::format("stopped   {}\n", totals.stopped);
  if (verified) text += verify_text(*verified);
  return text;
}

std::string json_report(const publisher_options& options, const run_totals& totals,
                        const std::optional<verify_report>& verified) {
  nlohmann::ordered_json report = {
      {"server", options.server},
      {"stream", options.stream},
      {"streams", options.streams},
      {"mode", options.mode == publish_mode::batch ? "batch" : "unary"},
      {"rate", options.rate},
      {"in_flight", options.in_flight},
      {"connections", options.connections},
      {"sent", totals.sent},
      {"acked", totals.acked},
      {"failed", totals.failed},
      {"retried", totals.retried},
      {"overdue", totals.overdue},
      {"bytes", totals.bytes},
      {"seconds", totals.seconds},
      {"messages_per_second", per_second(totals.acked, totals.seconds)},
      {"mb_per_second", per_second(totals.bytes, totals.seconds) / bytes_per_mb},
      {"latency_us", latency_json(totals.latency_ns)},
      {"timeline", timeline_json(totals.over_time)},
      {"errors", nlohmann::ordered_json::object()},
      {"examples", totals.examples},
      {"stopped", totals.stopped},
      {"interrupted", totals.interrupted},
  };
  if (options.mode == publish_mode::batch) report["batch"] = options.batch;
  for (const auto& [code, count] : totals.errors) report["errors"][code] = count;
  if (totals.consumer) report["consumer"] = consumer_json(*totals.consumer);
  if (verified) {
    report["verify"] = {{"good", verified->good()},     {"read", verified->read},
                        {"matched", verified->matched}, {"different", verified->different},
                        {"missing", verified->missing}, {"out_of_order", verified->out_of_order},
                        {"foreign", verified->foreign}, {"moved", verified->moved},
                        {"seconds", verified->seconds}, {"failures", verified->failures}};
  }
  // Lines of a file may be quoted in errors: what is not UTF-8 is replaced, never thrown about.
  return report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace weir
