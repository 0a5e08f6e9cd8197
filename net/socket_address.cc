#include "net/socket_address.h"

#include <asio/io_context.hpp>
#include <charconv>

namespace weir {

result<host_port> parse_host_port(const std::string& text) {
  error bad = fail(errc::invalid_argument, "'" + text + "' is not HOST:PORT");
  size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return bad;
  host_port parsed;
  parsed.host = text.substr(0, colon);
  const char* end = text.data() + text.size();
  auto [stop, fault] = std::from_chars(text.data() + colon + 1, end, parsed.port);
  if (fault != std::errc() || stop != end) return bad;
  if (parsed.host.front() == '[' && parsed.host.back() == ']') {
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  } else if (parsed.host.find(':') != std::string::npos) {
    return bad;
  }
  if (parsed.host.empty()) return bad;
  return parsed;
}

result<asio::ip::tcp::endpoint> resolve(const std::string& text) {
  auto parsed = parse_host_port(text);
  if (!parsed) return std::move(parsed).err();
  asio::error_code fault;
  auto number = asio::ip::make_address(parsed->host, fault);
  if (!fault) return asio::ip::tcp::endpoint(number, parsed->port);
  asio::io_context once;
  asio::ip::tcp::resolver names(once);
  auto found = names.resolve(parsed->host, std::to_string(parsed->port), fault);
  if (fault || found.empty()) {
    return fail(errc::invalid_argument, "'" + parsed->host + "' is no known host: " + fault.message());
  }
  return found.begin()->endpoint();
}

std::string to_string(const asio::ip::tcp::endpoint& address) {
  std::string host = address.address().to_string();
  if (address.address().is_v6()) host = "[" + host + "]";
  return host + ":" + std::to_string(address.port());
}

}  // namespace weir
