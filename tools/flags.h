// Command line flags of our tools: checked numbers, and one line that names the option and what it takes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace weir {

// A whole number within [min, max].
CLI::Option* add_count(CLI::App& app, const std::string& name, uint64_t& target, uint64_t min, uint64_t max,
                       const std::string& what);
CLI::Option* add_count(CLI::App& app, const std::string& name, std::optional<uint64_t>& target, uint64_t min,
                       uint64_t max, const std::string& what);

// A number within [min, max]; fractions are fine.
CLI::Option* add_number(CLI::App& app, const std::string& name, double& target, double min, double max,
                        const std::string& what);

// HOST:PORT, a port from 1 to 65535.
CLI::Option* add_server(CLI::App& app, std::string& target);

// Parses. A value means that the program ends with it: 0 after --help, 2 after one line on standard error.
std::optional<int> parse_flags(CLI::App& app, int argc, const char* const* argv);

}  // namespace weir
