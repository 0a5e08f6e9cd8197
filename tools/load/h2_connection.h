// A gRPC client's side of one HTTP/2 connection, for loads and benchmarks: unary and streaming calls over one TCP
// socket.
//
// Why not gRPC's own client: it takes more processor time a call than the server under test, so on a machine that both
// share it would measure itself; and its timers are milliseconds. This one costs a few microseconds a call. Clear text
// only; no Huffman, no CONTINUATION, no push: gRPC's server sends none of them.
//
// One thread. When the peer closes the connection or does anything wrong, the sink is told once, by broken(), and the
// connection is of no use any more.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/bytes.h"
#include "storage/result.h"
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
  // The next message of a streaming call; valid during the call.
  virtual void streamed(uint64_t tag, byte_span message);
  // No call is answered any more, and why. By default the end of the program (stop_bench).
  virtual void broken(const std::string& why);

 protected:
  ~call_sink() = default;
};

class h2_connection {
 public:
  static constexpr size_t calls_max_usual = 1u << 13;

  // To HOST:PORT. Fails with unavailable.
  static result<std::unique_ptr<h2_connection>> connect(const std::string& target);
  // The same; a failure ends the program. With few calls at a time it takes little memory.
  explicit h2_connection(const std::string& target, size_t calls_max = calls_max_usual);
  ~h2_connection();
  h2_connection(const h2_connection&) = delete;

  // Puts a call into the output; false if flow control, or the peer's limit of open calls, does not allow it before
  // more was received.
  bool start(std::string_view path, byte_span message, uint64_t tag);
  // The same for a call whose answers come one by one; done() ends it, without a response.
  bool start_streaming(std::string_view path, byte_span message, uint64_t tag);
  // The same for a call whose requests come one by one too; returns its number for send(), 0 if it cannot be started
  // now.
  uint32_t start_bidirectional(std::string_view path, uint64_t tag);
  // The next request of such a call. What flow control does not let out waits here, and follows by itself. Of a call
  // that has ended: nothing.
  void send(uint32_t call, byte_span message);
  // Bytes of it that wait here.
  size_t unsent(uint32_t call) const;
  // Nothing follows on this call; nothing of it may be unsent. Without it, it ends when the client goes away.
  void end_sending(uint32_t call);
  // Writes the output, all of it.
  void flush();
  // Waits for one read's worth of bytes and tells the sink of every call that ended in it, who may start() new ones.
  void receive(call_sink& sink);

  // The same without waiting, for who polls several connections (h2_turn).
  void flush_some();
  void receive_here(call_sink& sink);
  bool has_output() const { return !output_.empty() && broken_.empty(); }
  bool is_broken() const { return !broken_.empty(); }
  // Broken, and the next receive tells the sink.
  bool has_bad_news() const { return !broken_.empty() && !told_; }

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

  h2_connection(const std::string& target, int socket, size_t calls_max);
  stream& at(uint32_t id);
  const stream& at(uint32_t id) const;
  stream& begin(std::string_view path, uint64_t tag);
  void put_frame_header(size_t size, uint8_t type, uint8_t flags, uint32_t id);
  void put_u32(uint32_t value);
  size_t put_data(stream& to, std::string_view head, byte_span body);
  void send_unsent(stream& to);
  void write_output(int flags);
  void read_input(int flags, call_sink& sink);
  void break_off(const std::string& why);
  bool take_frame(size_t& offset, frame& out);
  void handle(const frame& got, call_sink& sink);
  void on_data(const frame& got, call_sink& sink);
  void take_messages(stream& to, byte_span received, call_sink& sink);
  void open_window(uint32_t id, size_t& unacknowledged);
  void on_headers(const frame& got, call_sink& sink);
  void on_settings(const frame& got);
  void on_window_update(const frame& got);
  void end(stream& ended, call_sink& sink);

  const std::string authority_;
  int socket_ = -1;
  std::string broken_;      // why it is of no use; told when told_
  std::string going_away_;  // what the peer said before it closes the connection
  bool told_ = false;
  hpack_encoder encoder_;
  hpack_decoder decoder_;
  std::string output_;
  size_t output_sent_ = 0;
  std::vector<uint8_t> input_;
  size_t input_size_ = 0;
  std::vector<stream> streams_;  // by id; a ring
  uint32_t next_id_ = 1;
  size_t open_ = 0;
  int64_t send_window_ = 65535;
  int64_t stream_window_ = 65535;
  size_t streams_max_ = SIZE_MAX;
  size_t unacknowledged_ = 0;            // received data not given back to the peer's window
  std::vector<uint32_t> bidirectional_;  // such calls that have not ended
  std::string block_;                    // the last request's headers, good for the next of the same path
  std::string block_path_;
  uint32_t block_inserted_ = 0;
};

}  // namespace weir
