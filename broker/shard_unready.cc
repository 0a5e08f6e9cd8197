// Requests of this interface that have no meaning yet: they answer unimplemented and change nothing.
#include "broker/shard_impl.h"

namespace weir {
namespace {

error not_yet(const char* what) {
  return fail(errc::unimplemented, std::string("not in this version: ") + what);
}

}  // namespace

task<result<seq_no>> shard_impl::publish_all(std::vector<publish_request>) {
  co_return not_yet("publish_all");
}

}  // namespace weir
