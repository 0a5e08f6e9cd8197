// Who of a shard waits for messages, and who has to look again: the one place that wakes.
//
// Owned by the shard, on its thread. Nothing is resumed from inside whatever made a message deliverable: that only
// stirs the consumer, and serve(), at the end of the turn, resumes the first of those who wait for it; who finds
// something and leaves others waiting stirs again. So a thousand acknowledgements in a turn wake once, and a publish to
// a stream where nobody waits costs one look at an empty list.
#pragma once

#include <coroutine>
#include <deque>
#include <list>
#include <string_view>
#include <vector>

#include "broker/stream.h"

namespace weir {

// One coroutine that waits for messages of a consumer.
struct waiter {
  std::coroutine_handle<> caller;
  bool in_line = false;  // in consumer::waiting
  std::list<waiter*>::iterator place;
};

class delivery_board {
 public:
  // A place in the line of those who wait: at its end, or at its front for one that was woken in vain.
  void get_in_line(stream& in, consumer& at, waiter& who, bool in_front);
  void leave_line(consumer& at, waiter& who);
  // Resumed by the next serve(). Leaves the line.
  void resume_later(consumer& at, waiter& who);

  // Something of the consumer may be deliverable.
  void stir(consumer& at);
  // A message was appended to a stream with stream::awaiting.
  void appended(stream& in, std::string_view subject, seq_no seq);
  // Messages became visible.
  void on_visible();
  // Looks at all of the stream's who wait: what they skip moves their cursor.
  void stir_all(stream& in);
  // End of turn.
  void serve();

 private:
  struct place {
    local_ref<stream> in;
    local_ref<consumer> at;
    bool gone() const { return in->deleted || at->deleted; }
  };
  void expect(stream& in, consumer& at, seq_no seq);
  void wake_first(const place& where);

  std::deque<place> stirred_;
  std::vector<place> expecting_;
  std::deque<std::coroutine_handle<>> resumed_;
  bool serving_ = false;
};

}  // namespace weir
