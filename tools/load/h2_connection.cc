#include "tools/load/h2_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/load/bench_report.h"

namespace weir {
namespace {

// Frame types and flags: RFC 9113, section 6.
constexpr uint8_t frame_data = 0, frame_headers = 1, frame_rst_stream = 3, frame_settings = 4, frame_ping = 6,
                  frame_goaway = 7, frame_window_update = 8;
constexpr uint8_t flag_end_stream = 1, flag_ack = 1, flag_end_headers = 4;
constexpr uint16_t setting_streams_max = 3, setting_initial_window = 4;
constexpr size_t frame_header_bytes = 9;
constexpr size_t grpc_prefix_bytes = 5;
constexpr size_t frame_payload_max = 16384;

constexpr size_t input_bytes = 256u << 10;
constexpr size_t input_bytes_min = 2 * (frame_payload_max + frame_header_bytes);
constexpr uint32_t receive_window = 16u << 20;
constexpr int silence_s_max = 60;

uint32_t get_u32(const uint8_t* at) {
  return static_cast<uint32_t>(at[0]) << 24 | static_cast<uint32_t>(at[1]) << 16 | static_cast<uint32_t>(at[2]) << 8 |
         at[3];
}

int connect_to(const std::string& target) {
  size_t colon = target.rfind(':');
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  if (colon == std::string::npos || inet_pton(AF_INET, target.substr(0, colon).c_str(), &peer.sin_addr) != 1) {
    stop_bench("not an IPv4 HOST:PORT: " + target);
  }
  peer.sin_port = htons(static_cast<uint16_t>(std::stoi(target.substr(colon + 1))));
  int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(made, reinterpret_cast<const sockaddr*>(&peer), sizeof peer) != 0) {
    stop_bench("cannot connect to " + target + ": " + std::strerror(errno));
  }
  int on = 1;
  timeval limit{silence_s_max, 0};
  (void)::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)::setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return made;
}

}  // namespace

void call_sink::streamed(uint64_t, byte_span) {
  stop_bench("a streaming answer nobody waits for");
}

h2_connection::h2_connection(const std::string& target, size_t calls_max)
    : authority_(target),
      socket_(connect_to(target)),
      input_(calls_max < calls_max_usual ? input_bytes_min : input_bytes),
      streams_(calls_max) {
  output_ = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  put_frame_header(6, frame_settings, 0, 0);
  output_.push_back(0);
  output_.push_back(static_cast<char>(setting_initial_window));
  put_u32(receive_window);
  put_frame_header(4, frame_window_update, 0, 0);
  put_u32(receive_window - 65535);
  flush();
}

h2_connection::~h2_connection() {
  ::close(socket_);
}

h2_connection::stream& h2_connection::at(uint32_t id) {
  return streams_[(id / 2) % streams_.size()];
}

void h2_connection::put_u32(uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) output_.push_back(static_cast<char>(value >> shift));
}

void h2_connection::put_frame_header(size_t size, uint8_t type, uint8_t flags, uint32_t id) {
  for (int shift = 16; shift >= 0; shift -= 8) output_.push_back(static_cast<char>(size >> shift));
  output_.push_back(static_cast<char>(type));
  output_.push_back(static_cast<char>(flags));
  put_u32(id);
}

// Sends the headers of a call; null if it cannot be started now.
h2_connection::stream* h2_connection::open_stream(std::string_view path, uint64_t tag, size_t body_bytes) {
  stream& fresh = at(next_id_);
  if (static_cast<int64_t>(body_bytes) > send_window_ || fresh.id != 0 || open_ >= streams_max_) return nullptr;
  fresh.id = next_id_;
  fresh.tag = tag;
  fresh.grpc_status = -1;
  fresh.streaming = false;
  fresh.unacknowledged = 0;
  fresh.send_window = stream_window_;
  fresh.unsent.clear();
  fresh.response.clear();
  fresh.status_message.clear();
  if (path != block_path_ || block_inserted_ != encoder_.inserted()) {
    uint32_t before = encoder_.inserted();
    block_.clear();
    encoder_.encode_request(path, authority_, block_);
    // A block that taught the peer new headers is not the one to repeat.
    block_inserted_ = before;
    block_path_ = path;
  }
  put_frame_header(block_.size(), frame_headers, flag_end_headers, next_id_);
  output_.append(block_);
  next_id_ += 2;
  ++open_;
  return &fresh;
}

