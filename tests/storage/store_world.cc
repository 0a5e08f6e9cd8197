#include "tests/storage/store_world.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "storage/codec.h"

namespace weir {

namespace {

std::string encode_options(const log_options& options) {
  std::string bytes;
  byte_writer to(bytes);
  to.u8(options.ephemeral ? 1 : 0);
  to.u8(options.written_is_visible ? 1 : 0);
  to.varint(options.block_records);
  to.counted(options.label);
  return bytes;
}

log_options decode_options(byte_reader& from) {
  log_options options;
  options.ephemeral = from.u8() == 1;
  options.written_is_visible = from.u8() == 1;
  options.block_records = from.varint();
  options.label = from.counted();
  return options;
}

}  // namespace

// The client

std::string test_client::created(const log_options& options) {
  return "create" + encode_options(options);
}

std::string test_client::encode_state() {
  std::string bytes;
  byte_writer to(bytes);
  to.varint(logs.size());
  for (const auto& [id, options] : logs) {
    to.u64(id.raw());
    to.raw(as_bytes(encode_options(options)));
  }
  to.varint(notes.size());
  for (uint64_t each : notes) to.varint(each);
  return bytes;
}

result<void> test_client::load_state(byte_span state) {
  byte_reader from(state);
  uint64_t count = from.varint();
  for (uint64_t i = 0; i < count && from.good(); ++i) {
    stream_id id(from.u64());
    logs[id] = decode_options(from);
    CHECK((store_->log(id) != nullptr) == !logs[id].ephemeral);
    if (logs[id].ephemeral) store_->create_log(id, logs[id]);
  }
  count = from.varint();
  for (uint64_t i = 0; i < count && from.good(); ++i) notes.push_back(from.varint());
  CHECK(from.good());
  return ok();
}

result<void> test_client::apply(stream_id stream, byte_span entry) {
  std::string_view text = as_text(entry);
  if (text.starts_with("create")) {
    byte_reader from(entry.subspan(6));
    logs[stream] = decode_options(from);
    store_->create_log(stream, logs[stream]);
  } else if (text == "drop") {
    logs.erase(stream);
    store_->drop_log(stream);
  } else {
    notes.push_back(std::stoull(std::string(text.substr(5))));
  }
  return ok();
}

result<void> test_client::adopt(stream_id stream, byte_span label) {
  log_options options;
  options.label = as_text(label);
  options.block_records = 50;
  logs[stream] = options;
  adopted.insert(stream);
  store_->create_log(stream, options);
  return ok();
}

// The world

store_world::store_world(uint64_t seed) : random(seed) {
  config.journal.segment_bytes = 64 << 10;
  config.journal.segments_max = 8;
  config.journal.batch_bytes_max = 16 << 10;
  config.cache_bytes_max = 256 << 10;
  config.disk_reserve_bytes = 0;
}

store_world::~store_world() {
  abandon();
}

result<void> store_world::open() {
  WEIR_CHECK(!it);
  client = test_client();
  auto opened = store::open(where, commits, pool, clock, "s0", config, client);
  if (!opened) {
    while (commits.pending() + pool.pending() != 0) step();
    return opened.err();
  }
  it = std::move(*opened);
  last_end = lsn();
  return ok();
}

void store_world::abandon() {
  while (commits.pending() + pool.pending() != 0) step();
  it.reset();
  while (commits.pending() + pool.pending() != 0) step();
}

result<void> store_world::close() {
  auto closed = run(it->close());
  while (commits.pending() + pool.pending() != 0) step();
  it.reset();
  if (closed) candidates.assign(1, model);
  return closed;
}

void store_world::step() {
  if (pool.pending() != 0 && (commits.pending() == 0 || random() % 2 == 0)) {
    pool.step(random() % 8);
  } else if (commits.pending() != 0) {
    commits.step();
  } else {
    FAIL("a task waits for nothing");
  }
}

void store_world::turn() {
  it->flush();
  step();
}

bool store_world::has_room(size_t bytes, bool reserve) {
  if (!reserve && it->log_journal().has_room(bytes)) return true;
  auto room = run(it->log_journal().room(bytes, reserve));
  return static_cast<bool>(room);
}

void store_world::changed(lsn end) {
  last_end = std::max(last_end, end);
  if (tracks) candidates.push_back(model);
}

bool store_world::create(stream_id stream, const log_options& options) {
  std::string entry = test_client::created(options);
  if (!has_room(entry.size(), false)) return false;
  lsn end = it->append_state(stream, as_bytes(entry));
  it->create_log(stream, options);
  client.know(stream, options);
  model.logs[stream];
  changed(end);
  return true;
}

bool store_world::drop(stream_id stream) {
  std::string entry = test_client::dropped();
  if (!has_room(entry.size(), true)) return false;
  lsn end = it->append_state(stream, as_bytes(entry));
  it->drop_log(stream);
  client.forget(stream);
  model.logs.erase(stream);
  changed(end);
  return true;
}

bool store_world::note(uint64_t number) {
  std::string entry = test_client::noted(number);
  if (!has_room(entry.size(), false)) return false;
  lsn end = it->append_state(stream_id(), as_bytes(entry));
  client.notes.push_back(number);
  model.notes.push_back(number);
  changed(end);
  return true;
}

bool store_world::append(stream_id stream, const std::string& subject, const std::string& payload, wall_ms time) {
  stream_log& to = log(stream);
  record_fields fields{subject, time, {}, as_bytes(payload)};
  size_t bytes = to.append_bytes(fields);
  if (!has_room(bytes, false)) return false;
  auto done = to.append(fields, 0);
  model_log& expected = model.logs[stream];
  REQUIRE(done.seq == expected.last.next());
  expected.last = done.seq;
  expected.live[done.seq] = model_message{subject, time, payload, bytes};
  changed(done.end);
  return true;
}

bool store_world::move(stream_id from, const std::vector<seq_no>& gone, stream_id to,
                       const std::vector<std::string>& payloads, uint64_t number) {
  if (client.logs[from].ephemeral || client.logs[to].ephemeral) return true;
  const std::string subject = "s.moved";
  std::vector<record_fields> run;
  for (const std::string& payload : payloads) run.push_back(record_fields{subject, wall_ms(7), {}, as_bytes(payload)});
  const std::string entry = test_client::noted(number);
  const size_t removal = stream_log::remove_bytes(gone.size());
  const size_t parts = gone.empty() ? 2 : 3;
  const size_t bytes = journal::group_bytes(parts, entry.size() + log(to).run_bytes(run) + removal);
  if (!has_room(bytes, false)) return false;
  it->log_journal().begin_group(bytes);
  it->append_state(stream_id(), as_bytes(entry));
  const stream_log::appended done = log(to).append_run(run, 0);
  if (!gone.empty()) REQUIRE(log(from).remove(gone) == gone.size());
  REQUIRE(it->log_journal().end_group() == done.end);
  client.notes.push_back(number);
  model.notes.push_back(number);
  model_log& expected = model.logs[to];
  for (const record_fields& fields : run) {
    expected.last = expected.last.next();
    const std::string payload(as_text(fields.payload));
    expected.live[expected.last] = model_message{subject, fields.time, payload, record_size(fields, expected.last)};
  }
  for (const seq_no seq : gone) model.logs[from].live.erase(seq);
  changed(done.end);
  return true;
}

bool store_world::remove(stream_id stream, const std::vector<seq_no>& seqs) {
  if (!has_room(stream_log::remove_bytes(seqs.size()), true)) return false;
  uint64_t gone = log(stream).remove(seqs);
  uint64_t expected = 0;
  for (seq_no seq : seqs) expected += model.logs[stream].live.erase(seq);
  REQUIRE(gone == expected);
  changed(log(stream).last_change());
  return true;
}

bool store_world::remove_before(stream_id stream, seq_no first_kept) {
  if (!has_room(stream_log::remove_bytes(1), true)) return false;
  uint64_t gone = log(stream).remove_before(first_kept);
  auto& live = model.logs[stream].live;
  auto end = live.lower_bound(first_kept);
  uint64_t expected = static_cast<uint64_t>(std::distance(live.begin(), end));
  live.erase(live.begin(), end);
  REQUIRE(gone == expected);
  changed(log(stream).last_change());
  return true;
}

task<result<void>> store_world::wait_durable(lsn end) {
  auto wait = it->log_journal().durable(end);
  auto outcome = co_await wait;
  co_return outcome;
}

bool store_world::sync() {
  auto done = run(wait_durable(last_end));
  if (done) candidates.assign(1, model);
  return static_cast<bool>(done);
}

// Observing

model_log store_world::observed(stream_log& of) {
  model_log found;
  found.last = of.stats().last;
  scan_request request;
  request.from = seq_no(random() % 2);
  request.to = of.stats().last;
  request.records_max = 1 + random() % 50;
  request.bytes_max = 1 + random() % 20'000;
  while (request.from <= request.to) {
    auto part = run(of.scan(request));
    REQUIRE(part);
    REQUIRE(part->damaged.empty());
    REQUIRE(part->next > request.from);
    for (const found_record& each : part->records) {
      auto record = decode_record(each.bytes.bytes());
      REQUIRE(record);
      REQUIRE(record->seq == each.seq);
      REQUIRE(found.live.empty() == (found.live.size() == 0));
      REQUIRE((found.live.empty() || found.live.rbegin()->first < each.seq));
      found.live[each.seq] = model_message{std::string(record->subject), record->time,
                                           std::string(as_text(record->payload)), each.bytes.size()};
    }
    request.from = part->next;
  }
  return found;
}

model_store store_world::observed() {
  model_store found;
  for (const auto& [id, options] : client.logs) {
    stream_log* of = it->log(id);
    REQUIRE(of != nullptr);
    found.logs[id] = observed(*of);
  }
  found.notes = client.notes;
  return found;
}

namespace {

struct model_subject {
  uint64_t count = 0;
  seq_no first;
  seq_no last;
  bool operator==(const model_subject&) const = default;
};

std::map<std::string, model_subject> subjects_of(const model_log& from) {
  std::map<std::string, model_subject> subjects;
  for (const auto& [seq, message] : from.live) {
    model_subject& subject = subjects[message.subject];
    if (subject.count++ == 0) subject.first = seq;
    subject.last = seq;
  }
  return subjects;
}

}  // namespace

void store_world::compare(stream_log& of, const model_log& expected) {
  REQUIRE(of.stats().last == expected.last);
  REQUIRE(of.stats().count == expected.live.size());
  seq_no first = expected.live.empty() ? expected.last.next() : expected.live.begin()->first;
  REQUIRE(of.stats().first == first);
  REQUIRE(observed(of) == expected);
  auto exact = run(of.become_exact());
  REQUIRE(exact);
  REQUIRE(of.exact());
  uint64_t bytes = 0;
  for (const auto& [seq, message] : expected.live) bytes += message.bytes;
  REQUIRE(of.stats().bytes == bytes);

  auto subjects = subjects_of(expected);
  REQUIRE(of.subject_count() == subjects.size());
  std::map<std::string, model_subject> listed;
  of.for_each_subject("", [&](const subject_info& each) {
    listed[std::string(each.name)] = model_subject{each.count, each.first, each.last};
    return true;
  });
  REQUIRE(listed == subjects);

  // One subject, from somewhere.
  std::string name = subjects.empty() || random() % 8 == 0
                         ? "s.nobody"
                         : std::next(subjects.begin(), static_cast<ptrdiff_t>(random() % subjects.size()))->first;
  seq_no from(random() % (expected.last.raw() + 2));
  std::vector<seq_no> at_subject;
  for (const auto& [seq, message] : expected.live) {
    if (seq >= from && message.subject == name) at_subject.push_back(seq);
  }
  auto seqs = run(of.sequences_at(name, from, 1'000'000));
  REQUIRE(seqs);
  REQUIRE(*seqs == at_subject);
  REQUIRE((of.find_subject(name) != nullptr) == subjects.contains(name));
  scan_request exact_scan;
  exact_scan.from = from;
  exact_scan.to = expected.last;
  exact_scan.exact_subject = name;
  exact_scan.records_max = 1 + random() % 20;
  std::vector<seq_no> scanned;
  while (exact_scan.from <= exact_scan.to) {
    auto part = run(of.scan(exact_scan));
    REQUIRE(part);
    for (const auto& each : part->records) {
      scanned.push_back(each.seq);
      REQUIRE(decode_record(each.bytes.bytes())->subject == name);
    }
    REQUIRE(part->next > exact_scan.from);
    exact_scan.from = part->next;
  }
  REQUIRE(scanned == at_subject);

  // A filter.
  subject_filter filter({name, "s.1"});
  scan_request filtered;
  filtered.from = from;
  filtered.to = expected.last;
  filtered.filter = &filter;
  std::vector<seq_no> matching;
  for (const auto& [seq, message] : expected.live) {
    if (seq >= from && filter.matches(message.subject)) matching.push_back(seq);
  }
  auto found = run(of.scan(filtered));
  REQUIRE(found);
  std::vector<seq_no> found_seqs;
  for (const auto& each : found->records) found_seqs.push_back(each.seq);
  if (matching.size() > 1000) matching.resize(1000);
  REQUIRE(found_seqs == matching);

  // Times and the front.
  wall_ms time(static_cast<int64_t>(random() % 2'000));
  seq_no since = expected.last.next();
  for (const auto& [seq, message] : expected.live) {
    if (message.time < time) continue;
    since = seq;
    break;
  }
  auto at_time = run(of.first_at_or_after(time));
  REQUIRE(at_time);
  REQUIRE(*at_time == since);
  auto next = expected.live.lower_bound(from);
  REQUIRE(of.next_live(from) == (next == expected.live.end() ? expected.last.next() : next->first));
  REQUIRE(of.is_live(from) == expected.live.contains(from));
  if (next != expected.live.end()) {
    auto when = run(of.time_of(next->first));
    REQUIRE(when);
    REQUIRE(*when == next->second.time);
  }
  auto oldest = run(of.oldest(from, 5));
  REQUIRE(oldest);
  for (const auto& each : *oldest) {
    REQUIRE(next != expected.live.end());
    REQUIRE(each.seq == next->first);
    REQUIRE(each.bytes == next->second.bytes);
    REQUIRE(each.time == next->second.time);
    ++next;
  }
  REQUIRE((oldest->size() == 5 || next == expected.live.end()));
}

void store_world::compare_all() {
  REQUIRE(client.logs.size() == model.logs.size());
  for (auto& [id, expected] : model.logs) {
    stream_log* of = it->log(id);
    REQUIRE(of != nullptr);
    compare(*of, expected);
  }
  REQUIRE(client.notes == model.notes);
}

void store_world::settle_on_observed() {
  for (const auto& [id, options] : client.logs) {
    for (model_store& each : candidates) {
      if (options.ephemeral && each.logs.contains(id)) each.logs[id] = model_log();
    }
  }
  model = observed();
  REQUIRE(std::find(candidates.begin(), candidates.end(), model) != candidates.end());
  candidates.assign(1, model);
}

}  // namespace weir
