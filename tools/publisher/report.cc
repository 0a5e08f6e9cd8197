#include "tools/publisher/report.h"

#include <fmt/core.h>

#include <array>
#include <nlohmann/json.hpp>

namespace weir {
namespace {

constexpr double ns_per_us = 1000;
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
  return stored && (!verified || verified->good());
}

std::string text_report(const publisher_options& options, const run_totals& totals,
                        const std::optional<verify_report>& verified) {
  std::string text = fmt::format("stream    {} at {}\n", options.stream, options.server);
  text += fmt::format("messages  {} sent, {} acknowledged, {} failed, {} sent again\n", totals.sent, totals.acked,
                      totals.failed, totals.retried);
  text += fmt::format("rate      {:.0f} msg/s, {:.2f} MB/s over {:.2f} s\n", per_second(totals.acked, totals.seconds),
                      per_second(totals.bytes, totals.seconds) / bytes_per_mb, totals.seconds);
  if (totals.overdue != 0) {
    text += fmt::format("overdue   {} messages were due and never sent: the broker was slower than --rate\n",
                        totals.overdue);
  }
  text += "latency  ";
  for (const percentile_name& p : percentiles) {
    const auto ns = static_cast<double>(totals.latency_ns.percentile(p.percent));
    text += fmt::format(" {} {} ", p.text, duration_text(ns));
  }
  text += fmt::format(" max {}\n", duration_text(static_cast<double>(totals.latency_ns.max())));
  for (const auto& [code, count] : totals.errors) text += fmt::format("errors    {} {}\n", count, code);
  for (const std::string& example : totals.examples) text += fmt::format("          {}\n", example);
  if (!totals.stopped.empty()) text += fmt::format("stopped   {}\n", totals.stopped);
  if (verified) text += verify_text(*verified);
  return text;
}

std::string json_report(const publisher_options& options, const run_totals& totals,
                        const std::optional<verify_report>& verified) {
  nlohmann::ordered_json latency;
  for (const percentile_name& p : percentiles) {
    latency[p.json] = static_cast<double>(totals.latency_ns.percentile(p.percent)) / ns_per_us;
  }
  latency["max"] = static_cast<double>(totals.latency_ns.max()) / ns_per_us;
  latency["mean"] = totals.latency_ns.mean() / ns_per_us;

  nlohmann::ordered_json report = {
      {"server", options.server},
      {"stream", options.stream},
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
      {"latency_us", latency},
      {"errors", nlohmann::ordered_json::object()},
      {"examples", totals.examples},
      {"stopped", totals.stopped},
      {"interrupted", totals.interrupted},
  };
  for (const auto& [code, count] : totals.errors) report["errors"][code] = count;
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
