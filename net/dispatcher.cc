#include "net/dispatcher.h"

#include "net/call.h"
#include "storage/check.h"

namespace weir {

dispatcher::dispatcher(reactor& home, rpc_server& server, const dispatcher_limits& limits)
    : home_(home), server_(server), limits_(limits) {
  for (const method_row& row : method_table()) {
    bool added = methods_.emplace(row.path, method_entry{&row, nullptr, nullptr}).second;
    WEIR_CHECK(added);
  }
}

dispatcher::~dispatcher() {
  WEIR_CHECK(metrics_.live == 0);
}

method_entry& dispatcher::row_to_implement(std::string_view path) {
  auto found = methods_.find(path);
  WEIR_CHECK(found != methods_.end());
  WEIR_CHECK(!found->second.implemented());
  return found->second;
}

void dispatcher::implement(std::string_view path, unary_handler handler) {
  method_entry& entry = row_to_implement(path);
  WEIR_CHECK(entry.row->shape == call_shape::unary);
  entry.unary = std::move(handler);
}

void dispatcher::implement_stream(std::string_view path, stream_handler handler) {
  method_entry& entry = row_to_implement(path);
  WEIR_CHECK(entry.row->shape != call_shape::unary);
  entry.stream = std::move(handler);
}

void dispatcher::start() {
  for (unsigned n = 0; n < limits_.requests_outstanding; ++n) request_call();
}

void dispatcher::request_call() {
  if (idle_.empty()) {
    auto made = std::make_unique<call>(*this);
    call* fresh = made.get();
    calls_.emplace(fresh, std::move(made));
    idle_.push_back(fresh);
  }
  call* next = idle_.back();
  idle_.pop_back();
  next->request();
}

void dispatcher::recycle(call& finished) {
  if (idle_.size() < limits_.idle_calls_max) {
    finished.reset();
    idle_.push_back(&finished);
  } else {
    calls_.erase(&finished);
  }
}

void dispatcher::stop() {
  stopping_ = true;
  // A handler that ends takes itself out of the set.
  std::vector<call*> open(told_of_stop_.begin(), told_of_stop_.end());
  for (call* one : open) {
    if (told_of_stop_.contains(one)) one->tell_stop();
  }
}

void dispatcher::cut_stalled() {
  for (auto& [one, owned] : calls_) one->cut_if_stalled();
}

}  // namespace weir
