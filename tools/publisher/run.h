// The run loop of --mode unary: a call a message. Sends what is due, takes answers, until the feed has no more.
#pragma once

#include <atomic>
#include <queue>
#include <string>
#include <vector>

#include "tools/publisher/connections.h"
#include "tools/publisher/delivery_match.h"
#include "tools/publisher/feed.h"
#include "tools/publisher/options.h"
#include "tools/publisher/tally.h"

namespace weir {

// One run. Owned by main, one thread; borrows everything it is given. `interrupt` ends it early: what was sent is still
// waited for. `match` is null without --consume.
class publish_run {
 public:
  publish_run(const publisher_options& options, connections& broker, message_feed& feed, tally& counts,
              delivery_match* match, const std::atomic<bool>& interrupt);

  void go();

 private:
  void send_due();
  bool fill_and_start(uint64_t at_ns);
  void take_answers();
  void take(publish_call& call, uint64_t at_ns);
  void count_failure(publish_call& call, const std::string& code, const std::string& text);
  void retry_due(uint64_t at_ns);
  void abort(std::string why);
  void wait_for_answers();
  uint64_t wake_at(uint64_t at_ns) const;

  struct delayed {
    uint64_t at_ns;
    publish_call* call;
    bool operator<(const delayed& other) const { return at_ns > other.at_ns; }  // the earliest on top of the queue
  };

  const publisher_options& options_;
  connections& broker_;
  message_feed& feed_;
  tally& counts_;
  delivery_match* match_;
  const std::atomic<bool>& interrupt_;
  const std::vector<std::string> streams_;
  std::priority_queue<delayed> retries_;
  bool aborted_ = false;  // nothing is sent any more, retries neither
  uint64_t last_answer_ns_ = 0;
};

}  // namespace weir
