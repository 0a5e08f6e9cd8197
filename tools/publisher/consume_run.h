// The consumer beside the publishers: takes and acknowledges on a thread of its own, until everything that was
// acknowledged to the publishers has come.
//
// Made, finished and destroyed by main; borrows match, which outlives it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "storage/result.h"
#include "tools/publisher/consumer_link.h"
#include "tools/publisher/delivery_match.h"
#include "tools/publisher/options.h"

namespace weir {

class consume_run {
 public:
  // As many connections as the publishers have, or more if there are many streams. Fails with unavailable.
  static result<std::unique_ptr<consume_run>> start(const publisher_options& options, const std::string& consumer,
                                                    delivery_match& match);
  ~consume_run();
  consume_run(const consume_run&) = delete;
  consume_run& operator=(const consume_run&) = delete;

  // Publishing has ended. Returns when everything came and is acknowledged, or nothing came for `patience_ns`, or
  // `hurry` was set and nothing came for a while; why it ended early, empty if it did not.
  std::string finish(uint64_t patience_ns, const std::atomic<bool>& hurry);

 private:
  explicit consume_run(delivery_match& match) : match_(match) {}
  void loop();
  bool is_over(uint64_t at_ns, uint64_t changed_ns);

  delivery_match& match_;
  std::vector<std::unique_ptr<consumer_link>> links_;
  std::atomic<bool> ending_{false};
  std::atomic<uint64_t> patience_ns_{0};
  const std::atomic<bool>* hurry_ = nullptr;  // set before ending_
  std::string failure_;                       // of the thread; read when it has ended
  std::thread thread_;
};

}  // namespace weir
