#include "storage/store.h"

#include "storage/store_impl.h"

namespace weir {

// Visibility

void visibility_queue::advance(lsn reached) {
  while (!waiting_.empty() && waiting_.front().end <= reached) {
    if (waiting_.front().log != nullptr) waiting_.front().log->make_visible(waiting_.front().last);
    waiting_.pop_front();
  }
}

void visibility_queue::drop_rest() {
  for (auto each = waiting_.rbegin(); each != waiting_.rend(); ++each) {
    if (each->log != nullptr) each->log->drop_above(each->first.prev());
  }
  waiting_.clear();
}

void visibility_queue::forget(const stored_log* log) {
  for (item& each : waiting_) {
    if (each.log == log) each.log = nullptr;
  }
}

// Opening

result<std::unique_ptr<store>> store::open(disk& where, lane& commits, lane& pool, clock_port& clock, std::string dir,
                                           const store_config& config, store_client& client) {
  auto made = std::make_unique<store_impl>(where, pool, std::move(dir), config, client);
  auto recovered = made->recover(commits, clock);
  if (!recovered) return recovered.err();
  return std::unique_ptr<store>(std::move(made));
}

store_impl::store_impl(disk& where, lane& pool, std::string dir, const store_config& config, store_client& client)
    : config_(config), client_(client), host_(where, pool, std::move(dir), config.cache_bytes_max) {}

// Logs

lsn store_impl::append_state(stream_id stream, byte_span entry) {
  journal::reserved room = journal_->reserve(entry_kind::state, stream, entry.size());
  if (!entry.empty()) std::memcpy(room.payload, entry.data(), entry.size());
  return journal_->seal();
}

stream_log& store_impl::create_log(stream_id stream, const log_options& options) {
  log_ref& place = logs_[stream];
  // Recovery may meet the creation of a stream whose blocks were found already.
  WEIR_CHECK(!place || recovering_);
  if (place) {
    place->reconfigure(options);
  } else {
    place = std::make_shared<stored_log>(host_, stream, options);
  }
  return *place;
}

void store_impl::drop_log(stream_id stream) {
  auto found = logs_.find(stream);
  if (found == logs_.end()) return;
  host_.durable_next.forget(found->second.get());
  host_.written_next.forget(found->second.get());
  if (!found->second->options().ephemeral) {
    retired_.push_back(retired{stream_dir(host_.root, stream) + "/", stream, std::nullopt});
  }
  logs_.erase(found);
}

stream_log* store_impl::log(stream_id stream) {
  auto found = logs_.find(stream);
  return found == logs_.end() ? nullptr : found->second.get();
}

// The journal's progress

void store_impl::on_progress() {
  host_.durable_next.advance(journal_->durable_end());
  host_.written_next.advance(journal_->written_end());
  if (!journal_->failed() || poisoned_) return;
  poisoned_ = true;
  host_.durable_next.drop_rest();
  host_.written_next.drop_rest();
}

void store_impl::want_checkpoint() {
  if (checkpoint_wanted_ || host_.background.closed()) return;
  checkpoint_wanted_ = true;
  host_.background.spawn(checkpoint_in_background());
}

task<void> store_impl::checkpoint_in_background() {
  auto done = co_await checkpoint();
  if (done || done.err().code == errc::disk_full) co_return;
  std::string note = "checkpoint: " + done.err().message;
  if (host_.report.notes.empty() || host_.report.notes.back() != note) host_.report.notes.push_back(std::move(note));
}

void store_impl::tick() {
  journal_->tick();
  if ((checkpoint_is_full_ || checkpoint_failed_) && !failed()) want_checkpoint();
  if (!looking_at_space_ && !host_.background.closed()) host_.background.spawn(look_at_space());
}

task<void> store_impl::look_at_space() {
  looking_at_space_ = true;
  auto work = [this] { return host_.where.free_bytes(); };
  auto free = co_await run_on(host_.pool, work);
  if (free) short_of_space_ = *free < config_.disk_reserve_bytes;
  looking_at_space_ = false;
}

task<result<void>> store_impl::close() {
  journal_->flush();
  auto background = host_.background.close();
  co_await background;
  auto settled = co_await checkpoint();
  auto closed = co_await journal_->close();
  co_return closed ? settled : closed;
}

}  // namespace weir
