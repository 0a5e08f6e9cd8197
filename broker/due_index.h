// When something happens to which message of a log: it expires, or it comes due.
//
// Owned by a stream; knows sequences and times only. A heap, 16 bytes a message, at most 24 with what std::vector keeps
// in hand beyond that. A message that left the log otherwise stays until its time or until tidy() meets it.
#pragma once

#include <optional>
#include <vector>

#include "storage/ids.h"
#include "storage/stream_log.h"
#include "storage/time.h"

namespace weir {

class due_index {
 public:
  struct item {
    wall_ms at;
    seq_no seq;
  };

  size_t size() const { return heap_.size(); }
  bool empty() const { return heap_.empty(); }
  void clear() { heap_ = {}; }
  void add(seq_no seq, wall_ms at);
  // The earliest of a message that is live; by time, then by sequence.
  std::optional<item> next(const stream_log& log);
  // Takes out what next() shows. / One of them, wherever it is: takes long.
  void pop();
  void drop(seq_no seq);
  // Drops what is not live once it is more than the rest.
  void tidy(const stream_log& log);

  // In no order.
  const std::vector<item>& items() const { return heap_; }

 private:
  std::vector<item> heap_;
};

}  // namespace weir
