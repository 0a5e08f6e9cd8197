// The options of every benchmark that starts a weir-server.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/bench/server_process.h"

namespace weir {

inline void add_server_options(CLI::App& app, server_settings& server) {
  server.data_root = std::filesystem::temp_directory_path().string();
  app.add_option("--server", server.program, "the weir-server to start")->capture_default_str();
  app.add_option_function<std::vector<std::string>>(
         "--server-arg",
         [&server](const auto& more) { server.arguments.insert(server.arguments.end(), more.begin(), more.end()); },
         "one argument more for it")
      ->allow_extra_args(false);
  app.add_option("--data-root", server.data_root, "folder for its data directory")->capture_default_str();
}

}  // namespace weir
