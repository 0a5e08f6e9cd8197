// One connection on which messages are consumed and acknowledged, for several streams by one consumer name: by the fast
// lane's Consume, or by Fetch and AckMany.
//
// One thread. What came is told to a delivery_match, which is borrowed. A link that fails says why and does nothing
// more.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/load/h2_turn.h"
#include "tools/publisher/delivery_match.h"

namespace weir {

class consumer_link : protected call_sink {
 public:
  struct place {
    size_t stream;  // number of the stream in the run
    std::string name;
    bool alone;  // nobody else takes from this consumer of this stream
  };

  consumer_link(std::unique_ptr<h2_connection> over, delivery_match& match) : over_(std::move(over)), match_(match) {}
  virtual ~consumer_link() = default;
  consumer_link(const consumer_link&) = delete;
  consumer_link& operator=(const consumer_link&) = delete;

  virtual void begin() = 0;
  // After every turn of the connection: acknowledges what came.
  virtual void work() = 0;
  // Nothing that came waits for its acknowledgement, or for the answer to it.
  virtual bool settled() const = 0;

  h2_peer peer() { return {over_.get(), this}; }
  const std::string& failure() const { return failure_; }

 protected:
  struct taken {
    uint64_t messages = 0;
    uint64_t confirmed = 0;  // ConsumeBatch only
  };
  // Of a FetchResponse or a ConsumeBatch: appends the sequences of the messages to `seqs`.
  taken take(const place& of, byte_span answer, std::vector<uint64_t>& seqs);
  void fail_with(const std::string& why);
  void broken(const std::string& why) override { fail_with(why); }
  // False, and a failure: the call did not end well.
  bool is_ok(const call_answer& answer);

  h2_connection& over() { return *over_; }

 private:
  std::unique_ptr<h2_connection> over_;
  delivery_match& match_;
  std::string failure_;
};

std::unique_ptr<consumer_link> make_lane_consumer(std::unique_ptr<h2_connection> over, delivery_match& match,
                                                  const std::string& consumer,
                                                  const std::vector<consumer_link::place>& places);
std::unique_ptr<consumer_link> make_fetch_consumer(std::unique_ptr<h2_connection> over, delivery_match& match,
                                                   const std::string& consumer,
                                                   const std::vector<consumer_link::place>& places);

}  // namespace weir
