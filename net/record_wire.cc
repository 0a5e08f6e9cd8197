#include "net/record_wire.h"

#include "storage/codec.h"

namespace weir {
namespace {

// A record below this size is cheaper to copy than to reference.
constexpr size_t copied_bytes_max = 1024;

constexpr uint8_t messages_tag = 0x22;  // field 4 of every response with records, and of a record as stored
constexpr uint8_t event_tag = 0x0a;     // SubscribeEvent.message
constexpr uint8_t stopped_tag = 0x12;   // SubscribeEvent.stopped
constexpr uint8_t reason_tag = 0x0a;    // SubscribeStopped.reason
constexpr uint64_t damaged_seqs_tag = 1000 << 3 | 2;  // packed
constexpr uint64_t confirmed_tag = 1001 << 3;         // ConsumeBatch.confirmed

// Stored bytes were checked when they were loaded; if they cannot be taken apart now, memory is damaged.
result<void> append_delivery(std::string& to, uint8_t tag, const found_record& record, uint32_t deliver_count) {
  result<record_view> view = parse_record(record.bytes.bytes());
  if (!view) return std::move(view).err();
  append_reencoded(to, tag, *view, deliver_count);
  return ok();
}

void add_damaged(std::string& to, const std::vector<seq_no>& damaged) {
  if (damaged.empty()) return;
  std::string packed;
  byte_writer numbers(packed);
  for (seq_no seq : damaged) numbers.varint(seq.raw());
  byte_writer out(to);
  out.varint(damaged_seqs_tag);
  out.counted(packed);
}

}  // namespace

void message_run::add_stored(const slice& record) {
  const bool follows =
      pending_.size() != 0 && pending_.data() + pending_.size() == record.data() && pending_.owner() == record.owner();
  if (follows) {
    pending_ = slice(record.owner(), pending_.data(), pending_.size() + record.size());
    return;
  }
  add_pending();
  pending_ = record;
}

void message_run::add_pending() {
  if (pending_.size() <= copied_bytes_max) {
    *text_ += as_text(pending_.bytes());
  } else {
    close_text();
    out_.body.push_back(std::move(pending_));
  }
  pending_ = slice();
}

std::string& message_run::text() {
  add_pending();
  return *text_;
}

result<void> message_run::add_reencoded(const found_record& record, uint32_t deliver_count) {
  add_pending();
  return append_delivery(*text_, messages_tag, record, deliver_count);
}

void message_run::close_text() {
  if (text_ == &more_ && !more_.empty()) {
    out_.body.push_back(slice::copy_of(as_bytes(more_)));
    more_.clear();
  }
  text_ = &more_;
}

void message_run::finish() {
  add_pending();
  close_text();
}

result<reply> encode_fetched(const fetch_outcome& fetched, uint64_t confirmed) {
  reply out;
  out.head = success_head;
  message_run run(out);
  for (const delivery& one : fetched.deliveries) {
    if (one.deliver_count == 1) {
      run.add_stored(one.record.bytes);
      continue;
    }
    result<void> added = run.add_reencoded(one.record, one.deliver_count);
    if (!added) return std::move(added).err();
  }
  add_damaged(run.text(), fetched.damaged);
  if (confirmed != 0) {
    byte_writer to(run.text());
    to.varint(confirmed_tag);
    to.varint(confirmed);
  }
  run.finish();
  return out;
}

result<reply> encode_event(const delivery& pushed) {
  reply out;
  if (pushed.deliver_count != 1) {
    result<void> added = append_delivery(out.head, event_tag, pushed.record, pushed.deliver_count);
    if (!added) return std::move(added).err();
    return out;
  }
  // The same bytes with the tag of another field: length and content follow it as they are.
  const slice& stored = pushed.record.bytes;
  out.head.push_back(static_cast<char>(event_tag));
  slice rest = stored.sub(1, stored.size() - 1);
  if (stored.size() <= copied_bytes_max) {
    out.head += as_text(rest.bytes());
  } else {
    out.body.push_back(std::move(rest));
  }
  return out;
}

reply encode_stopped(std::string_view reason) {
  std::string stopped;
  byte_writer inner(stopped);
  inner.u8(reason_tag);
  inner.counted(reason);
  reply out;
  byte_writer to(out.head);
  to.u8(stopped_tag);
  to.counted(stopped);
  return out;
}

}  // namespace weir
