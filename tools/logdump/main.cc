// logdump: prints journal segments of a weir data directory for a person. Changes nothing. Exit code 0: all of it could
// be read; 1: something could not; 2: bad arguments.
#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <vector>

#include "storage/posix_disk.h"
#include "tools/flags.h"
#include "tools/logdump/dump.h"

namespace weir {
namespace {

std::string printable(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += c >= 0x20 && c < 0x7f ? c : '.';
  return text;
}

result<bool> dump_file(const std::string& path, const dump_options& options) {
  posix_disk disk(path.front() == '/' ? "/" : ".");
  auto opened = disk.open(path, disk::mode::read);
  if (!opened) return std::move(opened).err();
  return dump_segment(**opened, options);
}

}  // namespace

void print_record(const record_view& record, const dump_options& options) {
  fmt::print("    seq {} time {} epoch {} subject {} payload {}\n", record.seq.raw(), record.time.raw(), record.epoch,
             printable(record.subject), record.payload.size());
  if (options.payloads) fmt::print("      {}\n", printable(as_text(record.payload)));
}

}  // namespace weir

int main(int argc, char** argv) {
  CLI::App app("Prints journal segments of a weir data directory.", "logdump");
  std::vector<std::string> paths;
  weir::dump_options options;
  app.add_option("FILE", paths, "files of a data directory, e.g. DATA/*/journal/1.wj")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_flag("--payloads", options.payloads, "also show what messages carry");
  app.add_flag("--records,!--no-records", options.records, "one line a message (default)");
  if (const auto done = weir::parse_flags(app, argc, argv)) return *done;
  bool good = true;
  for (const std::string& path : paths) {
    fmt::print("{}\n", path);
    const auto dumped = weir::dump_file(path, options);
    if (!dumped) fmt::print(stderr, "logdump: {}\n", dumped.err().message);
    good = dumped && *dumped && good;
  }
  return good ? 0 : 1;
}
