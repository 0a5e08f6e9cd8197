#include "tools/load/h2_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "storage/check.h"
#include "tools/load/bench_report.h"
#include "tools/load/tcp_connect.h"

namespace weir {
namespace {

// Frame types and flags: RFC 9113, section 6.
constexpr uint8_t frame_data = 0, frame_headers = 1, frame_rst_stream = 3, frame_settings = 4, frame_ping = 6,
                  frame_goaway = 7, frame_window_update = 8;
constexpr uint8_t flag_end_stream = 1, flag_ack = 1, flag_end_headers = 4;
constexpr uint16_t setting_streams_max = 3, setting_initial_window = 4;
constexpr size_t frame_header_bytes = 9;
constexpr size_t grpc_prefix_bytes = 5;
constexpr size_t goaway_head_bytes = 8;
constexpr size_t frame_payload_max = 16384;

constexpr size_t input_bytes = 256u << 10;
constexpr size_t input_bytes_min = 2 * (frame_payload_max + frame_header_bytes);
constexpr uint32_t receive_window = 16u << 20;

uint32_t get_u32(const uint8_t* at) {
  return static_cast<uint32_t>(at[0]) << 24 | static_cast<uint32_t>(at[1]) << 16 | static_cast<uint32_t>(at[2]) << 8 |
         at[3];
}

int connect_or_stop(const std::string& target) {
  result<int> made = connect_tcp(target);
  if (!made) stop_bench(made.err().message);
  return *made;
}

}  // namespace

void call_sink::streamed(uint64_t, byte_span) {
  stop_bench("a streaming answer nobody waits for");
}

void call_sink::broken(const std::string& why) {
  stop_bench(why);
}

result<std::unique_ptr<h2_connection>> h2_connection::connect(const std::string& target) {
  result<int> made = connect_tcp(target);
  if (!made) return made.err();
  return std::unique_ptr<h2_connection>(new h2_connection(target, *made, calls_max_usual));
}

h2_connection::h2_connection(const std::string& target, size_t calls_max)
    : h2_connection(target, connect_or_stop(target), calls_max) {}

h2_connection::h2_connection(const std::string& target, int socket, size_t calls_max)
    : authority_(target),
      socket_(socket),
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

const h2_connection::stream& h2_connection::at(uint32_t id) const {
  return streams_[(id / 2) % streams_.size()];
}

void h2_connection::break_off(const std::string& why) {
  if (broken_.empty()) broken_ = why + (going_away_.empty() ? "" : " (it said: " + going_away_ + ")");
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

// Puts the headers of a call into the output.
h2_connection::stream& h2_connection::begin(std::string_view path, uint64_t tag) {
  stream& fresh = at(next_id_);
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
  return fresh;
}

bool h2_connection::start(std::string_view path, byte_span message, uint64_t tag) {
  size_t body = grpc_prefix_bytes + message.size();
  if (body > frame_payload_max) stop_bench("a benchmark request must fit one HTTP/2 frame");
  if (static_cast<int64_t>(body) > stream_window_) stop_bench("the server's stream window is below one request");
  if (static_cast<int64_t>(body) > send_window_ || at(next_id_).id != 0 || open_ >= streams_max_) return false;
  stream& fresh = begin(path, tag);
  put_frame_header(body, frame_data, flag_end_stream, fresh.id);
  output_.push_back(0);
  put_u32(static_cast<uint32_t>(message.size()));
  output_.append(as_text(message));
  send_window_ -= static_cast<int64_t>(body);
  return true;
}

bool h2_connection::start_streaming(std::string_view path, byte_span message, uint64_t tag) {
  uint32_t id = next_id_;
  if (!start(path, message, tag)) return false;
  at(id).streaming = true;
  return true;
}

uint32_t h2_connection::start_bidirectional(std::string_view path, uint64_t tag) {
  if (at(next_id_).id != 0 || open_ >= streams_max_) return 0;
  stream& fresh = begin(path, tag);
  fresh.streaming = true;
  bidirectional_.push_back(fresh.id);
  return fresh.id;
}

void h2_connection::send(uint32_t call, byte_span message) {
  stream& to = at(call);
  if (to.id != call) return;  // it has ended, and the sink knows
  auto size = static_cast<uint32_t>(message.size());
  const char head[] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                       static_cast<char>(size)};
  std::string_view prefix(head, grpc_prefix_bytes);
  size_t sent = to.unsent.empty() ? put_data(to, prefix, message) : 0;
  if (sent < prefix.size()) to.unsent.append(prefix.substr(sent));
  to.unsent.append(as_text(message.subspan(sent > prefix.size() ? sent - prefix.size() : 0)));
}

void h2_connection::end_sending(uint32_t call) {
  if (at(call).id != call) return;
  WEIR_CHECK(at(call).unsent.empty());
  put_frame_header(0, frame_data, flag_end_stream, call);
}

size_t h2_connection::unsent(uint32_t call) const {
  return at(call).id == call ? at(call).unsent.size() : 0;
}

// As much of head and body as both windows allow; returns how many bytes that is.
size_t h2_connection::put_data(stream& to, std::string_view head, byte_span body) {
  size_t sent = 0;
  size_t left = head.size() + body.size();
  for (;;) {
    int64_t room = std::min({send_window_, to.send_window, static_cast<int64_t>(std::min(left, frame_payload_max))});
    if (room <= 0) return sent;
    auto size = static_cast<size_t>(room);
    put_frame_header(size, frame_data, 0, to.id);
    size_t of_head = sent < head.size() ? std::min(size, head.size() - sent) : 0;
    if (of_head != 0) output_.append(head.substr(sent, of_head));
    if (size != of_head) output_.append(as_text(body.subspan(sent + of_head - head.size(), size - of_head)));
    send_window_ -= room;
    to.send_window -= room;
    sent += size;
    left -= size;
  }
}

void h2_connection::send_unsent(stream& to) {
  if (to.unsent.empty()) return;
  to.unsent.erase(0, put_data(to, {}, as_bytes(to.unsent)));
}

void h2_connection::flush() {
  while (!output_.empty() && broken_.empty()) write_output(0);
}

void h2_connection::flush_some() {
  if (!output_.empty() && broken_.empty()) write_output(MSG_DONTWAIT);
}

void h2_connection::write_output(int flags) {
  ssize_t n = ::send(socket_, output_.data() + output_sent_, output_.size() - output_sent_, MSG_NOSIGNAL | flags);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) return break_off(std::string("the server closed the connection: ") + std::strerror(errno));
  output_sent_ += static_cast<size_t>(n);
  if (output_sent_ < output_.size()) return;
  output_.clear();
  output_sent_ = 0;
}

