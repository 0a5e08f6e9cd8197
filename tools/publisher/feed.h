// What is sent next, and when: the source's payloads at the wanted rate, until the source, the count or the time is
// used up.
//
// One owner, one thread; borrows options and source. Times are nanoseconds of the monotonic clock (now_ns).
#pragma once

#include <cstdint>
#include <string>

#include "tools/publisher/options.h"
#include "tools/publisher/source.h"

namespace weir {

struct fed_message {
  uint64_t number = 0;  // from 0
  uint64_t due_ns = 0;  // when it should have been sent; latency counts from here
};

class message_feed {
 public:
  message_feed(const publisher_options& options, payload_source& source);

  void begin(uint64_t at_ns);
  // Ends the feeding when its bounds are reached; to be called while nothing can be sent, too.
  void end_if_over(uint64_t at_ns);
  // Replaces `payload` and says which message it is; false: none now, or none any more.
  bool next(uint64_t at_ns, std::string& payload, fed_message& out);
  // When next() may have a message; at_ns or earlier: now.
  uint64_t again_ns(uint64_t at_ns) const;

  // There may be more messages. False after stop() too.
  bool feeding() const { return feeding_; }
  void stop() { feeding_ = false; }
  // The time is up: nothing is sent any more, repeated neither.
  bool time_is_up(uint64_t at_ns) const { return at_ns >= ends_ns_; }

  uint64_t fed() const { return fed_; }
  // Of a paced feed: due before its end and never fed.
  uint64_t overdue() const { return overdue_; }
  // Why the source failed; empty if it did not.
  const std::string& failure() const;
  std::string name_of(uint64_t number) const { return source_.name_of(number); }

  // When message `number`, sent at `sent_ns`, should have been sent, and how far apart two such times are.
  uint64_t due_ns(uint64_t number, uint64_t sent_ns) const;
  double step_ns() const { return step_ns_; }

  void make_subject(uint64_t number, std::string& subject) const;
  // Every message has the same subject.
  bool has_one_subject() const { return placeholder_ == std::string::npos; }

 private:
  const publisher_options& options_;
  payload_source& source_;
  size_t placeholder_;  // of `{n}` in the subject, npos if there is none
  double step_ns_;      // 0: full speed
  uint64_t begun_ns_ = 0;
  uint64_t ends_ns_ = UINT64_MAX;
  uint64_t source_again_ns_ = 0;
  uint64_t fed_ = 0;
  uint64_t overdue_ = 0;
  bool feeding_ = true;
  bool source_failed_ = false;
};

}  // namespace weir
