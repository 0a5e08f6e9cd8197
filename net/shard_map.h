// shard_map: which shard has a stream, and on which reactor it lives.
//
// Made by main before anything runs, the same everywhere, constant afterwards: read by all reactors.
//
//   auto look = [&](shard& there) { return there.get_stream(name); };
//   auto found = co_await shards.ask(here, name, look);
#pragma once

#include <string_view>
#include <vector>

#include "broker/shard.h"
#include "net/cross.h"

namespace weir {

struct shard_place {
  reactor* home = nullptr;
  shard* owner = nullptr;
};

class shard_map {
 public:
  explicit shard_map(std::vector<shard_place> places) : places_(std::move(places)) {}
  shard_map(const shard_map&) = delete;

  const shard_place& of(std::string_view stream) const {
    return places_[shard_of(stream, static_cast<uint32_t>(places_.size()))];
  }
  const std::vector<shard_place>& all() const { return places_; }

  // Runs make(shard) -> task<Value> where the stream lives and resumes on `here`.
  template <class Make>
  auto ask(reactor& here, std::string_view stream, Make& make) const {
    return ask_at(here, of(stream), make);
  }
  // At home, the usual case, without the frames of a crossing.
  template <class Make, class Value = typename detail::task_value<std::invoke_result_t<Make&, shard&>>::type>
  static task<Value> ask_at(reactor& here, const shard_place& where, Make& make) {
    if (where.home == &here) return make(*where.owner);
    return cross_to<Make, Value>(here, where, make);
  }

 private:
  template <class Make, class Value>
  static task<Value> cross_to(reactor& here, const shard_place& where, Make& make) {
    auto bound = [&make, &where] { return make(*where.owner); };
    Value value = co_await run_there(here, *where.home, bound);
    co_return value;
  }

  std::vector<shard_place> places_;
};

}  // namespace weir