void h2_connection::receive(call_sink& sink) {
  read_input(0, sink);
}

void h2_connection::receive_here(call_sink& sink) {
  read_input(MSG_DONTWAIT, sink);
}

void h2_connection::read_input(int flags, call_sink& sink) {
  if (broken_.empty()) {
    ssize_t n = ::recv(socket_, input_.data() + input_size_, input_.size() - input_size_, flags);
    if (n < 0 && (errno == EINTR || (errno == EAGAIN && flags != 0))) return;
    if (n < 0) break_off(std::string("no answer from the server: ") + std::strerror(errno));
    if (n == 0) break_off("the server closed the connection");
    input_size_ += n > 0 ? static_cast<size_t>(n) : 0;
    size_t used = 0;
    for (frame got{}; broken_.empty() && take_frame(used, got);) handle(got, sink);
    std::memmove(input_.data(), input_.data() + used, input_size_ - used);
    input_size_ -= used;
    open_window(0, unacknowledged_);
  }
  if (broken_.empty() || told_) return;
  told_ = true;
  sink.broken(broken_);
}

void h2_connection::open_window(uint32_t id, size_t& unacknowledged) {
  if (unacknowledged <= receive_window / 2) return;
  put_frame_header(4, frame_window_update, 0, id);
  put_u32(static_cast<uint32_t>(unacknowledged));
  unacknowledged = 0;
}

