// The messages of a feed as records of a frame, one at a time: the next one stays until it is taken, so that it may
// wait for another frame.
//
// One owner, one thread; borrows options and feed.
#pragma once

#include <cstdint>
#include <string>

#include "tools/publisher/feed.h"
#include "tools/publisher/options.h"

namespace weir {

struct frame_record {
  std::string bytes;  // as they stand in a frame
  fed_message fed;
  uint32_t size = 0;  // of its payload
  uint64_t hash = 0;  // likewise; for --verify only
};

class record_source {
 public:
  record_source(const publisher_options& options, message_feed& feed) : options_(options), feed_(feed) {}

  // The next record, null if none is due.
  const frame_record* look(uint64_t at_ns);
  // The one that look() returned is used.
  void take() { held_ = false; }
  // One was looked at and not taken.
  bool holds() const { return held_; }
  const frame_record& held() const { return record_; }

 private:
  const publisher_options& options_;
  message_feed& feed_;
  std::string subject_field_;
  std::string payload_;
  frame_record record_;
  bool held_ = false;
};

}  // namespace weir
