// One process of a comparison: it creates the stream, publishes over several connections, or consumes over several.
// What differs between systems is behind versus_system; options, start signal, clock, checks and report are here.
//
// Talks to tools/versus/run: it prints "ready" when it is connected, begins at the line "go" on standard input, prints
// one JSON object and exits 0. A consumer is told what was published by a line "sent N0 N1 ..." (messages of publisher
// 0, 1, ...) and ends when it has as many; whether it has the right ones is in its report. Any failure ends the program
// with a reason on standard error and code 1. Code 3 and {"unavailable": reason}: the server does not have this.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "storage/bytes.h"
#include "tools/histogram.h"
#include "tools/versus/ledger.h"
#include "tools/versus/stamp.h"

namespace weir {

struct versus_options {
  std::string role;    // create, publish, consume
  std::string server;  // HOST:PORT
  std::string path;    // which way, where a system has several
  std::string stream = "versus";
  std::string consumer = "versus";
  uint64_t connections = 1;
  uint64_t size = 128;        // payload bytes
  uint64_t batch = 1;         // messages a frame, where frames are the publisher's choice
  uint64_t pull = 512;        // messages a consumer asks for at a time
  uint64_t in_flight = 4096;  // messages sent and not acknowledged, all connections together
  double seconds = 1;         // of publishing
  double rate = 0;            // messages a second, all connections together; 0: as fast as it goes
  uint64_t count_max = 0;     // publish no more than that, all connections together; 0: no bound

  // Of all messages, where there are subjects.
  std::string subject() const { return stream + ".a"; }
};

// Ends the program: the server cannot do what was asked for.
[[noreturn]] void stop_unavailable(const std::string& reason);

// One connection's part of publishing. Used by one thread, or under a lock of its user.
class publish_share {
 public:
  publish_share(const versus_options& options, uint32_t publisher);
  void begin(uint64_t at_ns);

  // Nothing more is to be sent. A paced share sends everything that was due, unless that takes twice the time.
  bool over(uint64_t at_ns) const { return at_ns >= ends_ns_ || sent_ >= count_max_; }
  bool paced() const { return step_ns_ != 0; }
  // How many messages are due and not sent; not paced: as many as there is room for.
  uint64_t due(uint64_t at_ns) const;
  // When the next message is to be sent; not paced: at once.
  uint64_t next_due_ns() const { return paced() ? due_ns(sent_, 0) : 0; }
  // When message `number` should have been sent, from which its latency counts; not paced: when it was.
  uint64_t due_ns(uint64_t number, uint64_t sent_ns) const;
  size_t payload_bytes() const { return stamper_.payload_bytes(); }
  // Messages this connection may have in flight.
  uint64_t window() const { return window_; }
  // Writes the next payload; returns the time in its stamp, when it should have been sent.
  uint64_t next(uint8_t* payload, uint64_t at_ns);
  // The same over an earlier payload of this share.
  uint64_t renew(uint8_t* payload, uint64_t at_ns);
  void acked(uint64_t sent_ns, uint64_t at_ns, uint64_t count = 1);

  uint64_t sent() const { return sent_; }
  uint64_t acknowledged() const { return latency_ns_.count(); }
  uint64_t in_flight() const { return sent_ - acknowledged(); }
  uint64_t ended_ns() const { return ended_ns_; }
  const histogram& latency_ns() const { return latency_ns_; }

 private:
  stamper stamper_;
  uint64_t window_;
  uint64_t count_max_;
  uint64_t duration_ns_;
  double step_ns_ = 0;  // between two messages of a paced share; 0: not paced
  uint64_t begun_ns_ = 0;
  uint64_t ends_ns_ = 0;
  uint64_t ended_ns_ = 0;
  uint64_t sent_ = 0;
  histogram latency_ns_;
};

// How far all connections of a consumer are together.
struct consume_progress {
  std::atomic<uint64_t> received{0};
  std::atomic<uint64_t> wanted{UINT64_MAX};  // known when publishing has ended
};

// One connection's part of consuming; one thread.
class consume_share {
 public:
  explicit consume_share(consume_progress& all) : all_(all) {}

  // One message: checks it and counts it. A damaged one ends the program.
  void take(byte_span payload, uint64_t at_ns);
  // What was taken so far becomes part of the progress.
  void tell();
  // The server has taken note of the acknowledgements.
  void acked(uint64_t at_ns) { ended_ns_ = at_ns; }
  // All messages came, to this connection or others.
  bool over() const { return all_.received.load() >= all_.wanted.load(); }

  uint64_t ended_ns() const { return ended_ns_; }
  const ledger& seen() const { return seen_; }
  const histogram& latency_ns() const { return latency_ns_; }

 private:
  consume_progress& all_;
  uint64_t told_ = 0;
  uint64_t ended_ns_ = 0;
  ledger seen_;
  histogram latency_ns_;
};

// A connection that publishes. Connected when it exists; run() is called once, on a thread of its own.
class publisher_link {
 public:
  virtual ~publisher_link() = default;
  // Sends until the share is over, and returns when everything sent is acknowledged.
  virtual void run(publish_share& share) = 0;
};

// The same for consuming. A wait for messages is short, so that it ends soon after the share is over.
class consumer_link {
 public:
  virtual ~consumer_link() = default;
  // Takes and acknowledges until the share is over; then its own acknowledgements are sent, and where the server
  // answers them, answered.
  virtual void run(consume_share& share) = 0;
};

// For who has nothing else to wait for.
void sleep_until(uint64_t at_ns);

// How long a consumer waits for messages before it looks whether it is over.
inline constexpr unsigned wait_ms_max = 200;
// Long enough that nothing comes twice, however slow the machine.
inline constexpr uint64_t ack_wait_ms = 3'600'000;
// Messages delivered and not acknowledged, where a system wants a bound: what weir has by default.
inline constexpr uint64_t pending_max = 1'000'000;

class versus_system {
 public:
  virtual ~versus_system() = default;
  virtual void create_stream() = 0;
  virtual void create_consumer() = 0;
  virtual std::unique_ptr<publisher_link> publisher() = 0;
  virtual std::unique_ptr<consumer_link> consumer(unsigned connection) = 0;
  // Where acknowledgements are not answered: returns when the server says that none is missing. True if it did.
  virtual bool settle() = 0;
};

using make_system = std::unique_ptr<versus_system> (*)(const versus_options& options);

int versus_main(int argc, char** argv, make_system make);

}  // namespace weir
