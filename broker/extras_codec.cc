#include "broker/extras_codec.h"

#include <algorithm>

#include "broker/limits.h"
#include "broker/state_bytes.h"

namespace weir {
namespace {

// Lists of { sequence, time }, both as the distance to the one before.
struct steps_writer {
  state_writer& to;
  uint64_t seq = 0;
  int64_t at = 0;
  void put(seq_no next, wall_ms time) {
    to.varint(next.raw() - seq);
    to.signed_varint(time.raw() - at);
    seq = next.raw();
    at = time.raw();
  }
};

struct steps_reader {
  state_reader& from;
  uint64_t seq = 0;
  uint64_t at = 0;
  due_index::item get() {
    const uint64_t step = from.varint();
    if (step == 0 || seq + step < seq) from.fault();
    seq += step;
    at += static_cast<uint64_t>(from.signed_varint());
    return due_index::item{wall_ms(static_cast<int64_t>(at)), seq_no(seq)};
  }
};

void put_ids(state_writer& to, const dedup_table* ids, bool scheduled) {
  uint64_t count = 0;
  if (ids != nullptr)
    ids->for_each([&](const dedup_table::known& one) { count += one.scheduled == scheduled ? 1 : 0; });
  to.varint(count);
  if (count == 0) return;
  steps_writer steps{to};
  ids->for_each([&](const dedup_table::known& one) {
    if (one.scheduled != scheduled) return;
    steps.put(one.seq, one.at);
    to.text(one.id);
  });
}

void get_ids(state_reader& from, bool scheduled, std::vector<dedup_table::known>& into) {
  const uint64_t count = from.count(3);
  steps_reader steps{from};
  for (uint64_t i = 0; i < count && from.ok(); ++i) {
    const due_index::item step = steps.get();
    into.push_back(dedup_table::known{std::string(from.text()), step.seq, step.at, scheduled});
    if (into.back().id.empty() || into.back().id.size() > message_id_bytes_max) from.fault();
  }
}

}  // namespace

std::string encode_extras(stream_id schedule, const dedup_table* ids, const due_index& expiring,
                          const stream_log& log) {
  std::vector<due_index::item> live;
  for (const due_index::item& one : expiring.items()) {
    if (log.is_live(one.seq)) live.push_back(one);
  }
  const bool no_ids = ids == nullptr || ids->size() == 0;
  std::string out;
  if (schedule == stream_id() && no_ids && live.empty()) return out;
  std::sort(live.begin(), live.end(),
            [](const due_index::item& left, const due_index::item& right) { return left.seq < right.seq; });
  state_writer to(out);
  to.varint(schedule.raw());
  put_ids(to, ids, false);
  put_ids(to, ids, true);
  to.varint(live.size());
  steps_writer steps{to};
  for (const due_index::item& one : live) steps.put(one.seq, one.at);
  return out;
}

result<extras_record> decode_extras(byte_span bytes) {
  extras_record found;
  if (bytes.empty()) return found;
  state_reader from(bytes);
  found.schedule = stream_id(from.varint());
  get_ids(from, false, found.ids);
  get_ids(from, true, found.ids);
  const uint64_t count = from.count(2);
  steps_reader steps{from};
  for (uint64_t i = 0; i < count && from.ok(); ++i) found.expiring.push_back(steps.get());
  if (!from.ok()) return fail(errc::data_loss, "stored broker state: what a stream knows of its messages is malformed");
  return found;
}

}  // namespace weir
