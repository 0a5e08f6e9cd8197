// A gRPC client's side of one HTTP/2 connection, for benchmarks: unary, server-streaming and bidirectional calls over
// one blocking TCP socket.
//
// Why not gRPC's own client: it takes more processor time a call than the server under test, so on a machine that both
// share it would measure itself. This one costs a few microseconds a call. Clear text only; no Huffman, no
// CONTINUATION, no push: gRPC's server sends none of them.
//
// One thread. Anything the peer does wrong ends the program (stop_bench).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/bytes.h"
#include "tools/load/hpack.h"

namespace weir {

// How a call ended: its gRPC status, the response message (without gRPC's frame) and the status text. The bytes are
// valid during the call of done() only.
struct call_answer {
  uint64_t tag;
  int grpc_status;
  byte_span response;
  std::string_view status_message;
};

class call_sink {
 public:
  virtual void done(const call_answer& answer) = 0;
  // The next message of a call begun with start_streaming(); valid during the call.
  virtual void streamed(uint64_t tag, byte_span message);

 protected:
  ~call_sink() = default;
};

class h2_connection {
 public:
  static constexpr size_t calls_max_usual = 1u << 13;
  // HOST:PORT, numeric. Connects and sends the HTTP/2 preface. With few calls at a time it takes little memory.
  explicit h2_connection(const std::string& target, size_t calls_max = calls_max_usual);
  ~h2_connection();
  h2_connection(const h2_connection&) = delete;

  // Puts a call into the output; false if flow control, or the peer's limit of open calls, does not allow it before
  // more was received.
  bool start(std::string_view path, byte_span message, uint64_t tag);
  // The same for a call whose answers come one by one; done() ends it, without a response.
  bool start_streaming(std::string_view path, byte_span message, uint64_t tag);
  // The same for a call whose requests come one by one too; returns its number for send(), 0 if it cannot be started
  // now. The call stays open: the client ends it by going away.
  uint32_t start_bidirectional(std::string_view path, uint64_t tag);
  // The next request of such a call. What flow control does not let out waits here.
  void send(uint32_t call, byte_span message);
  size_t unsent(uint32_t call) { return at(call).unsent.size(); }
  // Writes the output, all of it.
  void flush();
  // Waits for one read's worth of bytes and tells the sink of every call that ended in it, who may start() new ones.
  void receive(call_sink& sink);

  int descriptor() const { return socket_; }
  size_t open_calls() const { return open_; }

 private:
  struct stream {
    uint32_t id = 0;  // 0: free
    uint64_t tag = 0;
    int grpc_status = -1;
    bool streaming = false;
    size_t unacknowledged = 0;  // received data not given back to the stream's window; streaming only
    int64_t send_window = 0;    // bidirectional only
    std::string unsent;         // the same
    std::string response;       // of a streaming call: a message whose end has not come
    std::string status_message;
  };
  struct frame {
    uint8_t type;
    uint8_t flags;
    uint32_t id;
    byte_span payload;
  };

  stream& at(uint32_t id);
  stream* open_stream(std::string_view path, uint64_t tag, size_t body_bytes);
  void send_waiting(stream& to);
  void widen(uint32_t id, uint32_t bytes);
  void put_frame_header(size_t size, uint8_t type, uint8_t flags, uint32_t id);
  void put_u32(uint32_t value);
  bool take_frame(size_t& offset, frame& out) const;
  void handle(const frame& got, call_sink& sink);
  void on_data(const frame& got, call_sink& sink);
  void take_messages(stream& to, byte_span received, call_sink& sink);
  void open_window(uint32_t id, size_t& unacknowledged);
  void on_headers(const frame& got, call_sink& sink);
  void on_settings(const frame& got);
  void end(stream& ended, call_sink& sink);

  const std::string authority_;
  int socket_ = -1;
  hpack_encoder encoder_;
  hpack_decoder decoder_;
  std::string output_;
  std::vector<uint8_t> input_;
  size_t input_size_ = 0;
  std::vector<stream> streams_;  // by id; a ring
  std::vector<uint32_t> bidirectional_;
  uint32_t next_id_ = 1;
  size_t open_ = 0;
  int64_t send_window_ = 65535;
  int64_t stream_window_ = 65535;
  size_t streams_max_ = SIZE_MAX;
  size_t unacknowledged_ = 0;  // received data not given back to the peer's window
  std::string block_;          // the last request's headers, good for the next of the same path
  std::string block_path_;
  uint32_t block_inserted_ = 0;
};

}  // namespace weir
