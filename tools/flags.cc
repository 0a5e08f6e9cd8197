#include "tools/flags.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <iostream>

namespace weir {
namespace {

template <class T>
std::optional<T> parsed(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc() || stop != end) return std::nullopt;
  return value;
}

template <class T, class Target>
CLI::Option* add_bounded(CLI::App& app, const std::string& name, Target& target, T min, T max, const std::string& kind,
                         const std::string& what) {
  const std::string takes = fmt::format("takes {} from {} to {}", kind, min, max);
  auto read = [&target, name, min, max, takes](const CLI::results_t& given) {
    const auto value = parsed<T>(given.at(0));
    if (!value || !(*value >= min && *value <= max)) {
      throw CLI::ValidationError(name, fmt::format("{}, not '{}'", takes, given.at(0)));
    }
    target = *value;
    return true;
  };
  return app.add_option(name, CLI::callback_t(read), what)->type_name("N");
}

// CLI11's own complaint plus what the option it names takes.
std::string explained(const CLI::App& app, const std::string& complaint) {
  if (complaint.find(" takes ") != std::string::npos) return complaint;
  if (complaint == "A subcommand is required") {
    std::string names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      names += (names.empty() ? "" : ", ") + command->get_name();
    }
    return fmt::format("takes a command: {}", names);
  }
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    if (!name.empty() && complaint.find(name) != std::string::npos && !option->get_description().empty()) {
      return fmt::format("{}; {} takes {}", complaint, name, option->get_description());
    }
  }
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? complaint : explained(*chosen.front(), complaint);
}

}  // namespace

CLI::Option* add_count(CLI::App& app, const std::string& name, uint64_t& target, uint64_t min, uint64_t max,
                       const std::string& what) {
  return add_bounded<uint64_t>(app, name, target, min, max, "a whole number", what);
}

CLI::Option* add_count(CLI::App& app, const std::string& name, std::optional<uint64_t>& target, uint64_t min,
                       uint64_t max, const std::string& what) {
  return add_bounded<uint64_t>(app, name, target, min, max, "a whole number", what);
}

CLI::Option* add_number(CLI::App& app, const std::string& name, double& target, double min, double max,
                        const std::string& what) {
  return add_bounded<double>(app, name, target, min, max, "a number", what);
}

CLI::Option* add_server(CLI::App& app, std::string& target) {
  const std::string name = "--server";
  auto check = [name](const std::string& text) {
    const size_t colon = text.rfind(':');
    const auto port = colon == std::string::npos ? std::nullopt : parsed<uint16_t>(text.substr(colon + 1));
    if (colon == 0 || !port || *port == 0) return fmt::format("takes HOST:PORT, not '{}'", text);
    return std::string();
  };
  return app.add_option(name, target, "HOST:PORT of the broker")
      ->type_name("HOST:PORT")
      ->check(CLI::Validator(check, ""))
      ->take_last()
      ->capture_default_str();
}

std::optional<int> parse_flags(CLI::App& app, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return 0;
  } catch (const CLI::CallForAllHelp&) {
    std::cout << app.help("", CLI::AppFormatMode::All);
    return 0;
  } catch (const CLI::ParseError& failure) {
    fmt::print(stderr, "{}: {}\n", app.get_name(), explained(app, failure.what()));
    return 2;
  }
  return std::nullopt;
}

}  // namespace weir
