#include "net/server_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "net/option_table.h"
#include "net/version.h"

namespace weir {
namespace {

error wrong_value(const option_row& row, const std::string& value) {
  return fail(errc::invalid_argument, "--" + row.name + " takes " + row.takes + ", not '" + value + "'");
}

// A JSON value as the text a flag would carry.
std::string as_flag_text(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

result<void> apply_file(const std::string& path, server_options& options) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return fail(errc::invalid_argument, "--config takes a readable JSON file, not '" + path + "'");
  result<void> applied = apply_config(text.str(), options);
  if (!applied) return fail(errc::invalid_argument, path + ": " + applied.err().message);
  return ok();
}

// One line, without the line ends that some of CLI11's messages have.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

result<void> apply_config(const std::string& json_text, server_options& options) {
  auto file = nlohmann::json::parse(json_text, nullptr, false);
  if (!file.is_object()) return fail(errc::invalid_argument, "not a JSON object of options");
  std::vector<option_row> rows = option_table(options);
  for (const auto& [key, value] : file.items()) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    auto row = std::find_if(rows.begin(), rows.end(), [&](const option_row& r) { return r.name == name; });
    if (row == rows.end()) return fail(errc::invalid_argument, "unknown option '" + key + "'");
    std::string text = as_flag_text(value);
    if (!row->set(text)) return wrong_value(*row, text);
  }
  return ok();
}

result<void> check_options(const server_options& options) {
  constexpr size_t envelope = 64u << 10;  // names, numbers, framing
  size_t needed = options.broker.payload_bytes_max + options.broker.header_bytes_max + envelope;
  if (options.rpc.receive_bytes_max < needed) {
    return fail(errc::invalid_argument, "--receive-bytes-max takes at least " + std::to_string(needed) +
                                            " with this --payload-bytes-max and --header-bytes-max, not '" +
                                            std::to_string(options.rpc.receive_bytes_max) + "'");
  }
  if (options.broker.payload_bytes_max > options.storage.journal.batch_bytes_max ||
      options.storage.journal.batch_bytes_max > options.storage.journal.segment_bytes / 2) {
    return fail(errc::invalid_argument,
                "--journal-batch-bytes-max takes a number from --payload-bytes-max to half of "
                "--journal-segment-bytes, not '" +
                    std::to_string(options.storage.journal.batch_bytes_max) + "'");
  }
  return ok();
}

result<command> parse_command_line(int argc, const char* const* argv) {
  command parsed;
  std::vector<option_row> rows = option_table(parsed.options);
  CLI::App app("weir-server: a durable stream broker", "weir-server");
  std::string config;
  app.add_option("--config", config, "a JSON file with any of these options")->type_name("FILE");
  bool version = false;
  app.add_flag("--version", version, "print the version and exit");
  std::vector<std::string> values(rows.size());
  std::vector<CLI::Option*> given(rows.size());
  for (size_t n = 0; n < rows.size(); ++n) {
    std::string help = rows[n].help + " [" + rows[n].preset + "]";
    given[n] = app.add_option("--" + rows[n].name, values[n], help)->type_name("");
    if (rows[n].flag) given[n]->expected(0, 1);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    parsed.what = command::kind::help;
    parsed.text = app.help();
    return parsed;
  } catch (const CLI::ParseError& fault) {
    return fail(errc::invalid_argument, one_line(fault.what()));
  }
  if (version) {
    parsed.what = command::kind::version;
    parsed.text = std::string("weir-server ") + version_text + "\n";
    return parsed;
  }
  if (!config.empty()) {
    result<void> applied = apply_file(config, parsed.options);
    if (!applied) return std::move(applied).err();
  }
  for (size_t n = 0; n < rows.size(); ++n) {
    if (given[n]->count() == 0) continue;
    std::string value = rows[n].flag && values[n].empty() ? "true" : values[n];
    if (!rows[n].set(value)) return wrong_value(rows[n], value);
  }
  result<void> fits = check_options(parsed.options);
  if (!fits) return std::move(fits).err();
  // The rows point into the local struct; from here on only the values travel.
  return parsed;
}

}  // namespace weir
