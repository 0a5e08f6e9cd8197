// What the consumer's block and its journal entries hold since delivery is complete; and that older bytes still load.
#include <doctest/doctest.h>

#include "broker/state_bytes.h"
#include "broker/state_codec.h"

namespace weir {
namespace {

consumer_record full_record() {
  consumer_record record;
  record.number = 3;
  record.created_at = wall_ms(5);
  record.config.name = "worker";
  record.config.filter_subjects = {"a.*", "b"};
  record.config.unlimited_deliver = true;
  record.config.ack_wait_ms = 10;
  record.config.backoff_ms = {10, 200};
  record.config.max_ack_pending = 77;
  record.config.max_ack_pending_per_subject = 2;
  record.config.inactive_ms = 9'000;
  record.next = seq_no(90);
  record.last_delivered = seq_no(80);
  record.pending = {{seq_no(40), 2, 0}, {seq_no(50), 1, 3}};
  record.paused_until = wall_ms(123'456);
  record.floor_min = seq_no(44);
  record.dying = {{seq_no(50), park_reason::term}};
  record.parked = {{seq_no(7), wall_ms(11), park_reason::max_deliver}, {seq_no(9), wall_ms(10), park_reason::term}};
  return record;
}

void check_same(const consumer_record& left, const consumer_record& right) {
  CHECK(left.config == right.config);
  CHECK(left.paused_until == right.paused_until);
  CHECK(left.floor_min == right.floor_min);
  REQUIRE(left.pending.size() == right.pending.size());
  CHECK(left.pending[0].deliveries == right.pending[0].deliveries);
  REQUIRE(left.dying.size() == right.dying.size());
  for (size_t i = 0; i < left.dying.size(); ++i) {
    CHECK(left.dying[i].seq == right.dying[i].seq);
    CHECK(left.dying[i].reason == right.dying[i].reason);
  }
  REQUIRE(left.parked.size() == right.parked.size());
  for (size_t i = 0; i < left.parked.size(); ++i) {
    CHECK(left.parked[i].seq == right.parked[i].seq);
    CHECK(left.parked[i].parked_at == right.parked[i].parked_at);
    CHECK(left.parked[i].reason == right.parked[i].reason);
  }
}

TEST_CASE("consumer state: all of it reads back, whole and as settings") {
  const auto whole = decode_entry(as_bytes(encode_entry(consumer_state{full_record()})));
  REQUIRE(whole);
  check_same(std::get<consumer_state>(*whole).consumer, full_record());
  const auto settings = decode_entry(as_bytes(encode_entry(consumer_settings{full_record()})));
  REQUIRE(settings);
  check_same(std::get<consumer_settings>(*settings).consumer, full_record());
}

TEST_CASE("consumer state: what was given up is in the progress, and only then") {
  consumer_progress progress;
  progress.number = 1;
  progress.next = seq_no(9);
  progress.delta.gone = {seq_no(3)};
  const std::string without = encode_entry(progress);
  progress.delta.dying = full_record().dying;
  progress.delta.parked = full_record().parked;
  const std::string with = encode_entry(progress);
  CHECK(with.substr(0, without.size()) == without);
  const auto read = decode_entry(as_bytes(with));
  REQUIRE(read);
  const consumer_delta& delta = std::get<consumer_progress>(*read).delta;
  REQUIRE(delta.dying.size() == 1);
  CHECK(delta.dying[0].reason == park_reason::term);
  REQUIRE(delta.parked.size() == 2);
  CHECK(delta.parked[1].parked_at == wall_ms(10));
  for (size_t size = without.size() + 1; size < with.size(); ++size) {
    CHECK_FALSE(decode_entry(as_bytes(std::string_view(with).substr(0, size))));
  }
}

TEST_CASE("consumer state: a block of the first version, which ends after the pending runs, loads") {
  std::string block;
  state_writer in(block);
  in.varint(3);
  in.signed_varint(5);
  in.text("c");
  in.text("a.*");
  in.u8(0);
  in.varint(0);
  in.signed_varint(0);
  in.varint(30'000);
  in.varint(5);
  in.text("");
  in.text("");
  in.varint(90);
  in.varint(80);
  in.varint(0);
  in.varint(0);
  std::string entry;
  state_writer outer(entry);
  outer.u8(1);
  outer.u8(4);
  outer.text(block);
  const auto read = decode_entry(as_bytes(entry));
  REQUIRE(read);
  const consumer_record& record = std::get<consumer_state>(*read).consumer;
  CHECK(record.config.filter_subject == "a.*");
  CHECK(record.config.filter_subjects.empty());
  CHECK_FALSE(record.config.unlimited_deliver);
  CHECK(record.config.max_deliver == 5);
  CHECK(record.paused_until == wall_ms(0));
  CHECK(record.parked.empty());
}

TEST_CASE("consumer state: a reason that is none is refused") {
  std::string entry = encode_entry(consumer_state{full_record()});
  entry.back() = '\x03';  // of the last parked message
  CHECK_FALSE(decode_entry(as_bytes(entry)));
}

}  // namespace
}  // namespace weir
