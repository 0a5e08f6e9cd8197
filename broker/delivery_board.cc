#include "broker/delivery_board.h"

#include <utility>

namespace weir {

void delivery_board::get_in_line(stream& in, consumer& at, waiter& who, bool in_front) {
  if (at.waiting.empty()) {
    at.awaiting_at = in.awaiting.size();
    in.awaiting.push_back(&at);
  }
  who.in_line = true;
  who.place = at.waiting.insert(in_front ? at.waiting.begin() : at.waiting.end(), &who);
  // What is appended and not visible yet was appended before anybody waited.
  const seq_no last = in.log().stats().last;
  if (in.log().last_visible() < last) expect(in, at, last);
}

void delivery_board::leave_line(consumer& at, waiter& who) {
  if (!who.in_line) return;
  who.in_line = false;
  at.waiting.erase(who.place);
  if (!at.waiting.empty()) return;
  std::vector<consumer*>& awaiting = at.in->awaiting;
  awaiting[at.awaiting_at] = awaiting.back();
  awaiting[at.awaiting_at]->awaiting_at = at.awaiting_at;
  awaiting.pop_back();
}

void delivery_board::resume_later(consumer& at, waiter& who) {
  if (!who.in_line) return;
  leave_line(at, who);
  resumed_.push_back(who.caller);
}

void delivery_board::stir(consumer& at) {
  if (at.stirred || at.waiting.empty()) return;
  at.stirred = true;
  stirred_.push_back({local_ref<stream>(at.in), local_ref<consumer>(&at)});
}

void consumer::stir() {
  if (board != nullptr && !waiting.empty()) board->stir(*this);
}

void delivery_board::expect(stream& in, consumer& at, seq_no seq) {
  at.expected = seq;
  if (std::exchange(at.expecting, true)) return;
  expecting_.push_back({local_ref<stream>(&in), local_ref<consumer>(&at)});
}

void delivery_board::appended(stream& in, std::string_view subject, seq_no seq) {
  const bool visible = in.log().last_visible() >= seq;
  for (consumer* at : in.awaiting) {
    const bool concerns = at->expecting || at->filter()->matches_all() || at->filter()->matches(subject);
    if (!concerns) continue;
    if (visible) {
      stir(*at);
    } else {
      expect(in, *at, seq);
    }
  }
}

void delivery_board::on_visible() {
  std::erase_if(expecting_, [this](const place& one) {
    consumer& at = *one.at;
    if (!one.gone() && !at.waiting.empty()) {
      const seq_no visible = one.in->log().last_visible();
      if (at.next() <= visible) stir(at);
      if (visible < at.expected) return false;
    }
    at.expecting = false;
    return true;
  });
}

void delivery_board::stir_all(stream& in) {
  for (consumer* at : in.awaiting) stir(*at);
}

void delivery_board::wake_first(const place& where) {
  consumer& at = *where.at;
  at.stirred = false;
  if (at.waiting.empty() || where.gone() || !at.may_deliver(where.in->log().last_visible())) return;
  waiter& first = *at.waiting.front();
  leave_line(at, first);
  first.caller.resume();
}

void delivery_board::serve() {
  if (serving_) return;
  serving_ = true;
  while (!stirred_.empty() || !resumed_.empty()) {
    if (!resumed_.empty()) {
      const std::coroutine_handle<> next = resumed_.front();
      resumed_.pop_front();
      next.resume();
      continue;
    }
    const place next = std::move(stirred_.front());
    stirred_.pop_front();
    wake_first(next);
  }
  serving_ = false;
}

}  // namespace weir
