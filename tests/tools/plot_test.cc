#include "tools/publisher/plot.h"

#include <doctest/doctest.h>

#include "tools/publisher/svg_panel.h"

namespace weir {
namespace {

constexpr uint64_t second = 1'000'000'000;
constexpr uint64_t us = 1000;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

run_totals some_totals() {
  run_totals totals;
  for (uint64_t n = 0; n < 1000; ++n) totals.over_time.record(n * second / 500, 80 * us);
  totals.acked = 1000;
  totals.seconds = 2;
  totals.latency_ns.record(80 * us, 1000);
  return totals;
}

TEST_CASE("timeline: slots become wider when there are too many, and lose nothing") {
  timeline line;
  line.begin(7);
  CHECK(line.slot_ns() == timeline::first_slot_ns);
  for (uint64_t n = 0; n < 60; ++n) line.record(7 + n * second, 5 * us, 2);
  CHECK(line.slot_ns() == second / 2);
  CHECK(line.slots().size() <= timeline::slots_max);
  uint64_t messages = 0;
  for (const timeline_slot& slot : line.slots()) messages += slot.latency_ns.count();
  CHECK(messages == 120);
  CHECK(line.slots()[0].latency_ns.count() == 2);
  CHECK(line.slots()[1].latency_ns.count() == 0);
  CHECK(line.slots().back().latency_ns.count() == 2);
  line.widen_to(4 * second);
  CHECK(line.slots().size() == 15);
  CHECK(line.slots()[0].latency_ns.count() == 8);
}

TEST_CASE("timeline: an hour after the first message there are still few slots") {
  timeline line;
  line.begin(0);
  line.record(0, us);
  line.record(3600 * second, us);
  CHECK(line.slots().size() <= timeline::slots_max);
  CHECK(line.slots().front().latency_ns.count() + line.slots().back().latency_ns.count() == 2);
}

TEST_CASE("plot: title, axes with units and legend are there; without a consumer nothing is said about one") {
  publisher_options options;
  options.stream = "a<b>&c";
  options.mode = publish_mode::batch;
  const std::string svg = svg_plot(options, some_totals());
  CHECK(svg.find("weir-publisher: stream a&lt;b&gt;&amp;c") != std::string::npos);
  CHECK(svg.find("fast lane, up to 256 a frame, 128 B, 1 connection,") != std::string::npos);
  CHECK(svg.find("messages per second") != std::string::npos);
  CHECK(count_of(svg, "seconds since the start") == 2);
  CHECK(svg.find("to ack, p99.9") != std::string::npos);
  CHECK(svg.find("100 us") != std::string::npos);
  CHECK(svg.find("deliver") == std::string::npos);
  CHECK(count_of(svg, "<path") == 4);
  CHECK(count_of(svg, "<text") == count_of(svg, "</text>"));
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
}

TEST_CASE("plot: with a consumer there are its lines too, though its slots are wider") {
  run_totals totals = some_totals();
  totals.consumer.emplace();
  totals.consumer->over_time.record(0, 200 * us, 500);
  totals.consumer->over_time.record(10 * second, 300 * us, 500);
  totals.consumer->consumed = 1000;
  totals.consumer->seconds = 10;
  const std::string svg = svg_plot(publisher_options{}, totals);
  CHECK(svg.find("unary calls") != std::string::npos);
  CHECK(svg.find("to delivery, p50") != std::string::npos);
  CHECK(count_of(svg, "<path") == 8);
}

TEST_CASE("plot: a run that did nothing is an empty plot, not a broken one") {
  const run_totals nothing;
  const std::string svg = svg_plot(publisher_options{}, nothing);
  CHECK(svg.find("</svg>") != std::string::npos);
  CHECK(count_of(svg, "<path") == 0);
  CHECK(svg.find("nan") == std::string::npos);
}

TEST_CASE("plot: a last slot too short for a rate of its own counts with the one before") {
  run_totals totals;
  for (uint64_t n = 0; n < 100; ++n) totals.over_time.record(n * second / 100, us);
  totals.over_time.record(second + 1, us, 100);  // at the very end
  totals.seconds = 1.000001;
  const std::string svg = svg_plot(publisher_options{}, totals);
  CHECK(svg.find(">100k<") == std::string::npos);
  CHECK(svg.find(">2k<") != std::string::npos);
}

TEST_CASE("plot: numbers and times are short") {
  CHECK(short_number(0) == "0");
  CHECK(short_number(250) == "250");
  CHECK(short_number(9998) == "10k");
  CHECK(short_number(1'390'000) == "1.39M");
  CHECK(short_number(999'900) == "1M");
  CHECK(short_time(80'000) == "80 us");
  CHECK(short_time(1'234'000) == "1.23 ms");
  CHECK(short_time(3e9) == "3 s");
}

}  // namespace
}  // namespace weir
