// Requests of this interface that have no meaning yet: they answer unimplemented and change nothing.
#include "broker/shard_impl.h"

namespace weir {
namespace {

error not_yet(const char* what) {
  return fail(errc::unimplemented, std::string("not in this version: ") + what);
}

}  // namespace

task<result<consumer_info>> shard_impl::update_consumer(consumer_update) {
  co_return not_yet("update_consumer");
}

task<result<void>> shard_impl::pause_consumer(std::string, std::string, wall_ms) {
  co_return not_yet("pause_consumer");
}

task<result<void>> shard_impl::reset_consumer(std::string, std::string, reset_target) {
  co_return not_yet("reset_consumer");
}

task<result<parked_page>> shard_impl::list_parked(std::string, std::string, seq_no, uint32_t) {
  co_return not_yet("list_parked");
}

task<result<uint64_t>> shard_impl::requeue_parked(std::string, std::string, std::vector<seq_no>) {
  co_return not_yet("requeue_parked");
}

task<result<uint64_t>> shard_impl::purge_parked(std::string, std::string, std::vector<seq_no>) {
  co_return not_yet("purge_parked");
}

}  // namespace weir