bool h2_connection::take_frame(size_t& offset, frame& out) {
  if (input_size_ - offset < frame_header_bytes) return false;
  const uint8_t* head = input_.data() + offset;
  size_t size = get_u32(head) >> 8;
  if (size > frame_payload_max) {
    break_off("the server sent an HTTP/2 frame over the limit");
    return false;
  }
  if (input_size_ - offset < frame_header_bytes + size) return false;
  out = frame{head[3], head[4], get_u32(head + 5) & 0x7fffffff, {head + frame_header_bytes, size}};
  offset += frame_header_bytes + size;
  return true;
}

void h2_connection::handle(const frame& got, call_sink& sink) {
  switch (got.type) {
    case frame_data:
      return on_data(got, sink);
    case frame_headers:
      return on_headers(got, sink);
    case frame_settings:
      return on_settings(got);
    case frame_window_update:
      return on_window_update(got);
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
    case frame_goaway:  // last stream, code, text; what is open may still be answered
      going_away_ = as_text(got.payload.subspan(std::min(got.payload.size(), goaway_head_bytes)));
      streams_max_ = 0;
      return;
    default:
      return;  // unknown types are to be ignored
  }
}

void h2_connection::on_data(const frame& got, call_sink& sink) {
  unacknowledged_ += got.payload.size();
  stream& to = at(got.id);
  if (to.id != got.id) return break_off("data for a call that is not open");
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
  const bool joined = !to.response.empty();
  if (joined) to.response.append(as_text(received));
  const byte_span all = joined ? as_bytes(to.response) : received;
  byte_span left = all;
  while (left.size() >= grpc_prefix_bytes) {
    size_t size = get_u32(left.data() + 1);
    if (left[0] != 0) return break_off("the server sent a compressed message");
    if (left.size() < grpc_prefix_bytes + size) break;
    sink.streamed(to.tag, left.subspan(grpc_prefix_bytes, size));
    left = left.subspan(grpc_prefix_bytes + size);
  }
  if (!joined) {
    to.response.assign(as_text(left));
  } else if (left.size() != all.size()) {  // a large message that has not come whole is not moved for each part of it
    to.response.erase(0, all.size() - left.size());
  }
}

void h2_connection::on_headers(const frame& got, call_sink& sink) {
  if ((got.flags & ~(flag_end_headers | flag_end_stream)) != 0 || (got.flags & flag_end_headers) == 0) {
    return break_off("headers in a form this client does not read");
  }
  stream& to = at(got.id);
  response_headers headers;
  if (to.id != got.id || !decoder_.decode(got.payload, headers)) return break_off("bad response headers");
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
    if (setting == setting_streams_max) streams_max_ = get_u32(pair + 2);
    if (setting != setting_initial_window) continue;
    int64_t change = static_cast<int64_t>(get_u32(pair + 2)) - stream_window_;
    stream_window_ += change;
    for (uint32_t call : bidirectional_) {
      at(call).send_window += change;
      send_unsent(at(call));
    }
  }
  put_frame_header(0, frame_settings, flag_ack, 0);
}

void h2_connection::on_window_update(const frame& got) {
  if (got.payload.size() != 4) return break_off("a window update in a form this client does not read");
  int64_t more = get_u32(got.payload.data()) & 0x7fffffff;
  if (got.id == 0) {
    send_window_ += more;
    for (uint32_t call : bidirectional_) send_unsent(at(call));
  } else if (stream& to = at(got.id); to.id == got.id) {
    to.send_window += more;
    send_unsent(to);
  }
}

void h2_connection::end(stream& ended, call_sink& sink) {
  std::erase(bidirectional_, ended.id);
  ended.id = 0;
  ended.unsent.clear();
  --open_;
  byte_span response = as_bytes(ended.response);
  bool framed = response.size() >= grpc_prefix_bytes;
  sink.done(
      {ended.tag, ended.grpc_status, framed ? response.subspan(grpc_prefix_bytes) : byte_span(), ended.status_message});
}

}  // namespace weir
