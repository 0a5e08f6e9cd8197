// One diagram of a plot: lines over time, axes with units, a legend beside it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace weir {

struct svg_line {
  std::string name;
  std::string colour;
  bool dashed = false;
  std::vector<std::optional<double>> values;  // one a slot; a gap where there is none
};

struct svg_panel {
  std::string title;
  std::string unit;          // of the vertical axis, in words
  bool logarithmic = false;  // powers of ten; from 0 otherwise
  bool is_time = false;      // values are nanoseconds and are labelled as times
  std::vector<svg_line> lines;
};

// Where a panel stands, all of it: labels and legend too.
struct svg_place {
  double left;
  double top;
  double width;
  double height;
};

// `slot_s` wide slots, `seconds` in all.
std::string draw_panel(const svg_panel& panel, const svg_place& place, double slot_s, double seconds);

std::string svg_text(double x, double y, const std::string& words, double size, const char* colour,
                     const char* anchor = "start", const char* more = "");

// 1.5M, 12k, 250.
std::string short_number(double value);
// 80 us, 1.2 ms, 3 s.
std::string short_time(double ns);

}  // namespace weir
