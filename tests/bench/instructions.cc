// What tools/instructions counts: the hot paths of the broker, in one thread, over a disk that keeps nothing and lanes
// that work at once. Only what happens inside measured() counts; everything before it is preparation.
//
//   instructions PATH      prints how many records measured() did
//
//   decode    frames of the fast lane, from bytes to requests
//   publish   frames of the fast lane, from bytes to the answer: decode, check, place, commit, answer
//   settle    the same into a journal so small that all of it goes on to block files
//   take      the same, but the journal's segments become the blocks
//   unary     Publish, from bytes to the answer, 256 in flight
//   deliver   batches of a subscription, from the log to a ConsumeBatch, all of it in memory
//   ack       the frames that acknowledge those, from bytes until they are durable
//   fetch     Fetch of 256 messages, to the answer
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "broker/shard.h"
#include "net/publish_wire.h"
#include "net/record_wire.h"
#include "net/typed.h"
#include "tests/bench/null_disk.h"
#include "tests/sim/inline_lane.h"
#include "tests/sim/manual_clock.h"
#include "tests/sim/manual_timers.h"
#include "tests/sim/sim_shard.h"
#include "waymaker/streams.pb.h"
#include "weir/v1/broker.pb.h"

namespace weir {
namespace {

constexpr size_t frame_records = 256;
constexpr size_t frames_a_turn = 8;
constexpr size_t frames = 160;
constexpr size_t records = frames * frame_records;
constexpr uint32_t batch_messages = 512;
constexpr uint64_t plenty = uint64_t{1} << 30;

class no_events final : public event_sink {
 public:
  void on_event(const watch_event&) override {}
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "instructions: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T take(started<result<T>>& done) {
  if (!done.done()) give_up("something waits");
  if (!done.value()) give_up(done.value().err().message);
  return std::move(*done.value());
}

struct world {
  explicit world(size_t segment_bytes, size_t taken_bytes_min) {
    store_config storage;
    storage.journal.segment_bytes = segment_bytes;
    storage.taken_bytes_min = taken_bytes_min;
    storage.disk_reserve_bytes = 0;
    auto opened = shard::open({where, commits, pool, clock, deadlines, events}, "shard", broker_limits(), storage);
    if (!opened) give_up(opened.err().message);
    target = std::move(*opened);
    stream_config config;
    config.name = "lane";
    started<result<stream_info>> made(target->create_stream(config));
    consumer_config consumer;
    consumer.name = "c";
    target->end_of_turn();
    started<result<consumer_info>> with(target->create_consumer(config.name, consumer));
    target->end_of_turn();
    take(made);
    take(with);
  }
  world(const world&) = delete;
  ~world() {
    started<result<void>> stopping(target->stop());
    target->end_of_turn();
  }

  null_disk where;
  inline_lane commits;
  inline_lane pool;
  manual_clock clock;
  manual_timers deadlines;
  no_events events;
  std::unique_ptr<shard> target;
};

std::vector<std::string> frames_of(size_t count) {
  const std::string payload(128, 'x');
  std::vector<std::string> all;
  for (size_t n = 0; n < count; ++n) {
    v1::PublishBatch frame;
    if (n == 0) frame.set_stream("lane");
    frame.set_frame(n + 1);
    for (size_t i = 0; i < frame_records; ++i) {
      v1::PublishRecord& record = *frame.add_messages();
      record.set_subject("orders.created");
      record.set_payload(payload);
    }
    all.push_back(frame.SerializeAsString());
  }
  return all;
}

// As net/publish_lane.cc does it: placed one after another, answered when the commit of the turn is done.
class publishing {
 public:
  explicit publishing(world& in) : in_(in) {}
  void run(const std::vector<std::string>& bytes) {
    for (size_t from = 0; from < bytes.size(); from += frames_a_turn) {
      for (size_t n = from; n < std::min(from + frames_a_turn, bytes.size()); ++n) place(bytes[n]);
      answer();
    }
  }

 private:
  void place(const std::string& bytes) {
    if (!decode_publish_batch(as_bytes(bytes), frame_records, decoded_)) give_up("a frame that is none");
    for (publish_request& one : decoded_.records) one.stream = "lane";
    started<result<batch_outcome>> placing(in_.target->place_batch(decoded_.records, false));
    placed_.push_back(take(placing));
  }
  void answer() {
    started<result<lsn>> safe(in_.target->batch_safe(placed_.back().level, placed_.back().end));
    in_.target->end_of_turn();
    take(safe);
    for (const batch_outcome& one : placed_) {
      const result<batch_outcome> outcome(one);
      if (encode_batch_ack(1, outcome, nullptr).head.empty()) give_up("no answer");
    }
    placed_.clear();
  }
  world& in_;
  decoded_batch decoded_;
  std::vector<batch_outcome> placed_;
};

// Batches of a subscription, as net/consume_lane.cc takes and sends them.
class delivering {
 public:
  explicit delivering(world& in) : in_(in) {
    started<result<std::shared_ptr<subscription>>> opening(in.target->subscribe("lane", "c"));
    from_ = take(opening);
  }
  ~delivering() { from_->end(); }
  delivering(const delivering&) = delete;
  size_t run(size_t count) {
    size_t taken = 0;
    while (taken < count) {
      started<result<fetch_outcome>> next(from_->next(batch_messages, plenty, std::nullopt));
      const fetch_outcome batch = take(next);
      if (!encode_fetched(batch)) give_up("cannot encode");
      from_->sent(batch.deliveries.size());
      taken += batch.deliveries.size();
    }
    in_.target->end_of_turn();
    return taken;
  }