bool h2_connection::start(std::string_view path, byte_span message, uint64_t tag) {
  size_t body = grpc_prefix_bytes + message.size();
  if (body > frame_payload_max) stop_bench("a benchmark request must fit one HTTP/2 frame");
  if (static_cast<int64_t>(body) > stream_window_) stop_bench("the server's stream window is below one request");
  const stream* fresh = open_stream(path, tag, body);
  if (fresh == nullptr) return false;
  put_frame_header(body, frame_data, flag_end_stream, fresh->id);
  output_.push_back(0);
  put_u32(static_cast<uint32_t>(message.size()));
  output_.append(as_text(message));
  send_window_ -= static_cast<int64_t>(body);
  return true;
}

uint32_t h2_connection::start_bidirectional(std::string_view path, uint64_t tag) {
  stream* fresh = open_stream(path, tag, 0);
  if (fresh == nullptr) return 0;
  fresh->streaming = true;
  bidirectional_.push_back(fresh->id);
  return fresh->id;
}

void h2_connection::send(uint32_t call, byte_span message) {
  stream& to = at(call);
  if (to.id != call) stop_bench("a request of a call that is not open");
  to.unsent.push_back(0);
  for (int shift = 24; shift >= 0; shift -= 8) to.unsent.push_back(static_cast<char>(message.size() >> shift));
  to.unsent.append(as_text(message));
  send_waiting(to);
}

void h2_connection::send_waiting(stream& to) {
  size_t sent = 0;
  while (sent < to.unsent.size()) {
    const int64_t window = std::min({to.send_window, send_window_, static_cast<int64_t>(frame_payload_max)});
    if (window <= 0) break;
    const size_t size = std::min(static_cast<size_t>(window), to.unsent.size() - sent);
    put_frame_header(size, frame_data, 0, to.id);
    output_.append(to.unsent, sent, size);
    to.send_window -= static_cast<int64_t>(size);
    send_window_ -= static_cast<int64_t>(size);
    sent += size;
  }
  to.unsent.erase(0, sent);
}

// The peer takes so many bytes more: of one call, or (0) of all.
void h2_connection::widen(uint32_t id, uint32_t bytes) {
  if (id == 0) {
    send_window_ += bytes;
    for (uint32_t call : bidirectional_) {
      if (at(call).id == call) send_waiting(at(call));
    }
    return;
  }
  stream& to = at(id);
  if (to.id != id) return;
  to.send_window += bytes;
  send_waiting(to);
}

bool h2_connection::start_streaming(std::string_view path, byte_span message, uint64_t tag) {
  uint32_t id = next_id_;
  if (!start(path, message, tag)) return false;
  at(id).streaming = true;
  return true;
}

void h2_connection::flush() {
  for (size_t sent = 0; sent < output_.size();) {
    ssize_t n = ::send(socket_, output_.data() + sent, output_.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) stop_bench(std::string("the server closed the connection: ") + std::strerror(errno));
    sent += static_cast<size_t>(n);
  }
  output_.clear();
}

void h2_connection::receive(call_sink& sink) {
  ssize_t n = ::recv(socket_, input_.data() + input_size_, input_.size() - input_size_, 0);
  if (n < 0 && errno == EINTR) return;
  if (n < 0) stop_bench(std::string("no answer from the server: ") + std::strerror(errno));
  if (n == 0) stop_bench("the server closed the connection");
  input_size_ += static_cast<size_t>(n);
  size_t used = 0;
  for (frame got{}; take_frame(used, got);) handle(got, sink);
  std::memmove(input_.data(), input_.data() + used, input_size_ - used);
  input_size_ -= used;
  open_window(0, unacknowledged_);
}

void h2_connection::open_window(uint32_t id, size_t& unacknowledged) {
  if (unacknowledged <= receive_window / 2) return;
  put_frame_header(4, frame_window_update, 0, id);
  put_u32(static_cast<uint32_t>(unacknowledged));
  unacknowledged = 0;
}

