#include "tests/broker/golden_shard.h"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace weir {
namespace {

namespace fs = std::filesystem;

void publish(sim_shard& world, const std::string& stream, const std::string& subject, int number) {
  const std::string payload = number % 5 == 0 ? std::string() : "payload " + std::to_string(number * 1001);
  const std::string headers = number % 4 == 0 ? encode_headers({{"n", std::to_string(number)}, {"n", "again"}}) : "";
  publish_request request;
  request.stream = stream;
  request.subject = subject;
  request.payload = as_bytes(payload);
  request.headers = as_bytes(headers);
  request.ts_ms = 1'600'000'000'000 + number;
  must(world.run(world.now->publish(request)));
}

void fetch_and_ack(sim_shard& world, const std::string& stream, const std::string& consumer, uint32_t batch,
                   uint64_t ack_every) {
  const fetch_outcome got = must(world.run(world.now->fetch(stream, consumer, batch)));
  for (const delivery& one : got.deliveries) {
    if (one.record.seq.raw() % ack_every == 0) must(world.run(world.now->ack(stream, consumer, one.record.seq)));
  }
}

stream_config orders() {
  stream_config config;
  config.name = "orders";
  config.subjects_filter = {"orders.>", "dlq.*"};
  config.block_size = 10;
  config.limits.max_msgs = 60;
  config.limits.max_age_ms = duration_ms_max;
  config.metadata = {{"team", "gr\xc3\xbc\xc3\x9f"}};
  return config;
}

stream_config keys() {
  stream_config config;
  config.name = "keys";
  config.max_msgs_per_subject = 1;
  config.max_msg_bytes = 4096;
  config.level = durability::written;
  return config;
}

consumer_config worker() {
  consumer_config config;
  config.name = "worker";
  config.filter_subject = "orders.*";
  config.ack_wait_ms = 1'000;
  config.max_deliver = 2;
  config.deliver_group = "group";
  config.dead_letter_subject = "dlq.worker";
  return config;
}

consumer_config late() {
  consumer_config config;
  config.name = "late";
  config.policy = delivery_policy::by_start_seq;
  config.start_seq = 30;
  return config;
}

std::string show(const stream_config& config) {
  std::string out = "filters";
  for (const std::string& filter : config.subjects_filter) out += " " + filter;
  out += ", policy " + std::to_string(static_cast<int>(config.policy));
  out += ", max_age_ms " + std::to_string(config.limits.max_age_ms.value_or(0));
  out += ", max_msgs " + std::to_string(config.limits.max_msgs.value_or(0));
  out += ", max_bytes " + std::to_string(config.limits.max_bytes.value_or(0));
  out += ", strict " + std::to_string(config.limits.strict);
  out += ", block_size " + std::to_string(config.block_size);
  out += ", max_msg_bytes " + std::to_string(config.max_msg_bytes);
  out += ", per subject " + std::to_string(config.max_msgs_per_subject);
  out += ", level " + std::to_string(static_cast<int>(*config.level));
  for (const auto& [key, value] : config.metadata) out += ", " + key + "=" + value;
  return out + "\n";
}

std::string show(const consumer_info& info) {
  const consumer_config& config = info.config;
  return "  consumer " + config.name + ": filter " + config.filter_subject + ", policy " +
         std::to_string(static_cast<int>(config.policy)) + ", start " + std::to_string(config.start_seq) +
         ", ack_wait_ms " + std::to_string(config.ack_wait_ms) + ", max_deliver " + std::to_string(config.max_deliver) +
         ", group " + config.deliver_group + ", dead letters " + config.dead_letter_subject + ", created " +
         std::to_string(info.created_at_ms) + ", floor " + std::to_string(info.ack_floor) + ", delivered " +
         std::to_string(info.last_delivered) + ", pending " + std::to_string(info.pending) + ", dropped " +
         std::to_string(info.redelivered_dropped) + "\n";
}

std::string show_messages(sim_shard& world, const std::string& stream) {
  std::string out;
  for (const std::string& subject : must(world.run(world.now->list_subjects(stream, "")))) {
    const scan_result found = must(world.run(world.now->scan_subject(scan_query{stream, subject, 0, 1000})));
    for (const found_record& one : found.records) {
      const record_view view = must(decode_record(one.bytes.bytes()));
      out += "  " + std::to_string(one.seq.raw()) + " " + subject + " at " + std::to_string(view.time.raw()) + ": " +
             std::string(as_text(view.payload));
      for (const header& each : must(decode_headers(view.headers))) out += " {" + each.key + ": " + each.value + "}";
      out += "\n";
    }
  }
  return out;
}

}  // namespace

