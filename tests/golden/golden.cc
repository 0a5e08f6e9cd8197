#include "tests/golden/golden.h"

#include <sstream>

#include "storage/record.h"

namespace weir::golden {

namespace {

task<void> keep(task<result<void>> work, result<void>& outcome) {
  outcome = co_await std::move(work);
}

task<void> keep_scan(stream_log& from, scan_request request, result<scan_result>& outcome) {
  outcome = co_await from.scan(request);
}

std::string hex(byte_span bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text.empty() ? "-" : text;
}

void dump_record(std::ostream& to, const record_view& record) {
  to << "  " << record.seq.raw() << " " << record.subject << " time=" << record.time.raw() << " epoch=" << record.epoch
     << " headers=" << hex(record.headers) << " payload=" << hex(record.payload) << "\n";
}

void dump_log(std::ostream& to, stream_log& log) {
  const log_stats& stats = log.stats();
  to << "stream " << log.id().raw() << " first=" << stats.first.raw() << " last=" << stats.last.raw()
     << " count=" << stats.count << " bytes=" << stats.bytes << "\n";
  log.for_each_subject("", [&](const subject_info& each) {
    to << " subject " << each.name << " count=" << each.count << " first=" << each.first.raw()
       << " last=" << each.last.raw() << "\n";
    return true;
  });
  scan_request request;
  request.from = seq_no(1);
  request.to = stats.last;
  request.records_max = 1'000'000;
  request.bytes_max = 1u << 30;
  result<scan_result> found = fail(errc::internal, "not run");
  gate running;
  running.spawn(keep_scan(log, request, found));
  if (!found) {
    to << " " << found.err().message << "\n";
    return;
  }
  for (const found_record& each : found->records) {
    auto record = decode_record(each.bytes.bytes());
    if (record) dump_record(to, *record);
  }
  for (seq_no seq : found->damaged) to << "  " << seq.raw() << " damaged\n";
}

}  // namespace

std::string client::encode_state() {
  std::ostringstream text;
  for (const auto& [id, options] : streams) {
    text << "stream " << id.raw() << " " << options.block_records << " " << options.label << "\n";
  }
  std::istringstream lines(notes);
  for (std::string line; std::getline(lines, line);) text << "note " << line << "\n";
  return text.str();
}

void client::take(const std::string& line, bool make_log) {
  std::istringstream words(line);
  std::string kind;
  words >> kind;
  if (kind == "stream") {
    uint64_t id = 0;
    log_options options;
    words >> id >> options.block_records >> options.label;
    streams[stream_id(id)] = options;
    if (make_log) store_->create_log(stream_id(id), options);
  } else if (kind == "drop") {
    uint64_t id = 0;
    words >> id;
    streams.erase(stream_id(id));
    store_->drop_log(stream_id(id));
  } else if (kind == "note") {
    notes += line.substr(5) + "\n";
  }
}

result<void> client::load_state(byte_span state) {
  std::istringstream lines{std::string(as_text(state))};
  for (std::string line; std::getline(lines, line);) take(line, false);
  return ok();
}

result<void> client::apply(stream_id, byte_span entry) {
  take(std::string(as_text(entry)), true);
  return ok();
}

result<void> client::adopt(stream_id stream, byte_span label) {
  log_options options;
  options.label = as_text(label);
  streams[stream] = options;
  store_->create_log(stream, options);
  return ok();
}

store_config config() {
  store_config wanted;
  wanted.journal.segment_bytes = 16 << 10;
  wanted.journal.segments_max = 4;
  wanted.journal.batch_bytes_max = 8 << 10;
  wanted.disk_reserve_bytes = 0;
  return wanted;
}

std::string dump(store& from, const client& state) {
  std::ostringstream text;
  text << state.notes;
  for (const auto& [id, options] : state.streams) {
    text << "label " << options.label << " block_records=" << options.block_records << "\n";
    if (stream_log* log = from.log(id)) dump_log(text, *log);
  }
  return text.str();
}

result<void> run(task<result<void>> work) {
  result<void> outcome = fail(errc::internal, "the task waits for something");
  gate running;
  running.spawn(keep(std::move(work), outcome));
  return outcome;
}

}  // namespace weir::golden
