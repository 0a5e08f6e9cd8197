// Publishes over the fast lane (weir.v1.Broker.Publish) as fast as the server answers, with a client that costs little:
// frames are made once and renewed in place, answers are counted.
//
// One thread, the calling one; several connections, each with one call open and frames of its own. A frame that is
// refused ends the program.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/load/h2_connection.h"

namespace weir {

class lane_load final : private call_sink {
 public:
  struct settings {
    unsigned connections = 1;
    size_t records = 256;  // a frame
    size_t payload_bytes = 128;
    size_t frames_max = 64;  // of a connection, sent and not answered
    // Of a frame of a connection, and of a message: names of the same length each time.
    std::function<std::string(unsigned connection, uint64_t frame)> stream;
    std::function<void(uint64_t message, std::string& subject)> subject;
  };
  lane_load(const std::string& target, settings wanted);

  // Sends `messages` more, or a frame less than that too many, and returns when all of them are answered: the seconds.
  double publish(uint64_t messages);

 private:
  struct link {
    std::unique_ptr<h2_connection> connection;
    uint32_t call = 0;
    uint64_t sent = 0;      // frames
    uint64_t answered = 0;  // of them
    std::string stream;     // of the frame before
  };

  void streamed(uint64_t tag, byte_span message) override;
  void done(const call_answer& answer) override;
  void make_records();
  void send_frame(link& to, unsigned number);
  void receive();
  bool all_answered() const;

  const settings settings_;
  std::vector<link> links_;
  std::string records_;           // of one frame
  std::vector<size_t> subjects_;  // where in it
  std::string subject_;
  std::string frame_;
  uint64_t messages_ = 0;
};

}  // namespace weir
