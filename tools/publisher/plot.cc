#include "tools/publisher/plot.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "tools/publisher/svg_panel.h"

namespace weir {
namespace {

constexpr double width = 1000;
constexpr double margin = 20;
constexpr double head_height = 84;
constexpr double panel_height = 320;
constexpr double height = head_height + 2 * panel_height + margin;
constexpr const char* ink = "#222222";
constexpr const char* faint = "#666666";
constexpr double ns_per_s = 1e9;

// Blue is publishing, orange is consuming; the darker, the rarer.
constexpr const char* published_colour = "#1f5fa8";
constexpr const char* consumed_colour = "#d9670e";
struct percentile_line {
  double percent;
  const char* name;
  const char* to_ack;
  const char* to_delivery;
};
constexpr std::array percentile_lines = {percentile_line{99.9, "p99.9", "#0b3c73", "#8c3a04"},
                                         percentile_line{99, "p99", "#3d85c6", "#e0701a"},
                                         percentile_line{50, "p50", "#9dc3e6", "#f7b580"}};

// Slots of one width for both sides of a run.
struct both_timelines {
  timeline published;
  timeline consumed;
  double slot_s;
  double seconds;

  explicit both_timelines(const run_totals& totals) : published(totals.over_time) {
    if (totals.consumer) consumed = totals.consumer->over_time;
    const uint64_t slot_ns = std::max(published.slot_ns(), consumed.slot_ns());
    published.widen_to(slot_ns);
    consumed.widen_to(slot_ns);
    slot_s = static_cast<double>(slot_ns) / ns_per_s;
    seconds = std::max(totals.seconds, totals.consumer ? totals.consumer->seconds : 0);
  }
};

// The last slot is shorter than the others; when it is too short for a rate of its own, it counts with the one before.
svg_line rate_line(const char* name, const char* colour, bool dashed, const timeline& of, const both_timelines& both) {
  svg_line made{name, colour, dashed, {}};
  const auto& slots = of.slots();
  const auto end_of = [&](size_t n) { return std::min(both.seconds, static_cast<double>(n + 1) * both.slot_s); };
  for (size_t n = 0; n < slots.size(); ++n) {
    const double begins_s = static_cast<double>(n) * both.slot_s;
    const bool takes_next = n + 2 == slots.size() && end_of(n + 1) - end_of(n) < both.slot_s / 2;
    const uint64_t count = slots[n].latency_ns.count() + (takes_next ? slots[n + 1].latency_ns.count() : 0);
    const double span_s = std::max(end_of(takes_next ? n + 1 : n) - begins_s, both.slot_s / 100);
    made.values.emplace_back(static_cast<double>(count) / span_s);
    if (takes_next) break;
  }
  return made;
}

svg_line latency_line(const std::string& name, const char* colour, bool dashed, const timeline& of, double percent) {
  svg_line made{name, colour, dashed, {}};
  for (const timeline_slot& slot : of.slots()) {
    const bool any = slot.latency_ns.count() != 0;
    made.values.push_back(any ? std::optional(static_cast<double>(slot.latency_ns.percentile(percent))) : std::nullopt);
  }
  return made;
}

std::string times(uint64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string described(const publisher_options& options) {
  std::string text = options.mode == publish_mode::batch ? fmt::format("fast lane, up to {} a frame", options.batch)
                                                         : std::string("unary calls");
  text += options.input.empty() ? fmt::format(", {} B", options.size) : ", lines of a file";
  text += ", " + times(options.connections, "connection");
  if (options.streams > 1) text += ", " + times(options.streams, "stream");
  text += fmt::format(", {} in flight", options.in_flight);
  return text + (options.rate > 0 ? fmt::format(", paced at {} msg/s", short_number(options.rate)) : ", full speed");
}

std::string summed_up(const char* what, uint64_t messages, double seconds, const histogram& latency_ns) {
  const auto time = [&](double percent) { return short_time(static_cast<double>(latency_ns.percentile(percent))); };
  return fmt::format("{}: {} msg/s, p50 {}, p99 {}, p99.9 {}", what,
                     short_number(seconds > 0 ? static_cast<double>(messages) / seconds : 0), time(50), time(99),
                     time(99.9));
}

std::string draw_head(const publisher_options& options, const run_totals& totals) {
  std::string made = svg_text(margin, 30, fmt::format("weir-publisher: stream {}", options.stream), 18, ink, "start",
                              " font-weight=\"bold\"");
  made += svg_text(margin, 51, described(options), 12, faint);
  std::string sums = summed_up("acknowledged", totals.acked, totals.seconds, totals.latency_ns);
  if (totals.consumer) {
    const consume_totals& consumer = *totals.consumer;
    sums += "; " + summed_up("delivered", consumer.consumed, consumer.seconds, consumer.latency_ns);
  }
  return made + svg_text(margin, 70, sums, 12, faint);
}

}  // namespace

std::string svg_plot(const publisher_options& options, const run_totals& totals) {
  const both_timelines both(totals);
  svg_panel rates{"Throughput", "messages per second", false, false, {}};
  svg_panel latencies{"Latency", "time, logarithmic", true, true, {}};
  rates.lines.push_back(rate_line("acknowledged", published_colour, false, both.published, both));
  if (totals.consumer) rates.lines.push_back(rate_line("delivered", consumed_colour, true, both.consumed, both));
  for (const percentile_line& each : percentile_lines) {
    latencies.lines.push_back(
        latency_line(fmt::format("to ack, {}", each.name), each.to_ack, false, both.published, each.percent));
  }
  for (const percentile_line& each : percentile_lines) {
    if (!totals.consumer) break;
    latencies.lines.push_back(
        latency_line(fmt::format("to delivery, {}", each.name), each.to_delivery, true, both.consumed, each.percent));
  }
  std::string made = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"DejaVu Sans, Helvetica, Arial, sans-serif\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"white\"/>\n",
      width, height);
  made += draw_head(options, totals);
  const svg_place above{margin, head_height, width - 2 * margin, panel_height};
  svg_place below = above;
  below.top += panel_height;
  made += draw_panel(rates, above, both.slot_s, both.seconds);
  made += draw_panel(latencies, below, both.slot_s, both.seconds);
  return made + "</svg>\n";
}

}  // namespace weir