bool h2_connection::take_frame(size_t& offset, frame& out) const {
  if (input_size_ - offset < frame_header_bytes) return false;
  const uint8_t* head = input_.data() + offset;
  size_t size = get_u32(head) >> 8;
  if (size > frame_payload_max) stop_bench("the server sent an HTTP/2 frame over the limit");
  if (input_size_ - offset < frame_header_bytes + size) return false;
  out = frame{head[3], head[4], get_u32(head + 5) & 0x7fffffff, {head + frame_header_bytes, size}};
  offset += frame_header_bytes + size;
  return true;
}

void h2_connection::handle(const frame& got, call_sink& sink) {
  const uint8_t* bytes = got.payload.data();
  switch (got.type) {
    case frame_data:
      return on_data(got, sink);
    case frame_headers:
      return on_headers(got, sink);
    case frame_settings:
      return on_settings(got);
    case frame_window_update:
      if (got.payload.size() == 4) widen(got.id, get_u32(bytes) & 0x7fffffff);
      return;
    case frame_ping:
      if ((got.flags & flag_ack) != 0) return;
      put_frame_header(got.payload.size(), frame_ping, flag_ack, 0);
      output_.append(as_text(got.payload));
      return;
    case frame_rst_stream:
      // After END_STREAM it means nothing: the server did not wait for ours.
      if (stream& reset = at(got.id); reset.id == got.id) {
        reset.status_message = "the stream was reset";
        end(reset, sink);
      }
      return;
    case frame_goaway:
      stop_bench("the server sent GOAWAY: " + std::string(as_text(got.payload)));
    default:
      return;  // unknown types are to be ignored
  }
}

void h2_connection::on_data(const frame& got, call_sink& sink) {
  unacknowledged_ += got.payload.size();
  stream& to = at(got.id);
  if (to.id != got.id) stop_bench("data for a call that is not open");
  if (to.streaming) {
    take_messages(to, got.payload, sink);
    to.unacknowledged += got.payload.size();
    open_window(got.id, to.unacknowledged);
  } else {
    to.response.append(as_text(got.payload));
  }
  if ((got.flags & flag_end_stream) != 0) end(to, sink);
}

void h2_connection::take_messages(stream& to, byte_span received, call_sink& sink) {
  byte_span left = received;
  if (!to.response.empty()) {
    to.response.append(as_text(received));
    left = as_bytes(to.response);
  }
  while (left.size() >= grpc_prefix_bytes) {
    size_t size = get_u32(left.data() + 1);
    if (left[0] != 0) stop_bench("the server sent a compressed message");
    if (left.size() < grpc_prefix_bytes + size) break;
    sink.streamed(to.tag, left.subspan(grpc_prefix_bytes, size));
    left = left.subspan(grpc_prefix_bytes + size);
  }
  std::string rest(as_text(left));
  to.response.swap(rest);
}

void h2_connection::on_headers(const frame& got, call_sink& sink) {
  if ((got.flags & ~(flag_end_headers | flag_end_stream)) != 0 || (got.flags & flag_end_headers) == 0) {
    stop_bench("headers in a form this client does not read");
  }
  stream& to = at(got.id);
  response_headers headers;
  if (to.id != got.id || !decoder_.decode(got.payload, headers)) stop_bench("bad response headers");
  if (headers.grpc_status >= 0) {
    to.grpc_status = headers.grpc_status;
    to.status_message = headers.grpc_message;
  }
  if ((got.flags & flag_end_stream) != 0) end(to, sink);
}

void h2_connection::on_settings(const frame& got) {
  if ((got.flags & flag_ack) != 0) return;
  for (size_t n = 0; n + 6 <= got.payload.size(); n += 6) {
    const uint8_t* pair = got.payload.data() + n;
    int setting = pair[0] << 8 | pair[1];
    if (setting == setting_initial_window) {
      const int64_t now = get_u32(pair + 2);
      for (stream& each : streams_) each.send_window += now - stream_window_;
      stream_window_ = now;
      widen(0, 0);
    }
    if (setting == setting_streams_max) streams_max_ = get_u32(pair + 2);
  }
  put_frame_header(0, frame_settings, flag_ack, 0);
}

void h2_connection::end(stream& ended, call_sink& sink) {
  ended.id = 0;
  --open_;
  byte_span response = as_bytes(ended.response);
  bool framed = response.size() >= grpc_prefix_bytes;
  sink.done(
      {ended.tag, ended.grpc_status, framed ? response.subspan(grpc_prefix_bytes) : byte_span(), ended.status_message});
}

}  // namespace weir