void set_golden_sizes(sim_shard& world) {
  world.storage.journal.segment_bytes = 16u << 10;
  world.storage.journal.batch_bytes_max = 8u << 10;
}

void fill_golden(sim_shard& world) {
  must(world.run(world.now->create_stream(orders())));
  must(world.run(world.now->create_stream(keys())));
  stream_config gone;
  gone.name = "gone";
  must(world.run(world.now->create_stream(gone)));
  must(world.run(world.now->create_consumer("orders", worker())));
  must(world.run(world.now->create_consumer("orders", late())));
  for (int i = 1; i <= 45; ++i) publish(world, "orders", i % 3 == 0 ? "orders.us" : "orders.eu.north", i);
  for (int i = 1; i <= 20; ++i) publish(world, "keys", "key." + std::to_string(i % 6), i);
  fetch_and_ack(world, "orders", "worker", 8, 2);
  must(world.restart());  // settles everything, writes a snapshot
  world.advance_ms(1'000);
  fetch_and_ack(world, "orders", "worker", 3, 6);
  must(world.run(world.now->delete_stream("gone")));
  stream_update update;
  update.name = "orders";
  update.max_msgs = 40;
  must(world.run(world.now->update_stream(update)));
  must(world.restart());
  // The tail that only the journal has.
  for (int i = 46; i <= 80; ++i) publish(world, "orders", "orders.asia", i);
  for (int i = 21; i <= 26; ++i) publish(world, "keys", "key.\xc3\xa9t\xc3\xa9", i);
  fetch_and_ack(world, "orders", "late", 12, 5);
  fetch_and_ack(world, "orders", "worker", 10, 3);
  consumer_config brief;
  brief.name = "brief";
  must(world.run(world.now->create_consumer("keys", brief)));
  must(world.run(world.now->delete_consumer("keys", "brief")));
}

std::string describe(sim_shard& world) {
  std::string out;
  for (const std::string& name : must(world.run(world.now->list_streams()))) {
    const stream_info info = must(world.run(world.now->get_stream(name)));
    out += "stream " + name + ": " + show(info.config);
    out += "  last " + std::to_string(info.stats.last_seq) + ", messages " + std::to_string(info.stats.msg_count) +
           ", bytes " + std::to_string(info.stats.bytes) + ", first block " + std::to_string(info.stats.first_block) +
           ", blocks " + std::to_string(info.stats.block_count) + "\n";
    for (const consumer_info& one : must(world.run(world.now->list_consumers(name)))) out += show(one);
    out += show_messages(world, name);
  }
  return out;
}

void write_out(disk& from, const std::string& path, const std::string& real_dir) {
  fs::create_directories(real_dir);
  for (const std::string& name : must(from.list(path))) {
    const std::string below = path + "/" + name;
    if (name.ends_with('/')) {
      write_out(from, below.substr(0, below.size() - 1), real_dir + "/" + name.substr(0, name.size() - 1));
      continue;
    }
    auto source = must(from.open(below, disk::mode::read));
    std::vector<uint8_t> bytes(static_cast<size_t>(must(source->size())));
    must(source->read_at(0, bytes));
    std::ofstream(real_dir + "/" + name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
}

void read_in(disk& to, const std::string& path, const std::string& real_dir) {
  must(to.make_dir(path));
  for (const fs::directory_entry& one : fs::directory_iterator(real_dir)) {
    const std::string below = path + "/" + one.path().filename().string();
    if (one.is_directory()) {
      read_in(to, below, one.path().string());
      continue;
    }
    std::ifstream source(one.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(source)), std::istreambuf_iterator<char>());
    auto target = must(to.open(below, disk::mode::create));
    must(target->write_at(0, as_bytes(bytes)));
    must(target->sync());
  }
  must(to.sync_dir(path));
}

}  // namespace weir
