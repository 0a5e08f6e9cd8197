// The table of weir-server's options: name, help, what it takes, and the field it sets.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "net/server_options.h"

namespace weir {

struct option_row {
  std::string name;  // without dashes in front
  std::string help;
  std::string takes;                                  // "HOST:PORT", "a number from 1 to 64"
  bool flag = false;                                  // needs no value on the command line: its presence means "true"
  std::string preset;                                 // the default, as text
  std::function<bool(const std::string& value)> set;  // false: not what it takes
};

// Rows that write into `options`, which outlives them.
std::vector<option_row> option_table(server_options& options);

}  // namespace weir
