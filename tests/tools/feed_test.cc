#include "tools/publisher/feed.h"

#include <doctest/doctest.h>

#include <deque>

namespace weir {
namespace {

constexpr uint64_t ms = 1'000'000;

// Gives what it is told to, then ends.
class scripted_source final : public payload_source {
 public:
  explicit scripted_source(std::deque<source_state> script) : script_(std::move(script)) {}
  source_state next(std::string& payload) override {
    if (script_.empty()) return source_state::end;
    const source_state state = script_.front();
    script_.pop_front();
    if (state == source_state::ready) payload = "payload";
    return state;
  }
  const std::string& failure() const override { return failure_; }
  std::string name_of(uint64_t number) const override { return std::to_string(number); }

 private:
  std::deque<source_state> script_;
  std::string failure_ = "it broke";
};

std::deque<source_state> ready(size_t count) {
  return std::deque<source_state>(count, source_state::ready);
}

TEST_CASE("feed: at full speed messages come until the count is reached, each due when it is asked for") {
  publisher_options options;
  options.count = 2;
  scripted_source source(ready(5));
  message_feed feed(options, source);
  feed.begin(100);
  std::string payload;
  fed_message fed;
  REQUIRE(feed.next(150, payload, fed));
  CHECK(fed.number == 0);
  CHECK(fed.due_ns == 150);
  REQUIRE(feed.next(160, payload, fed));
  CHECK(fed.number == 1);
  CHECK(!feed.next(170, payload, fed));
  CHECK(!feed.feeding());
  CHECK(feed.overdue() == 0);
}

TEST_CASE("feed: paced, a message comes when it is due; what is late is due when it should have been sent") {
  publisher_options options;
  options.rate = 1000;
  options.duration_s = 0.01;
  scripted_source source(ready(100));
  message_feed feed(options, source);
  feed.begin(5 * ms);
  std::string payload;
  fed_message fed;
  REQUIRE(feed.next(5 * ms, payload, fed));
  CHECK(!feed.next(5 * ms + ms / 2, payload, fed));
  CHECK(feed.again_ns(5 * ms + ms / 2) == 6 * ms);
  REQUIRE(feed.next(9 * ms, payload, fed));
  CHECK(fed.due_ns == 6 * ms);
  REQUIRE(feed.next(9 * ms, payload, fed));
  CHECK(fed.due_ns == 7 * ms);
  // The end comes while seven more were due.
  CHECK(!feed.next(15 * ms, payload, fed));
  CHECK(!feed.feeding());
  CHECK(feed.fed() == 3);
  CHECK(feed.overdue() == 7);
}

TEST_CASE("feed: a source that pauses is asked again later, one that fails ends the feed with its reason") {
  publisher_options options;
  scripted_source source({source_state::later, source_state::ready, source_state::failed});
  message_feed feed(options, source);
  feed.begin(0);
  std::string payload;
  fed_message fed;
  CHECK(!feed.next(0, payload, fed));
  CHECK(feed.feeding());
  const uint64_t again = feed.again_ns(0);
  CHECK(again > 0);
  CHECK(!feed.next(again - 1, payload, fed));
  CHECK(feed.next(again, payload, fed));
  CHECK(feed.failure().empty());
  CHECK(!feed.next(again, payload, fed));
  CHECK(!feed.feeding());
  CHECK(feed.failure() == "it broke");
}

TEST_CASE("feed: subjects take the message number, streams are numbered when there are several") {
  publisher_options options;
  options.stream = "logs";
  options.subject = "a.{n}.b";
  options.subjects = 3;
  scripted_source source(ready(1));
  const message_feed feed(options, source);
  std::string subject;
  feed.make_subject(7, subject);
  CHECK(subject == "a.1.b");
  CHECK(!feed.has_one_subject());
  CHECK(stream_names(options) == std::vector<std::string>{"logs"});
  options.streams = 3;
  CHECK(stream_names(options) == std::vector<std::string>{"logs-1", "logs-2", "logs-3"});
}

}  // namespace
}  // namespace weir
