#include "tests/sim/shard_ledger.h"

#include <deque>

namespace weir {
namespace {

// "<publisher>/<number>/..." -> publisher, number
std::pair<int, uint64_t> origin_of(const std::string& payload) {
  const size_t first = payload.find('/');
  const size_t second = payload.find('/', first + 1);
  return {std::stoi(payload.substr(0, first)), std::stoull(payload.substr(first + 1, second - first - 1))};
}

}  // namespace

void shard_ledger::stored(const std::string& stream, uint64_t seq, const std::string& payload) {
  CHECK_MESSAGE(!stored_[stream].contains(seq), "two messages were told the same sequence");
  stored_[stream][seq] = payload;
  ++stored_count_;
}

bool shard_ledger::was_acked(const std::string& stream, const std::string& consumer, uint64_t seq) const {
  const auto at = acked_.find({stream, consumer});
  return at != acked_.end() && at->second.contains(seq);
}

uint64_t shard_ledger::acked_count() const {
  uint64_t count = 0;
  for (const auto& [consumer, seqs] : acked_) count += seqs.size();
  return count;
}

void shard_ledger::check_streams(sim_shard& world) const {
  CHECK(world.now->recovery().damaged_records == 0);
  CHECK(world.now->recovery().quarantined.empty());
  for (const auto& [stream, payloads] : sent_) check_stream(world, stream);
}

void shard_ledger::check_stream(sim_shard& world, const std::string& stream) const {
  CAPTURE(stream);
  const auto info = world.run(world.now->get_stream(stream));
  REQUIRE(info);
  std::map<uint64_t, std::string> found;
  for (uint64_t from = 1; from <= info->stats.last_seq;) {
    const auto part = world.run(world.now->scan_subject(scan_query{stream, subject, from, 500}));
    REQUIRE(part);
    CHECK(part->damaged.empty());
    for (const found_record& one : part->records) {
      const auto view = decode_record(one.bytes.bytes());
      REQUIRE(view);
      CHECK(view->seq == one.seq);
      found[one.seq.raw()] = std::string(as_text(view->payload));
    }
    REQUIRE(part->next.raw() > from);
    from = part->next.raw();
  }
  CHECK(found.size() == info->stats.last_seq);
  CHECK(info->stats.msg_count == info->stats.last_seq);
  std::set<std::string> seen;
  std::map<int, uint64_t> newest;
  for (const auto& one : found) {
    const std::string& payload = one.second;
    CHECK_MESSAGE(sent_.at(stream).contains(payload), "never sent: " << payload);
    CHECK_MESSAGE(seen.insert(payload).second, "there twice: " << payload);
    const auto origin = origin_of(payload);
    CHECK_MESSAGE(origin.second > newest[origin.first], "out of order: " << payload);
    newest[origin.first] = origin.second;
  }
  const auto told = stored_.find(stream);
  if (told == stored_.end()) return;
  for (const auto& one : told->second) {
    const auto at = found.find(one.first);
    CHECK_MESSAGE(at != found.end(), "acknowledged and lost: " << one.first);
    if (at != found.end()) CHECK(at->second == one.second);
  }
}

void shard_ledger::check_consumers(sim_shard& world) const {
  for (const auto& [consumer, floor] : floors_) {
    const auto info = world.run(world.now->get_consumer(consumer.first, consumer.second));
    REQUIRE(info);
    CHECK_MESSAGE(info->ack_floor >= floor, "the floor went back");
  }
  for (const auto& each : acked_) {
    const auto& consumer = each.first;
    const auto& seqs = each.second;
    CAPTURE(consumer.first);
    world.advance_ms(static_cast<int64_t>(default_ack_wait_ms) + 1);
    for (;;) {
      const auto got = world.run(world.now->fetch(consumer.first, consumer.second, 1000));
      REQUIRE(got);
      for (const delivery& one : got->deliveries) {
        CHECK_MESSAGE(!seqs.contains(one.record.seq.raw()),
                      "acknowledged and delivered again: " << one.record.seq.raw());
      }
      if (got->deliveries.empty()) break;
    }
  }
}

std::vector<std::string> mostly_first(const std::vector<std::string>& streams) {
  std::vector<std::string> all = streams;
  all.resize(30 * streams.size(), streams.front());
  return all;
}

task<void> publish_until(sim_shard& world, shard_ledger& ledger, const std::vector<std::string>& streams, int publisher,
                         uint64_t seed, const bool& stop) {
  std::mt19937_64 random(seed);
  while (!stop) {
    const std::string& stream = streams[random() % streams.size()];
    std::string payload = std::to_string(publisher) + "/" + std::to_string(ledger.next_number()) + "/";
    payload.append(random() % 300, static_cast<char>('a' + random() % 26));
    ledger.sent(stream, payload);
    publish_request request;
    request.stream = stream;
    request.subject = shard_ledger::subject;
    request.payload = as_bytes(payload);
    auto stored = co_await world.now->publish(request);
    if (stored) {
      ledger.stored(stream, stored->seq.raw(), payload);
    } else if (stored.err().code != errc::disk_full) {
      break;
    }
  }
}

namespace {

struct sent_frame {
  std::string stream;
  std::vector<std::string> payloads;
  std::vector<publish_request> records;
  bool atomic = false;
  batch_outcome outcome;
};

// Its views point into its texts: not to be moved afterwards.
void fill(sent_frame& frame, shard_ledger& ledger, int publisher, std::mt19937_64& random) {
  for (uint64_t left = 1 + random() % 6; left != 0; --left) {
    std::string payload = std::to_string(publisher) + "/" + std::to_string(ledger.next_number()) + "/";
    payload.append(random() % 300, static_cast<char>('a' + random() % 26));
    ledger.sent(frame.stream, payload);
    frame.payloads.push_back(std::move(payload));
  }
  for (const std::string& payload : frame.payloads) {
    publish_request& record = frame.records.emplace_back();
    record.stream = frame.stream;
    record.subject = shard_ledger::subject;
    record.payload = as_bytes(payload);
  }
  frame.atomic = random() % 3 == 0;
}

}  // namespace

task<void> publish_frames_until(sim_shard& world, shard_ledger& ledger, const std::vector<std::string>& streams,
                                int publisher, uint64_t seed, const bool& stop) {
  std::mt19937_64 random(seed);
  while (!stop) {
    std::deque<sent_frame> placed;
    for (uint64_t left = 1 + random() % 3; left != 0; --left) {
      sent_frame& frame = placed.emplace_back();
      frame.stream = streams[random() % streams.size()];
      fill(frame, ledger, publisher, random);
      auto outcome = co_await world.now->place_batch(frame.records, frame.atomic);
      if (!outcome && outcome.err().code == errc::disk_full) {
        placed.pop_back();
        break;
      }
      if (!outcome) co_return;
      CHECK(outcome->failed.empty());
      frame.outcome = *outcome;
    }
    for (const sent_frame& frame : placed) {
      auto safe = co_await world.now->batch_safe(frame.outcome.level, frame.outcome.end);
      if (!safe) co_return;
      for (size_t i = 0; i < frame.payloads.size(); ++i) {
        ledger.stored(frame.stream, frame.outcome.first.raw() + i, frame.payloads[i]);
      }
    }
  }
}

task<void> work_until(sim_shard& world, shard_ledger& ledger, std::string stream, std::string consumer, uint64_t seed,
                      const bool& stop) {
  std::mt19937_64 random(seed);
  int idle = 0;
  while (!stop && idle < 3) {
    auto got = co_await world.now->fetch(stream, consumer, 1 + static_cast<uint32_t>(random() % 8));
    if (!got) break;
    idle = got->deliveries.empty() ? idle + 1 : 0;
    std::vector<seq_no> together;
    for (const delivery& one : got->deliveries) {
      CHECK_FALSE(ledger.was_acked(stream, consumer, one.record.seq.raw()));
      const uint64_t dice = random() % 12;
      if (dice < 3) continue;
      if (dice == 3) {
        auto again = co_await world.now->nak(stream, consumer, one.record.seq, random() % 2 * 1'000);
        if (!again) co_return;
      } else if (dice == 4) {
        auto given_up = co_await world.now->term(stream, consumer, one.record.seq);
        if (!given_up) co_return;
      } else if (dice < 8) {
        together.push_back(one.record.seq);
      } else {
        auto done = co_await world.now->ack(stream, consumer, one.record.seq);
        if (done) ledger.acked(stream, consumer, one.record.seq.raw());
      }
    }
    if (!together.empty()) {
      auto done = co_await world.now->ack_many(stream, consumer, together, seq_no());
      if (done) {
        for (const seq_no seq : together) ledger.acked(stream, consumer, seq.raw());
      }
    }
    auto info = co_await world.now->get_consumer(stream, consumer);
    if (info) ledger.floor_shown(stream, consumer, info->ack_floor);
  }
}

}  // namespace weir
