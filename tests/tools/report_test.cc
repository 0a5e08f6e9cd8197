#include "tools/publisher/report.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace weir {
namespace {

run_totals good_totals() {
  run_totals totals;
  totals.sent = 4;
  totals.acked = 4;
  totals.bytes = 4'000'000;
  totals.seconds = 2;
  for (const uint64_t us : {100u, 200u, 300u, 400u}) totals.latency_ns.record(us * 1000);
  return totals;
}

TEST_CASE("report: as JSON it carries rates, percentiles in microseconds and errors by code") {
  publisher_options options;
  options.stream = "logs";
  run_totals totals = good_totals();
  totals.sent = 6;
  totals.failed = 2;
  totals.errors = {{"oversize", 2}};
  totals.examples = {"line 3 (9 bytes): oversize: \xff\xfe"};
  const auto report = nlohmann::json::parse(json_report(options, totals, std::nullopt));
  CHECK(report["stream"] == "logs");
  CHECK(report["acked"] == 4);
  CHECK(report["failed"] == 2);
  CHECK(report["messages_per_second"].get<double>() == doctest::Approx(2));
  CHECK(report["mb_per_second"].get<double>() == doctest::Approx(2));
  CHECK(report["latency_us"]["p50"].get<double>() == doctest::Approx(200).epsilon(0.001));
  CHECK(report["latency_us"]["max"].get<double>() == doctest::Approx(400));
  CHECK(report["errors"]["oversize"] == 2);
  CHECK(!report.contains("verify"));
}

TEST_CASE("report: verification stands in both forms") {
  publisher_options options;
  verify_report verified;
  verified.read = 4;
  verified.matched = 3;
  verified.missing = 1;
  const run_totals totals = good_totals();
  const auto report = nlohmann::json::parse(json_report(options, totals, verified));
  CHECK(report["verify"]["good"] == false);
  CHECK(report["verify"]["missing"] == 1);
  const std::string text = text_report(options, totals, verified);
  CHECK(text.find("FAILED") != std::string::npos);
  CHECK(text.find("1 missing") != std::string::npos);
}

TEST_CASE("report: a consumer stands in both forms, and the slots of the plot in JSON") {
  publisher_options options;
  options.mode = publish_mode::batch;
  run_totals totals = good_totals();
  totals.over_time.record(0, 100'000, 4);
  totals.consumer.emplace();
  totals.consumer->consumed = 3;
  totals.consumer->missing = 1;
  totals.consumer->seconds = 2;
  totals.consumer->latency_ns.record(500'000, 3);
  totals.consumer->failure = "nothing came for 30 s";
  const auto report = nlohmann::json::parse(json_report(options, totals, std::nullopt));
  CHECK(report["mode"] == "batch");
  CHECK(report["batch"] == 256);
  CHECK(report["timeline"]["slots"][0]["messages"] == 4);
  CHECK(report["timeline"]["slots"][0]["latency_us"]["p50"].get<double>() == doctest::Approx(100).epsilon(0.02));
  CHECK(report["consumer"]["consumed"] == 3);
  CHECK(report["consumer"]["missing"] == 1);
  CHECK(report["consumer"]["messages_per_second"].get<double>() == doctest::Approx(1.5));
  CHECK(report["consumer"]["end_to_end_us"]["p99_9"].get<double>() == doctest::Approx(500).epsilon(0.001));
  const std::string text = text_report(options, totals, std::nullopt);
  CHECK(text.find("consumed  3 messages, 2 msg/s") != std::string::npos);
  CHECK(text.find("end to end p50 500.") != std::string::npos);
  CHECK(text.find("MISSING   1 acknowledged") != std::string::npos);
  CHECK(text.find("stopped: nothing came for 30 s") != std::string::npos);
  CHECK(!all_good(totals, std::nullopt));
  totals.consumer->missing = 0;
  CHECK(!all_good(totals, std::nullopt));
  totals.consumer->failure.clear();
  CHECK(all_good(totals, std::nullopt));
}

TEST_CASE("report: only a run without any failure is good") {
  CHECK(all_good(good_totals(), std::nullopt));
  CHECK(all_good(good_totals(), verify_report{}));

  run_totals failed = good_totals();
  failed.sent = 5;
  failed.failed = 1;
  failed.errors = {{"UNAVAILABLE", 1}};
  CHECK(!all_good(failed, std::nullopt));

  run_totals unread = good_totals();
  unread.errors = {{"input", 1}};
  CHECK(!all_good(unread, std::nullopt));

  run_totals stopped = good_totals();
  stopped.stopped = "the server closed the connection";
  CHECK(!all_good(stopped, std::nullopt));
  stopped.interrupted = true;
  CHECK(all_good(stopped, std::nullopt));

  verify_report different;
  different.different = 1;
  CHECK(!all_good(good_totals(), different));
  verify_report refused;
  refused.failures = {"Fetch: UNAVAILABLE"};
  CHECK(!all_good(good_totals(), refused));
}

}  // namespace
}  // namespace weir
