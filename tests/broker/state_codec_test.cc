#include "broker/state_codec.h"

#include <doctest/doctest.h>

#include <random>

#include "broker/extras_codec.h"
#include "broker/limits.h"
#include "tests/sim/test_seed.h"

namespace weir {
namespace {

stream_record some_stream() {
  stream_record stream;
  stream.created_at = wall_ms(1'700'000'000'123);
  stream.config.name = "orders";
  stream.config.subjects_filter = {"orders.>", "dlq.*"};
  stream.config.limits.max_age_ms = 1000;
  stream.config.limits.max_bytes = 1ull << 40;
  stream.config.limits.strict = true;
  stream.config.block_size = 77;
  stream.config.max_msg_bytes = 99;
  stream.config.max_msgs_per_subject = 3;
  stream.config.level = durability::written;
  stream.config.discard_new = true;
  stream.config.discard_new_per_subject = true;
  stream.config.dedup_window_ms = 70'000;
  stream.config.metadata = {{"owner", "ops"}, {"empty", ""}};
  return stream;
}

consumer_record some_consumer() {
  consumer_record record;
  record.number = 7;
  record.created_at = wall_ms(-5);
  record.config.name = "worker";
  record.config.filter_subject = "orders.*";
  record.config.policy = delivery_policy::by_start_time;
  record.config.start_time_ms = 123456;
  record.config.ack_wait_ms = 5000;
  record.config.max_deliver = 9;
  record.config.deliver_group = "g";
  record.config.dead_letter_subject = "dlq.orders";
  record.next = seq_no(1000);
  record.last_delivered = seq_no(990);
  record.dropped = 4;
  record.pending = {{seq_no(10), 5, 1}, {seq_no(20), 1, 3}, {seq_no(21), 2, 1}};
  return record;
}

void check_same(const consumer_record& left, const consumer_record& right) {
  CHECK(left.number == right.number);
  CHECK(left.config == right.config);
  CHECK(left.created_at == right.created_at);
  CHECK(left.next == right.next);
  CHECK(left.last_delivered == right.last_delivered);
  CHECK(left.dropped == right.dropped);
  REQUIRE(left.pending.size() == right.pending.size());
  for (size_t i = 0; i < left.pending.size(); ++i) {
    CHECK(left.pending[i].first == right.pending[i].first);
    CHECK(left.pending[i].length == right.pending[i].length);
    CHECK(left.pending[i].deliveries == right.pending[i].deliveries);
  }
}

message_extras some_message_extras() {
  message_extras entry;
  entry.first = seq_no(500);
  entry.items.push_back({0, "an id", wall_ms(1'700'000'000'000), wall_ms()});
  entry.items.push_back({7, "", wall_ms(), wall_ms(1'700'000'060'000)});
  return entry;
}

// The bytes of encode_extras() for the schedule 9, the id "x" of message 5, none of scheduled ones, and message 5
// expiring at 70.
std::string some_extras() {
  return std::string("\x09\x01\x05\x0a\x01x\x00\x01\x05\x8c\x01", 11);
}

shard_snapshot some_snapshot() {
  shard_snapshot state;
  state.next_stream = 12;
  state.leaving = {stream_id(3), stream_id(9)};
  state.streams.push_back({stream_id(1), some_stream(), 8, {some_consumer()}, some_extras()});
  state.streams.push_back({stream_id(11), some_stream(), 1, {}, {}});
  return state;
}

consumer_progress some_progress() {
  consumer_progress progress;
  progress.number = 300;
  progress.next = seq_no(70000);
  progress.dropped = 2;
  progress.delta.delivered = {{seq_no(50), 3, 2}, {seq_no(5), 1, 1}};
  progress.delta.gone = {seq_no(1), seq_no(1ull << 60)};
  return progress;
}

TEST_CASE("state: every entry reads back as it was written") {
  const auto created = decode_entry(as_bytes(encode_entry(stream_created{some_stream()})));
  REQUIRE(created);
  CHECK(std::get<stream_created>(*created).stream.config == some_stream().config);
  CHECK(std::get<stream_created>(*created).stream.created_at == some_stream().created_at);
  const auto updated = decode_entry(as_bytes(encode_entry(stream_updated{some_stream()})));
  REQUIRE(updated);
  CHECK(std::get<stream_updated>(*updated).stream.config == some_stream().config);
  const auto deleted = decode_entry(as_bytes(encode_entry(stream_deleted{})));
  REQUIRE(deleted);
  CHECK(std::holds_alternative<stream_deleted>(*deleted));
  const auto consumer = decode_entry(as_bytes(encode_entry(consumer_state{some_consumer()})));
  REQUIRE(consumer);
  check_same(std::get<consumer_state>(*consumer).consumer, some_consumer());
  const auto gone = decode_entry(as_bytes(encode_entry(consumer_deleted{300})));
  REQUIRE(gone);
  CHECK(std::get<consumer_deleted>(*gone).number == 300);
  const auto progress = decode_entry(as_bytes(encode_entry(some_progress())));
  REQUIRE(progress);
  const auto& read = std::get<consumer_progress>(*progress);
  CHECK(read.number == 300);
  CHECK(read.next == seq_no(70000));
  CHECK(read.dropped == 2);
  CHECK(read.delta.gone == some_progress().delta.gone);
  REQUIRE(read.delta.delivered.size() == 2);
  CHECK(read.delta.delivered[1].first == seq_no(5));
}

TEST_CASE("state: what is known of messages beside their records reads back as it was written") {
  const auto extras = decode_entry(as_bytes(encode_entry(some_message_extras())));
  REQUIRE(extras);
  const auto& read = std::get<message_extras>(*extras);
  CHECK(read.first == seq_no(500));
  CHECK_FALSE(read.scheduled);
  REQUIRE(read.items.size() == 2);
  CHECK(read.items[0].id == "an id");
  CHECK(read.items[0].published_at == wall_ms(1'700'000'000'000));
  CHECK(read.items[1].index == 7);
  CHECK(read.items[1].expires_at == wall_ms(1'700'000'060'000));
  const ids_forgotten forgotten{true, seq_no(9), {seq_no(10), seq_no(1ull << 40)}};
  const auto gone = decode_entry(as_bytes(encode_entry(forgotten)));
  REQUIRE(gone);
  CHECK(std::get<ids_forgotten>(*gone).scheduled);
  CHECK(std::get<ids_forgotten>(*gone).below == seq_no(9));
  CHECK(std::get<ids_forgotten>(*gone).seqs == forgotten.seqs);
  const auto created = decode_entry(as_bytes(encode_entry(schedule_created{stream_id(77)})));
  REQUIRE(created);
  CHECK(std::get<schedule_created>(*created).log == stream_id(77));
  const std::string label = encode_schedule_label(stream_id(5), some_stream());
  const auto owner = decode_schedule_label(as_bytes(label));
  REQUIRE(owner);
  CHECK(owner->id == stream_id(5));
  CHECK(owner->stream.config == some_stream().config);
  CHECK_FALSE(decode_schedule_label(as_bytes(encode_label(some_stream()))));
  CHECK_FALSE(decode_label(as_bytes(label)));
  CHECK_FALSE(decode_schedule_label({}));
}

TEST_CASE("state: a stream's extras block reads back, is refused when cut, and garbage is no crash") {
  const auto read = decode_extras(as_bytes(some_extras()));
  REQUIRE(read);
  CHECK(read->schedule == stream_id(9));
  REQUIRE(read->ids.size() == 1);
  CHECK(read->ids[0].id == "x");
  CHECK(read->ids[0].seq == seq_no(5));
  CHECK(read->ids[0].at == wall_ms(5));
  REQUIRE(read->expiring.size() == 1);
  CHECK(read->expiring[0].at == wall_ms(70));
  for (size_t size = 1; size < some_extras().size(); ++size) {
    CHECK_FALSE(decode_extras(as_bytes(some_extras().substr(0, size))));
  }
  CHECK(decode_extras({})->ids.empty());
  const seed_range seeds = test_seeds(300, 20000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    std::mt19937_64 random(seed);
    std::string bytes = some_extras();
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto garbage = decode_extras(as_bytes(bytes));
    if (garbage) CHECK(garbage->ids.size() <= bytes.size());
  }
}

TEST_CASE("state: a snapshot of version 1, without extras blocks, is read") {
  shard_snapshot old;
  old.next_stream = 3;
  old.streams.push_back({stream_id(1), some_stream(), 8, {some_consumer()}, {}});
  std::string bytes = encode_shard(old);
  REQUIRE(bytes.back() == '\0');  // the empty block
  bytes.pop_back();
  bytes[0] = 1;
  const auto read = decode_shard(as_bytes(bytes));
  REQUIRE(read);
  REQUIRE(read->streams.size() == 1);
  CHECK(read->streams[0].extras.empty());
  check_same(read->streams[0].consumers[0], some_consumer());
}

TEST_CASE("state: a snapshot and a label read back as they were written") {
  const auto state = decode_shard(as_bytes(encode_shard(some_snapshot())));
  REQUIRE(state);
  CHECK(state->next_stream == 12);
  CHECK(state->leaving == some_snapshot().leaving);
  REQUIRE(state->streams.size() == 2);
  CHECK(state->streams[0].stream.config == some_stream().config);
  CHECK(state->streams[0].next_consumer == 8);
  CHECK(state->streams[0].extras == some_extras());
  REQUIRE(state->streams[0].consumers.size() == 1);
  check_same(state->streams[0].consumers[0], some_consumer());
  const auto label = decode_label(as_bytes(encode_label(some_stream())));
  REQUIRE(label);
  CHECK(label->config == some_stream().config);
}

TEST_CASE("state: the bytes of a stream entry are those of format version 1") {
  stream_record stream;
  stream.created_at = wall_ms(1);
  stream.config.name = "s";
  stream.config.block_size = 300;
  stream.config.level = durability::fsync;
  const std::string expected(
      "\x01\x01"          // version, stream_created
      "\x13"              // 19 bytes follow
      "\x02"              // created at 1, zigzag
      "\x01s"             // name
      "\x00"              // no filters
      "\x00"              // limits retention
      "\x00\x00\x00\x00"  // no bounds, not strict
      "\xac\x02"          // block_size 300
      "\x00\x00\x00"      // no max_msg_bytes, not ephemeral, no subject cap
      "\x03"              // fsync
      "\x00"              // no metadata
      "\x00\x00\x05",     // no discard_new, not per subject, dedup_window_ms 5
      22);
  stream.config.dedup_window_ms = 5;
  CHECK(encode_entry(stream_created{stream}) == expected);
  // Before there was anything behind the metadata.
  std::string older = expected.substr(0, 19);
  older[2] = '\x10';
  const auto read = decode_entry(as_bytes(older));
  REQUIRE(read);
  CHECK(std::get<stream_created>(*read).stream.config.dedup_window_ms == default_dedup_window_ms);
  CHECK_FALSE(std::get<stream_created>(*read).stream.config.discard_new);
}

TEST_CASE("state: a block that grew at its end is read, another version is not") {
  std::string label = encode_label(some_stream());
  // The block is the rest of the label: two more bytes in it, and two more in its length.
  REQUIRE(static_cast<uint8_t>(label[1]) < 0x7d);
  label[1] = static_cast<char>(label[1] + 2);
  label += "zz";
  const auto grown = decode_label(as_bytes(label));
  REQUIRE(grown);
  CHECK(grown->config == some_stream().config);
  label[0] = 2;
  CHECK(decode_label(as_bytes(label)).err().code == errc::data_loss);
  CHECK(decode_shard(as_bytes(std::string("\x02"))).err().code == errc::data_loss);
  CHECK(decode_entry(as_bytes(std::string("\x02\x02"))).err().code == errc::data_loss);
}

TEST_CASE("state: every cut of every entry is refused, none crashes") {
  const std::vector<std::string> entries = {
      encode_entry(stream_created{some_stream()}), encode_entry(consumer_state{some_consumer()}),
      encode_entry(some_progress()), encode_entry(consumer_deleted{300}), encode_entry(some_message_extras())};
  for (const std::string& bytes : entries) {
    for (size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_entry(as_bytes(bytes.substr(0, size))));
  }
  const std::string snapshot = encode_shard(some_snapshot());
  for (size_t size = 0; size < snapshot.size(); ++size) {
    CHECK_FALSE(decode_shard(as_bytes(snapshot.substr(0, size))));
  }
}

TEST_CASE("state: garbage is refused or means something, never crashes or takes much memory") {
  const seed_range seeds = test_seeds(300, 20000);
  for (uint64_t seed = seeds.first; seed < seeds.last; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    for (int i = 0; i < 30; ++i) {
      std::string bytes;
      switch (random() % 4) {
        case 0:
          bytes = encode_shard(some_snapshot());
          break;
        case 1:
          bytes = encode_entry(consumer_state{some_consumer()});
          break;
        case 2:
          bytes = encode_entry(some_progress());
          break;
        default:
          bytes.assign(random() % 64, '\0');
          for (char& c : bytes) c = static_cast<char>(random());
          break;
      }
      const size_t hits = random() % 5;
      for (size_t h = 0; h < hits && !bytes.empty(); ++h) bytes[random() % bytes.size()] = static_cast<char>(random());
      const auto entry = decode_entry(as_bytes(bytes));
      if (!entry) CHECK(entry.err().code == errc::data_loss);
      const auto snapshot = decode_shard(as_bytes(bytes));
      if (snapshot) CHECK(snapshot->streams.size() <= bytes.size());
      const auto label = decode_label(as_bytes(bytes));
      if (label) CHECK(label->config.block_size >= 1);
    }
  }
}

}  // namespace
}  // namespace weir
