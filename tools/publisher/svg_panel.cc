#include "tools/publisher/svg_panel.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace weir {
namespace {

constexpr const char* ink = "#222222";
constexpr const char* faint = "#666666";
constexpr const char* grid = "#e3e3e3";

constexpr double label_room = 88;    // left of the diagram
constexpr double legend_room = 190;  // right of it
constexpr double title_room = 34;
constexpr double time_room = 46;  // below it
constexpr double legend_step = 22;
constexpr size_t marked_points_max = 40;  // so few points are shown as dots, too
constexpr double ticks_wanted = 6;
constexpr double label_size = 12;
constexpr double head_size = 14;

std::string escaped(const std::string& words) {
  std::string safe;
  for (const char each : words) {
    if (each == '&') {
      safe += "&amp;";
    } else if (each == '<') {
      safe += "&lt;";
    } else if (each == '>') {
      safe += "&gt;";
    } else {
      safe += each;
    }
  }
  return safe;
}

std::string line(double x1, double y1, double x2, double y2, const char* colour) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2, y2,
                     colour);
}

// 1, 2 or 5 times a power of ten, so that about as many as wanted fit.
double nice_step(double range) {
  const double rough = range / ticks_wanted;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

// The vertical axis: from which value to which, and where its labels are.
struct axis {
  bool logarithmic;
  double low;
  double high;
  std::vector<double> ticks;

  // 0 at the lower end, 1 at the upper one.
  double place_of(double value) const {
    if (!logarithmic) return value / high;
    return std::clamp((std::log10(std::max(value, low)) - std::log10(low)) / (std::log10(high) - std::log10(low)), 0.0,
                      1.0);
  }
};

axis axis_for(const svg_panel& panel) {
  double least = 0;
  double most = 0;
  for (const svg_line& each : panel.lines) {
    for (const auto& value : each.values) {
      if (!value) continue;
      most = std::max(most, *value);
      least = least == 0 ? *value : std::min(least, *value);
    }
  }
  axis made{panel.logarithmic, 0, 1, {}};
  if (panel.logarithmic) {
    made.low = least > 0 ? std::pow(10, std::floor(std::log10(least))) : 1;
    made.high = std::max(10 * made.low, most > 0 ? std::pow(10, std::ceil(std::log10(most))) : 10);
    for (double tick = made.low; tick <= made.high * 1.001; tick *= 10) made.ticks.push_back(tick);
    return made;
  }
  const double step = nice_step(most > 0 ? most : 1);
  made.high = step * std::max(1.0, std::ceil(most / step));
  for (double tick = 0; tick <= made.high * 1.001; tick += step) made.ticks.push_back(tick);
  return made;
}

// The frame of one panel: what of its place is the diagram itself.
struct diagram {
  double left, top, right, bottom;
  double seconds;
  axis values;

  double x(double at_s) const { return left + at_s / seconds * (right - left); }
  double y(double value) const { return bottom - values.place_of(value) * (bottom - top); }
};

std::string draw_axes(const svg_panel& panel, const diagram& in) {
  std::string made;
  for (const double tick : in.values.ticks) {
    const double y = in.y(tick);
    made += line(in.left, y, in.right, y, grid);
    const std::string label = panel.is_time ? short_time(tick) : short_number(tick);
    made += svg_text(in.left - 8, y + 4, label, label_size, faint, "end");
  }
  const double step = nice_step(in.seconds);
  for (double at = 0; at <= in.seconds * 1.0001; at += step) {
    made += line(in.x(at), in.bottom, in.x(at), in.bottom + 5, faint);
    made += svg_text(in.x(at), in.bottom + 19, fmt::format("{:.6g}", std::round(at / step) * step), label_size, faint,
                     "middle");
  }
  made += line(in.left, in.bottom, in.right, in.bottom, faint);
  made += svg_text((in.left + in.right) / 2, in.bottom + 38, "seconds since the start", label_size, faint, "middle");
  const double middle = (in.top + in.bottom) / 2;
  const double x = in.left - label_room + 14;
  made += svg_text(x, middle, panel.unit, label_size, faint, "middle",
                   fmt::format(" transform=\"rotate(-90 {:.1f} {:.1f})\"", x, middle).c_str());
  return made;
}

std::string dash_of(const svg_line& of) {
  return of.dashed ? " stroke-dasharray=\"6 3\"" : "";
}

std::string draw_line(const svg_line& of, const diagram& in, double slot_s) {
  std::string path;
  std::string dots;
  bool begun = false;
  for (size_t n = 0; n < of.values.size(); ++n) {
    if (!of.values[n]) {
      begun = false;
      continue;
    }
    const double from = static_cast<double>(n) * slot_s;
    const double x = in.x((from + std::min(from + slot_s, in.seconds)) / 2);
    const double y = in.y(*of.values[n]);
    path += fmt::format("{}{:.1f} {:.1f}", begun ? " L" : " M", x, y);
    begun = true;
    if (of.values.size() <= marked_points_max) {
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\" fill=\"{}\"/>\n", x, y, of.colour);
    }
  }
  if (path.empty()) return "";
  return fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"{}/>\n",
                     path.substr(1), of.colour, dash_of(of)) +
         dots;
}

std::string draw_legend(const svg_panel& panel, const diagram& in) {
  std::string made;
  double y = in.top + 10;
  for (const svg_line& each : panel.lines) {
    made += fmt::format(
        "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"2.4\"{}/>\n",
        in.right + 16, y, in.right + 44, y, each.colour, dash_of(each));
    made += svg_text(in.right + 52, y + 4, each.name, label_size, ink);
    y += legend_step;
  }
  return made;
}

}  // namespace

std::string svg_text(double x, double y, const std::string& words, double size, const char* colour, const char* anchor,
                     const char* more) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{}>{}</text>\n", x,
                     y, size, colour, anchor, more, escaped(words));
}

std::string short_number(double value) {
  if (value >= 999.5e3) return fmt::format("{:.3g}M", value / 1e6);
  if (value >= 999.5) return fmt::format("{:.3g}k", value / 1e3);
  return fmt::format("{:.3g}", value);
}

std::string short_time(double ns) {
  struct unit {
    double ns;
    const char* name;
  };
  for (const unit& each : std::array<unit, 3>{{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}}}) {
    if (ns >= each.ns) return fmt::format("{:.3g} {}", ns / each.ns, each.name);
  }
  return fmt::format("{:.3g} ns", ns);
}

std::string draw_panel(const svg_panel& panel, const svg_place& place, double slot_s, double seconds) {
  const diagram in{place.left + label_room,
                   place.top + title_room,
                   place.left + place.width - legend_room,
                   place.top + place.height - time_room,
                   std::max(seconds, 1e-3),
                   axis_for(panel)};
  std::string made = svg_text(in.left, place.top + 18, panel.title, head_size, ink, "start", " font-weight=\"bold\"");
  made += draw_axes(panel, in);
  for (const svg_line& each : panel.lines) made += draw_line(each, in, slot_s);
  return made + draw_legend(panel, in);
}

}  // namespace weir
