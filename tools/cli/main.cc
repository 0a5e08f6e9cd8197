// weir: looks at a broker and does single things with it. Exit code 0: done; 1: the broker refused or was not reached;
// 2: bad arguments.
#include <functional>

#include "tools/channel.h"
#include "tools/cli/commands.h"
#include "tools/flags.h"

namespace weir {
namespace {

constexpr uint64_t batch_max = 10000;

// Everything the command line can set; which of it counts depends on the command.
struct command_line {
  std::string server = "127.0.0.1:7460";
  bool json = false;
  std::string stream;
  std::string prefix;
  create_options create;
  publish_options publish;
  fetch_options fetch;
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
}

void add_consumer_commands(CLI::App& app, command_line& line) {
  needs_stream(add_command(app, line, "consumers", "list the consumers of a stream",
                           [&line](commands& c) { return c.consumers(line.stream); }),
               line);
  CLI::App& fetch = add_command(app, line, "fetch", "fetch messages through a consumer",
                                [&line](commands& c) { return c.fetch(line.stream, line.fetch); });
  needs_stream(fetch, line);
  fetch.add_option("CONSUMER", line.fetch.consumer, "the name of a consumer")->required();
  add_count(fetch, "--batch", line.fetch.batch, 1, batch_max, "messages at most (default 10)");
  fetch.add_flag("--create", line.fetch.create, "create the consumer if it is missing, from the first message on");
  fetch.add_flag("--ack", line.fetch.ack, "acknowledge what was shown");
  add_command(app, line, "watch", "show changes of streams and consumers as they happen",
              [](commands& c) { return c.watch(); });
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
  if (const auto done = weir::parse_flags(app, argc, argv)) return *done;
  weir::commands commands(line.server, line.json);
  return line.run(commands);
}
