#include "tests/broker/golden_delivery.h"

namespace weir {
namespace {

publish_request message(const std::string& stream, const std::string& subject, const std::string& payload) {
  publish_request request;
  request.stream = stream;
  request.subject = subject;
  request.payload = as_bytes(payload);
  return request;
}

void publish(sim_shard& world, const std::string& stream, const std::string& subject, const std::string& payload) {
  must(world.run(world.now->publish(message(stream, subject, payload))));
}

void fill_jobs(sim_shard& world) {
  stream_config jobs;
  jobs.name = "jobs";
  jobs.policy = retention_policy::work_queue;
  must(world.run(world.now->create_stream(jobs)));
  consumer_config builders;
  builders.name = "builders";
  builders.filter_subject = "job.build.*";
  builders.ack_wait_ms = 1'000;
  builders.max_deliver = 1;
  must(world.run(world.now->create_consumer("jobs", builders)));
  consumer_config testers;
  testers.name = "testers";
  testers.filter_subjects = {"job.test", "job.bench"};
  testers.unlimited_deliver = true;
  testers.backoff_ms = {500, 60'000};
  testers.max_ack_pending = 4;
  must(world.run(world.now->create_consumer("jobs", testers)));
  for (int i = 1; i <= 12; ++i) publish(world, "jobs", "job.build." + std::to_string(i % 3), std::to_string(i));
  for (int i = 13; i <= 20; ++i) publish(world, "jobs", i % 2 == 0 ? "job.test" : "job.bench", std::to_string(i));
  must(world.run(world.now->fetch("jobs", "builders", 8)));
  must(world.run(world.now->fetch("jobs", "testers", 8)));
  must(world.run(world.now->ack_many("jobs", "builders", {seq_no(2), seq_no(5)}, seq_no())));
  must(world.run(world.now->term("jobs", "builders", seq_no(3))));
  must(world.run(world.now->ack("jobs", "testers", seq_no(13))));
  world.advance_ms(2'000);  // the builders' others are out of attempts
  must(world.run(world.now->fetch("jobs", "testers", 8)));
}

void fill_events(sim_shard& world) {
  stream_config events;
  events.name = "events";
  events.block_size = 8;
  events.limits.max_msgs = 500;
  events.discard_new = true;
  events.max_msgs_per_subject = 40;
  events.discard_new_per_subject = true;
  events.dedup_window_ms = 3'600'000;
  must(world.run(world.now->create_stream(events)));
  consumer_config ordered;
  ordered.name = "ordered";
  ordered.max_ack_pending_per_subject = 1;
  ordered.dead_letter_subject = "dead";
  ordered.max_deliver = 3;
  ordered.inactive_ms = 86'400'000;
  must(world.run(world.now->create_consumer("events", ordered)));
  consumer_config resting;
  resting.name = "resting";
  must(world.run(world.now->create_consumer("events", resting)));
  for (int i = 1; i <= 10; ++i) {
    const std::string id = "id-" + std::to_string(i);
    const std::string payload = "event " + std::to_string(i);
    publish_request request = message("events", "key." + std::to_string(i % 2), payload);
    request.message_id = id;
    if (i % 3 == 0) request.ttl_ms = 600'000;
    must(world.run(world.now->publish(request)));
  }
  for (int i = 1; i <= 3; ++i) {
    const std::string payload = "later " + std::to_string(i);
    publish_request request = message("events", "later", payload);
    request.deliver_at_ms = world.clock.wall().raw() + 100'000 * i;
    if (i == 2) request.message_id = "id-later";
    must(world.run(world.now->publish(request)));
  }
  std::vector<publish_request> run;
  for (const char* payload : {"one", "two", "three"}) {
    publish_request request;
    request.stream = "events";
    request.subject = "run";
    request.payload = as_bytes(std::string_view(payload));
    run.push_back(request);
  }
  must(world.run(world.now->publish_all(run)));
  must(world.run(world.now->fetch("events", "ordered", 10)));
  must(world.run(world.now->ack("events", "ordered", seq_no(1))));
  must(world.run(world.now->term("events", "ordered", seq_no(2))));
  must(world.run(world.now->pause_consumer("events", "resting", wall_ms(world.clock.wall().raw() + 900'000))));
}

void fill_shared(sim_shard& world) {
  stream_config shared;
  shared.name = "shared";
  shared.policy = retention_policy::interest;
  shared.block_size = 4;
  must(world.run(world.now->create_stream(shared)));
  consumer_config reader;
  reader.name = "reader";
  must(world.run(world.now->create_consumer("shared", reader)));
  for (int i = 1; i <= 14; ++i) publish(world, "shared", "s", std::to_string(i));
  must(world.run(world.now->fetch("shared", "reader", 9)));
  must(world.run(world.now->ack_many("shared", "reader", {}, seq_no(9))));
}

std::string show_more(const consumer_info& info) {
  std::string out = "  " + info.config.name + ": held " + std::to_string(info.held) + ", parked " +
                    std::to_string(info.parked) + ", lag " + std::to_string(info.lag) + ", paused until " +
                    std::to_string(info.paused_until_ms) + ", blocked " +
                    std::to_string(static_cast<int>(info.blocked)) + ", filters";
  for (const std::string& filter : info.config.filter_subjects) out += " " + filter;
  out += ", backoff";
  for (const uint64_t wait : info.config.backoff_ms) out += " " + std::to_string(wait);
  return out + ", unlimited " + std::to_string(info.config.unlimited_deliver) + ", max_ack_pending " +
         std::to_string(info.config.max_ack_pending) + ", per subject " +
         std::to_string(info.config.max_ack_pending_per_subject) + ", inactive_ms " +
         std::to_string(info.config.inactive_ms) + "\n";
}

}  // namespace

void fill_golden_delivery(sim_shard& world) {
  const int64_t began = world.clock.wall().raw();
  fill_jobs(world);
  fill_events(world);
  must(world.restart());  // settles everything, writes a snapshot
  fill_shared(world);
  // The tail that only the journal has.
  publish_request request = message("events", "key.0", "event 11");
  request.message_id = "id-11";
  request.ttl_ms = 700'000;
  must(world.run(world.now->publish(request)));
  purge_request purge;
  purge.stream = "events";
  purge.subject = "run";
  purge.keep = 1;
  must(world.run(world.now->purge(purge)));
  must(world.run(world.now->delete_message("jobs", seq_no(11))));
  must(world.run(world.now->requeue_parked("jobs", "builders", {seq_no(4)})));
  must(world.run(world.now->reset_consumer("shared", "reader", reset_target{11, {}})));
  world.advance_ms(began + golden_delivery_ms - world.clock.wall().raw());
}

std::string describe_delivery(sim_shard& world) {
  std::string out = describe(world);
  for (const std::string& name : must(world.run(world.now->list_streams()))) {
    const stream_info info = must(world.run(world.now->get_stream(name)));
    out += "stream " + name + ": scheduled " + std::to_string(info.scheduled) + ", discard_new " +
           std::to_string(info.config.discard_new) + " " + std::to_string(info.config.discard_new_per_subject) +
           ", dedup_window_ms " + std::to_string(info.config.dedup_window_ms) + "\n";
    for (const consumer_info& one : must(world.run(world.now->list_consumers(name)))) {
      out += show_more(one);
      const parked_page parked = must(world.run(world.now->list_parked(name, one.config.name, seq_no(), 100)));
      for (const parked_page::item& each : parked.items) {
        out += "    parked " + std::to_string(each.parked.seq.raw()) + " at " +
               std::to_string(each.parked.parked_at.raw()) + ", reason " +
               std::to_string(static_cast<int>(each.parked.reason)) + "\n";
      }
    }
  }
  return out;
}

}  // namespace weir
