#include "tools/publisher/delivery_match.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>
#include <string>

namespace weir {
namespace {

TEST_CASE("delivery match: latency runs from when a message was due to its delivery, whichever side is told first") {
  delivery_match match(1, 0);
  match.begin(1000);
  match.acknowledged(0, 10, 5, 2000);
  CHECK(match.outstanding() == 5);
  match.delivered(0, 10, 3, 2500);
  CHECK(match.outstanding() == 2);
  match.delivered(0, 15, 2, 3500);  // its acknowledgement comes later
  match.acknowledged(0, 15, 2, 3000);
  match.delivered(0, 13, 2, 2500);
  CHECK(match.outstanding() == 0);
  const consume_totals totals = match.take_totals();
  CHECK(totals.consumed == 7);
  CHECK(totals.missing == 0);
  CHECK(totals.others == 0);
  CHECK(totals.latency_ns.percentile(0) == 500);
  CHECK(totals.latency_ns.max() == 500);
  CHECK(totals.seconds == doctest::Approx(2500e-9));
}

TEST_CASE("delivery match: in a paced run every message has its own due time") {
  delivery_match match(1, 100);
  match.begin(0);
  match.acknowledged(0, 1, 4, 1000);  // due at 1000, 1100, 1200, 1300
  match.delivered(0, 3, 1, 1500);
  match.delivered(0, 1, 2, 1600);
  match.delivered(0, 4, 1, 1700);
  const consume_totals totals = match.take_totals();
  CHECK(totals.latency_ns.count() == 4);
  CHECK(totals.latency_ns.percentile(25) == 300);
  CHECK(totals.latency_ns.percentile(50) == 400);
  CHECK(totals.latency_ns.percentile(75) == 500);
  CHECK(totals.latency_ns.max() == 600);
}

TEST_CASE(
    "delivery match: what never came is missing, what is not ours or came twice is of others; streams are apart") {
  delivery_match match(2, 0);
  match.begin(0);
  match.delivered(1, 1, 10, 50);
  match.acknowledged(0, 1, 10, 10);
  match.delivered(0, 4, 3, 60);
  match.delivered(0, 5, 1, 70);  // again
  match.acknowledged(1, 3, 2, 20);
  const consume_totals totals = match.take_totals();
  CHECK(totals.consumed == 5);
  CHECK(totals.missing == 7);
  CHECK(totals.others == 9);
}

TEST_CASE("delivery match: of messages that are not ours only so many runs are remembered, and all are counted") {
  delivery_match match(1, 0);
  match.begin(0);
  const uint64_t runs = delivery_match::others_runs_max + 100;
  for (uint64_t n = 0; n < runs; ++n) match.delivered(0, 1 + 2 * n, 1, n);
  const consume_totals totals = match.take_totals();
  CHECK(totals.others == runs);
}

TEST_CASE("delivery match: in any order and any pieces, every message is matched once") {
  const char* given = std::getenv("WEIR_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
  INFO("WEIR_SEED=" << seed);
  std::mt19937 random(seed);
  constexpr uint64_t messages = 5000;
  delivery_match match(1, 10);
  match.begin(0);
  // Message n is due at 10 n and comes at 10 n + 7, or, in one piece with others, up to 500 later.
  uint64_t sent = 0;
  uint64_t came = 0;
  while (sent < messages || came < messages) {
    const uint64_t count = 1 + random() % 50;
    const bool side = came >= messages || (sent < messages && random() % 2 == 0);
    uint64_t& done = side ? sent : came;
    const uint64_t now = std::min(count, messages - done);
    if (side) {
      match.acknowledged(0, 100 + done, now, 10 * done);
    } else {
      match.delivered(0, 100 + done, now, 10 * (done + now - 1) + 7);
    }
    done += now;
  }
  CHECK(match.outstanding() == 0);
  const consume_totals totals = match.take_totals();
  CHECK(totals.consumed == messages);
  CHECK(totals.missing + totals.others == 0);
  CHECK(totals.latency_ns.percentile(0) == 7);
  CHECK(totals.latency_ns.max() <= 497);
}

}  // namespace
}  // namespace weir
