// The run loop: sends what is due, takes answers, shows progress, until the source, the count or the time is used up.
#pragma once

#include <atomic>
#include <queue>

#include "storage/result.h"
#include "tools/publisher/connections.h"
#include "tools/publisher/options.h"
#include "tools/publisher/source.h"
#include "tools/publisher/totals.h"

namespace weir {

// Creates the stream if it is missing and may be created. Fails with what the broker said, in words.
result<void> prepare_stream(connections& broker, const publisher_options& options);

// One run. Owned by main, one thread; borrows everything it is given. `interrupt` ends it early: what was sent is still
// waited for.
class publish_run {
 public:
  publish_run(const publisher_options& options, connections& broker, payload_source& source,
              const std::atomic<bool>& interrupt);

  run_totals go();

 private:
  void send_due();
  void end_if_over();
  bool may_send();
  bool fill_and_start();
  void take_answers();
  void take(publish_call& call, steady_time now);
  void count_failure(publish_call& call, const std::string& code, const std::string& text);
  void retry_due(steady_time now);
  void stop_feeding() { feeding_ = false; }
  void abort(std::string why);
  void wait_for_answers();
  void make_subject(std::string& subject) const;
  steady_time wake_at(steady_time now) const;
  void show_progress(steady_time now);

  struct delayed {
    steady_time at;
    publish_call* call;
    bool operator<(const delayed& other) const { return at > other.at; }  // the earliest on top of the queue
  };

  const publisher_options& options_;
  connections& broker_;
  payload_source& source_;
  const std::atomic<bool>& interrupt_;
  run_totals totals_;
  std::priority_queue<delayed> retries_;
  steady_time started_;
  steady_time ends_;
  steady_time next_due_;
  steady_time source_again_;
  bool feeding_ = true;   // there are more messages to send
  bool aborted_ = false;  // nothing is sent any more, retries neither
  steady_time last_answer_;
  size_t placeholder_;  // of `{n}` in the subject, npos if there is none

  bool progress_ = false;
  steady_time progress_at_;
  uint64_t progress_acked_ = 0;
  uint64_t progress_bytes_ = 0;
};

}  // namespace weir
