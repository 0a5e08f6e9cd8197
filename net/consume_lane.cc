#include "net/consume_lane.h"

#include <algorithm>

#include "net/record_wire.h"
#include "net/streams_convert.h"
#include "net/typed.h"

namespace weir {
namespace {

constexpr int64_t credit_max = int64_t{1} << 60;  // more adds nothing

void add_credit(int64_t& credit, uint64_t more) {
  credit = std::min(credit + static_cast<int64_t>(std::min<uint64_t>(more, credit_max)), credit_max);
}

task<void> keep_first(task<result<void>> work, result<void>& outcome) {
  auto done = co_await std::move(work);
  if (!done && outcome) outcome = std::move(done).err();
}

task<result<void>> ack_all(shard& there, const std::string& stream, const std::string& consumer,
                           const v1::ConsumeRequest& request) {
  std::vector<seq_no> seqs;
  seqs.reserve(static_cast<size_t>(request.ack_seqs_size()));
  for (const uint64_t seq : request.ack_seqs()) seqs.emplace_back(seq);
  auto acked = co_await there.ack_many(stream, consumer, std::move(seqs), seq_no(request.ack_up_to()));
  if (!acked) co_return std::move(acked).err();
  co_return ok();
}

bool asks_for_acks(const v1::ConsumeRequest& request) {
  return request.ack_seqs_size() != 0 || request.ack_up_to() != 0;
}

bool asks_for_more(const v1::ConsumeRequest& request) {
  return request.naks_size() + request.term_seqs_size() + request.in_progress_seqs_size() != 0;
}

}  // namespace

task<result<void>> consume_lane::run() {
  call_.finish_on_stop();
  auto first = co_await read_request();
  if (!first) co_return std::move(first).err();
  if (!*first) co_return fail(errc::invalid_argument, "the call ended before its first request was complete");
  stream_ = (*first)->stream();
  consumer_ = (*first)->consumer();
  if (stream_.empty()) co_return fail(errc::invalid_argument, "stream: is empty; the first frame names it");
  if (consumer_.empty()) co_return fail(errc::invalid_argument, "consumer: is empty; the first frame names it");
  where_ = &shards_.of(stream_);
  remote_subscription from(here_, *where_, stream_, consumer_);
  from_ = &from;
  auto outcome = co_await from.open();
  if (outcome) {
    gate working;
    working.spawn(write_frames());
    working.spawn(take_messages());
    outcome = co_await take_requests(std::move(**first));
    co_await handling_.close();
    end();
    co_await working.close();
  }
  co_await from.close();
  if (outcome && failure_ && is_status(failure_->code)) outcome = *failure_;
  co_return outcome;
}

void consume_lane::end() {
  ending_ = true;
  from_->interrupt();
  credit_given_.wake();
  batch_written_.wake();
  to_write_.wake();
}

void consume_lane::fail_with(error why) {
  if (failure_ || ending_) return;
  failure_ = std::move(why);
  to_write_.wake();
}

// --- what the client asks for ---

task<result<std::optional<v1::ConsumeRequest>>> consume_lane::read_request() {
  std::optional<v1::ConsumeRequest> request;
  auto bytes = co_await call_.read();
  if (!bytes) co_return request;
  request.emplace();
  auto parsed = parse_message(*bytes, *request);
  if (!parsed) co_return std::move(parsed).err();
  co_return request;
}

task<result<void>> consume_lane::take_requests(v1::ConsumeRequest first) {
  std::optional<v1::ConsumeRequest> request(std::move(first));
  while (request && !failure_) {
    const bool other = (!request->stream().empty() && request->stream() != stream_) ||
                       (!request->consumer().empty() && request->consumer() != consumer_);
    if (other) co_return fail(errc::invalid_argument, "stream, consumer: a call is for the one of its first frame");
    while (requests_.size() >= requests_max && !failure_) co_await request_done_.wait();
    const uint32_t messages = request->credit_messages();
    const uint64_t bytes = request->credit_bytes();
    requests_.push_back({request->frame(), false});
    handling_.spawn(handle(std::move(*request), requests_.back()));
    // After what else the frame asks for: what it naks comes before what is new.
    add_credit(credit_messages_, messages);
    add_credit(credit_bytes_, bytes);
    if (has_credit()) credit_given_.wake();
    auto next = co_await read_request();
    if (!next) co_return std::move(next).err();
    request = std::move(*next);
  }
  co_return ok();
}

task<void> consume_lane::handle(v1::ConsumeRequest request, request_under_way& mine) {
  if (asks_for_acks(request) || asks_for_more(request)) {
    auto work = [&](shard& there) { return carry_out(there, request); };
    auto done = co_await shard_map::ask_at(here_, *where_, work);
    if (!done) fail_with(std::move(done).err());
  }
  mine.done = true;
  for (; !requests_.empty() && requests_.front().done; requests_.pop_front()) {
    if (!failure_) confirmed_ = std::max(confirmed_, requests_.front().frame);
  }
  if (confirmed_ != told_confirmed_) to_write_.wake();
  request_done_.wake();
}

task<result<void>> consume_lane::carry_out(shard& there, const v1::ConsumeRequest& request) const {
  if (!asks_for_more(request)) {
    auto done = co_await ack_all(there, stream_, consumer_, request);
    co_return done;
  }
  gate all;
  result<void> outcome;
  if (asks_for_acks(request)) all.spawn(keep_first(ack_all(there, stream_, consumer_, request), outcome));
  for (const v1::ConsumeNak& one : request.naks()) {
    all.spawn(keep_first(there.nak(stream_, consumer_, seq_no(one.seq()), one.delay_ms()), outcome));
  }
  for (const uint64_t seq : request.term_seqs()) {
    all.spawn(keep_first(there.term(stream_, consumer_, seq_no(seq)), outcome));
  }
  for (const uint64_t seq : request.in_progress_seqs()) {
    all.spawn(keep_first(there.in_progress(stream_, consumer_, seq_no(seq)), outcome));
  }
  co_await all.close();
  co_return outcome;
}

// --- messages ---

task<void> consume_lane::take_messages() {
  while (!ending_ && !failure_) {
    if (!has_credit()) {
      co_await credit_given_.wait();
      continue;
    }
    const auto messages_max =
        static_cast<uint32_t>(std::min<int64_t>(credit_messages_, static_cast<int64_t>(limits_.consume_batch_max)));
    const size_t bytes_max =
        std::min(in_hand_.batch_bytes(limits_.subscribe_bytes_max), static_cast<size_t>(credit_bytes_));
    auto taken = co_await from_->next(messages_max, bytes_max, std::nullopt);
    if (ending_ || failure_) break;
    if (!taken) {
      fail_with(std::move(taken).err());
      break;
    }
    const bytes_in_hand held(in_hand_, *taken);
    credit_messages_ -= static_cast<int64_t>(taken->deliveries.size());
    credit_bytes_ -= static_cast<int64_t>(held.bytes());
    in_hand_batch_ = std::move(*taken);
    to_write_.wake();
    while (in_hand_batch_ && !ending_ && !failure_) co_await batch_written_.wait();
  }
}

task<void> consume_lane::write_frames() {
  bool taken = co_await call_.open();  // the client learns that it is served now
  while (taken) {
    if (failure_) {
      co_await write_last();
      break;
    }
    if ((in_hand_batch_ && !ending_) || confirmed_ != told_confirmed_) {
      taken = co_await write_batch();
    } else if (ending_) {
      break;
    } else {
      co_await to_write_.wait();
    }
  }
  if (!ending_) call_.stop_reading();
}

task<bool> consume_lane::write_batch() {
  const bool with_messages = in_hand_batch_ && !ending_;
  const uint64_t confirmed = confirmed_ == told_confirmed_ ? 0 : confirmed_;
  told_confirmed_ = confirmed_;
  const fetch_outcome nothing;
  auto encoded = encode_fetched(with_messages ? std::as_const(*in_hand_batch_) : nothing, confirmed);
  if (!encoded) {
    fail_with(std::move(encoded).err());
    co_return true;
  }
  const bool taken = co_await call_.write(*encoded);
  if (!taken) co_return false;
  if (with_messages) {
    from_->sent(in_hand_batch_->deliveries.size());
    in_hand_batch_.reset();
    batch_written_.wake();
  }
  co_return true;
}

task<void> consume_lane::write_last() {
  batch_written_.wake();
  credit_given_.wake();
  auto last = failed<v1::ConsumeBatch>(*failure_);
  if (!last) co_return;  // a status says it
  reply encoded = serialize(*last);
  co_await call_.write(encoded);
}

}  // namespace weir
