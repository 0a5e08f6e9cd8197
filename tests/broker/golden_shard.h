// The golden data directory of a whole shard, format v1: how it is filled, moved between disk and checkout, and shown.
//
// tests/golden/broker-v1/shard-0 is what a shard left behind when its process was killed; it must open for ever, and
// tests/golden/broker-v1/expected.txt is what describe() says of it then. make_golden_shard made it, once.
#pragma once

#include <string>

#include "tests/sim/sim_shard.h"

namespace weir {

// What a golden directory is made with never fails.
template <class T>
T must(result<T> outcome) {
  WEIR_CHECK(outcome);
  if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

// The sizes the directory was made with; before open().
void set_golden_sizes(sim_shard& world);
void fill_golden(sim_shard& world);
// Every stream with its config, stats, messages and consumers, as text.
std::string describe(sim_shard& world);

// Everything below the simulated disk's root into a real directory, and back.
void write_out(disk& from, const std::string& path, const std::string& real_dir);
void read_in(disk& to, const std::string& path, const std::string& real_dir);

}  // namespace weir
