// The golden data directory of format v1: how it was made and what it must show, for the generator and for the test.
//
// tests/golden/v1/shard is a store's directory and must open for ever; tests/golden/v1/expected.txt is what dump() says
// of it. The client's state below is part of it: never change how it is read.
#pragma once

#include <map>
#include <string>

#include "storage/store.h"
#include "tests/sim/inline_lane.h"
#include "tests/sim/manual_clock.h"

namespace weir::golden {

// State: lines "stream <id> <block records> <label>" and "note <text>".
class client final : public store_client {
 public:
  void attach(store& opening) override { store_ = &opening; }
  std::string encode_state() override;
  result<void> load_state(byte_span state) override;
  result<void> apply(stream_id stream, byte_span entry) override;
  result<void> adopt(stream_id stream, byte_span label) override;

  std::map<stream_id, log_options> streams;
  std::string notes;  // one a line

 private:
  void take(const std::string& line, bool make_log);

  store* store_ = nullptr;
};

store_config config();

// Everything a store shows, as text: per stream its numbers, its subjects, its messages with every field.
std::string dump(store& from, const client& state);

// The lanes do their work at once, so the task has ended when this returns.
result<void> run(task<result<void>> work);

}  // namespace weir::golden
