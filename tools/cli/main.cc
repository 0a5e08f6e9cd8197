// weir: looks at a broker and does single things with it. Exit code 0: done; 1: the broker refused or was not reached;
// 2: bad arguments.
#include <functional>

#include "tools/channel.h"
#include "tools/cli/commands.h"
#include "tools/flags.h"

namespace weir {
namespace {

constexpr uint64_t batch_max = 10000;
constexpr uint64_t wait_ms_max = 24ull * 3600 * 1000;

// Everything the command line can set; which of it counts depends on the command.
struct command_line {
  std::string server = "127.0.0.1:7460";
  bool json = false;
  std::string stream;
  std::string prefix;
  create_options create;
  publish_options publish;
  fetch_options fetch;
  parked_options parked;
  purge_options purge;
  std::string consumer;
  uint64_t pause_until_ms = 0;
  std::function<int(commands&)> run;
};

CLI::App& add_command(CLI::App& app, command_line& line, const std::string& name, const std::string& what,
                      std::function<int(commands&)> run) {
  CLI::App& command = *app.add_subcommand(name, what);
  command.fallthrough();
  command.callback([&line, run] { line.run = run; });
  return command;
}

void needs_stream(CLI::App& command, command_line& line) {
  command.add_option("STREAM", line.stream, "the name of a stream")->required();
}

void add_stream_commands(CLI::App& app, command_line& line) {
  add_command(app, line, "streams", "list streams", [](commands& c) { return c.streams(); });
  needs_stream(add_command(app, line, "info", "show a stream", [&line](commands& c) { return c.info(line.stream); }),
               line);
  needs_stream(
      add_command(app, line, "delete", "delete a stream", [&line](commands& c) { return c.remove(line.stream); }),
      line);

  create_options& options = line.create;
  CLI::App& create = add_command(app, line, "create", "create a stream",
                                 [&line](commands& c) { return c.create(line.stream, line.create); });
  needs_stream(create, line);
  create.add_option("--subjects", options.filters, "accepted subjects, patterns with * and > (default: any)");
  create.add_option("--retention", options.retention, "limits, work_queue or interest")
      ->check(CLI::IsMember({"limits", "work_queue", "interest"}));
  create.add_option("--durability", options.durability, "default, memory, written or fsync")
      ->check(CLI::IsMember({"default", "memory", "written", "fsync"}));
  add_count(create, "--max-age-ms", options.max_age_ms, 0, UINT64_MAX, "oldest message kept, milliseconds");
  add_count(create, "--max-msgs", options.max_msgs, 0, UINT64_MAX, "messages kept");
  add_count(create, "--max-bytes", options.max_bytes, 0, UINT64_MAX, "bytes kept");
  add_count(create, "--max-msg-bytes", options.max_msg_bytes, 0, UINT64_MAX, "largest message");
  add_count(create, "--max-msgs-per-subject", options.max_msgs_per_subject, 0, UINT64_MAX, "messages kept a subject");
  add_count(create, "--block-size", options.block_size, 0, UINT64_MAX, "messages a block");
  create.add_flag("--strict", options.strict, "keep limits to the message, not to the block");
  create.add_flag("--ephemeral", options.ephemeral, "in memory only");
}

void add_message_commands(CLI::App& app, command_line& line) {
  CLI::App& publish = add_command(app, line, "publish", "publish one message",
                                  [&line](commands& c) { return c.publish(line.stream, line.publish); });
  needs_stream(publish, line);
  publish.add_option("SUBJECT", line.publish.subject, "a literal subject")->required();
  publish.add_option("PAYLOAD", line.publish.payload, "the payload; - is all of standard input")->required();
  publish.add_option("--header", line.publish.headers, "a header, KEY=VALUE; may be repeated")->take_all();
  publish.add_option("--message-id", line.publish.message_id, "published again within two minutes, it is stored once");
  add_count(publish, "--ttl-ms", line.publish.ttl_ms, 0, UINT64_MAX, "removed so long after it was stored");
  add_count(publish, "--deliver-at-ms", line.publish.deliver_at_ms, 0, INT64_MAX,
            "becomes a message at this time, milliseconds since 1970");
  add_count(publish, "--expected-last-seq", line.publish.expected_last_seq, 0, UINT64_MAX,
            "store only if this is the subject's last sequence; 0: it has none");

  CLI::App& latest = add_command(app, line, "latest", "show the newest message of a subject",
                                 [&line](commands& c) { return c.latest(line.stream, line.publish.subject); });
  needs_stream(latest, line);
  latest.add_option("SUBJECT", line.publish.subject, "a literal subject")->required();

  CLI::App& subjects = add_command(app, line, "subjects", "list the subjects of a stream",
                                   [&line](commands& c) { return c.subjects(line.stream, line.prefix); });
  needs_stream(subjects, line);
  subjects.add_option("PREFIX", line.prefix, "only those that begin with it");

  CLI::App& purge = add_command(app, line, "purge", "remove messages of a stream",
                                [&line](commands& c) { return c.purge(line.stream, line.purge); });
  needs_stream(purge, line);
  purge.add_option("--subject", line.purge.subject, "only of this subject or pattern (default: all)");
  add_count(purge, "--up-to-seq", line.purge.up_to_seq, 0, UINT64_MAX, "the last sequence that goes");
  add_count(purge, "--keep", line.purge.keep, 0, UINT64_MAX, "the newest that match and stay");
}

void needs_consumer(CLI::App& command, command_line& line, std::string& consumer) {
  needs_stream(command, line);
  command.add_option("CONSUMER", consumer, "the name of a consumer")->required();
}

void add_reading(CLI::App& command, fetch_options& options) {
  command.add_flag("--create", options.create, "create the consumer if it is missing, from the first message on");
  command.add_flag("--ack", options.ack, "acknowledge what was shown");
}

void add_consumer_commands(CLI::App& app, command_line& line) {
  needs_stream(add_command(app, line, "consumers", "list the consumers of a stream",
                           [&line](commands& c) { return c.consumers(line.stream); }),
               line);
  needs_consumer(add_command(app, line, "consumer", "show a consumer, and why nothing is delivered to it",
                             [&line](commands& c) { return c.consumer(line.stream, line.consumer); }),
                 line, line.consumer);
  CLI::App& fetch = add_command(app, line, "fetch", "fetch messages through a consumer",
                                [&line](commands& c) { return c.fetch(line.stream, line.fetch); });
  needs_consumer(fetch, line, line.fetch.consumer);
  add_count(fetch, "--batch", line.fetch.batch, 1, batch_max, "messages at most (default 10)");
  add_count(fetch, "--wait-ms", line.fetch.wait_ms, 0, wait_ms_max, "wait so long for a first one");
  add_reading(fetch, line.fetch);
  CLI::App& subscribe = add_command(app, line, "subscribe", "show messages of a consumer as they come",
                                    [&line](commands& c) { return c.subscribe(line.stream, line.fetch); });
  needs_consumer(subscribe, line, line.fetch.consumer);
  add_reading(subscribe, line.fetch);
  CLI::App& pause =
      add_command(app, line, "pause", "hold a consumer's deliveries until a time, or let it go on",
                  [&line](commands& c) { return c.pause(line.stream, line.consumer, line.pause_until_ms); });
  needs_consumer(pause, line, line.consumer);
  add_count(pause, "--until-ms", line.pause_until_ms, 0, INT64_MAX, "milliseconds since 1970; 0 (default): go on now");
  add_command(app, line, "watch", "show changes of streams and consumers as they happen",
              [](commands& c) { return c.watch(); });
}

void add_parked_commands(CLI::App& app, command_line& line) {
  CLI::App& parked = add_command(app, line, "parked", "list messages that a consumer gave up on",
                                 [&line](commands& c) { return c.parked(line.stream, line.parked); });
  needs_consumer(parked, line, line.parked.consumer);
  add_count(parked, "--from-seq", line.parked.from_seq, 0, UINT64_MAX, "the first sequence to list");
  add_count(parked, "--limit", line.parked.limit, 0, UINT32_MAX, "messages at most (default 1000)");
  CLI::App& requeue = add_command(app, line, "requeue", "deliver parked messages again, from their first attempt",
                                  [&line](commands& c) { return c.requeue(line.stream, line.parked); });
  needs_consumer(requeue, line, line.parked.consumer);
  requeue.add_option("SEQ", line.parked.seqs, "which ones (default: all)");
  CLI::App& discard = add_command(app, line, "discard", "forget parked messages; on a work queue, remove them",
                                  [&line](commands& c) { return c.discard(line.stream, line.parked); });
  needs_consumer(discard, line, line.parked.consumer);
  discard.add_option("SEQ", line.parked.seqs, "which ones (default: all)");
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::prepare_grpc();
  CLI::App app("Looks at a weir broker and does single things with it.", "weir");
  weir::command_line line;
  weir::add_server(app, line.server);
  app.add_flag("--json", line.json, "print answers as JSON, one object a line");
  app.require_subcommand(1);
  weir::add_stream_commands(app, line);
  weir::add_message_commands(app, line);
  weir::add_consumer_commands(app, line);
  weir::add_parked_commands(app, line);
  if (const auto done = weir::parse_flags(app, argc, argv)) return *done;
  weir::commands commands(line.server, line.json);
  return line.run(commands);
}