 private:
  world& in_;
  std::shared_ptr<subscription> from_;
};

std::vector<std::string> ack_frames(size_t count) {
  std::vector<std::string> all;
  for (size_t seq = 1; seq <= count;) {
    v1::ConsumeRequest frame;
    frame.set_frame(all.size() + 1);
    frame.set_credit_messages(batch_messages);
    for (size_t i = 0; i < batch_messages && seq <= count; ++i) frame.add_ack_seqs(seq++);
    all.push_back(frame.SerializeAsString());
  }
  return all;
}

void acknowledge(world& in, const std::vector<std::string>& bytes) {
  for (const std::string& one : bytes) {
    v1::ConsumeRequest request;
    if (!parse_message(as_bytes(one), request)) give_up("a request that is none");
    std::vector<seq_no> seqs;
    seqs.reserve(static_cast<size_t>(request.ack_seqs_size()));
    for (const uint64_t seq : request.ack_seqs()) seqs.emplace_back(seq);
    started<result<uint64_t>> acking(in.target->ack_many("lane", "c", std::move(seqs), seq_no(request.ack_up_to())));
    in.target->end_of_turn();
    if (take(acking) != static_cast<uint64_t>(request.ack_seqs_size())) give_up("not acknowledged");
  }
}

std::vector<std::string> unary_requests(size_t count) {
  waymaker::streams::PublishRequest request;
  request.set_stream("lane");
  request.set_subject("orders.created");
  request.set_payload(std::string(128, 'x'));
  return std::vector<std::string>(count, request.SerializeAsString());
}

void publish_each(world& in, const std::vector<std::string>& bytes) {
  std::vector<decoded_publish> decoded(frame_records);
  std::vector<started<result<published>>> under_way;
  for (size_t from = 0; from < bytes.size(); from += frame_records) {
    for (size_t i = 0; i < frame_records; ++i) {
      if (!decode_publish(as_bytes(bytes[from + i]), decoded[i])) give_up("a request that is none");
      under_way.emplace_back(in.target->publish(decoded[i].request));
    }
    in.target->end_of_turn();
    for (started<result<published>>& one : under_way) {
      if (encode_published(take(one)).head.empty()) give_up("no answer");
    }
    under_way.clear();
  }
}

size_t fetch_all(world& in, size_t count) {
  size_t taken = 0;
  while (taken < count) {
    started<result<fetch_outcome>> fetching(in.target->fetch("lane", "c", frame_records));
    in.target->end_of_turn();
    const fetch_outcome batch = take(fetching);
    if (batch.deliveries.empty() || !encode_fetched(batch)) give_up("nothing fetched");
    taken += batch.deliveries.size();
  }
  return taken;
}

template <class Work>
[[gnu::noinline]] void measured(Work& work) {
  work();
  asm volatile("" ::: "memory");  // not a tail call
}

size_t run(const std::string& path) {
  const std::vector<std::string> bytes = frames_of(frames);
  const bool settles = path == "settle" || path == "take";
  world in(settles ? size_t{1} << 20 : plenty, path == "take" ? 0 : plenty);
  publishing publisher(in);
  if (path == "decode") {
    decoded_batch decoded;
    auto work = [&bytes, &decoded] {
      for (const std::string& one : bytes) {
        if (!decode_publish_batch(as_bytes(one), frame_records, decoded)) give_up("a frame that is none");
      }
    };
    measured(work);
    return records;
  }
  auto publish = [&publisher, &bytes] { publisher.run(bytes); };
  if (path == "publish" || settles) {
    publisher.run(frames_of(frames_a_turn));  // what is made once
    measured(publish);
    return records;
  }
  if (path == "unary") {
    const std::vector<std::string> requests = unary_requests(records / 4);
    auto work = [&in, &requests] { publish_each(in, requests); };
    measured(work);
    return requests.size();
  }
  publish();
  if (path == "fetch") {
    auto work = [&in] { fetch_all(in, records); };
    measured(work);
    return records;
  }
  if (path != "deliver" && path != "ack") give_up("no path is called " + path);
  delivering subscriber(in);
  auto deliver = [&subscriber] { subscriber.run(records); };
  if (path == "deliver") {
    measured(deliver);
    return records;
  }
  deliver();
  const std::vector<std::string> acks = ack_frames(records);
  auto work = [&in, &acks] { acknowledge(in, acks); };
  measured(work);
  return records;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  if (argc != 2) weir::give_up("takes the name of a path");
  const std::string path = argv[1];
  std::printf("%zu\n", weir::run(path));
  return 0;
}
