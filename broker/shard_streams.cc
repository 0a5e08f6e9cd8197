// Streams as a whole: create, delete, update, info, list.
#include <algorithm>

#include "broker/shard_impl.h"

namespace weir {

result<void> shard_impl::can_create(const stream_config& config) const {
  if (by_id_.size() >= limits_.streams_max) {
    return fail(errc::resource_exhausted, "streams: this shard has " + std::to_string(by_id_.size()) + ", at most " +
                                              std::to_string(limits_.streams_max) + " are allowed (streams_max)");
  }
  if (!config.ephemeral && store_->full()) {
    return fail(errc::disk_full, "the disk of this shard is full; nothing was created");
  }
  return ok();
}

shard_impl::stream_ref shard_impl::add_stream(stream_id id, const stream_record& record) {
  store& keeper = opening_ != nullptr ? *opening_ : *store_;
  stream_log* log = keeper.log(id);
  if (log == nullptr) {
    log_options options;
    options.ephemeral = record.config.ephemeral;
    options.written_is_visible = *record.config.level <= durability::written;
    options.block_records = record.config.block_size;
    options.label = encode_label(record);
    log = &keeper.create_log(id, options);
  }
  stream_ref added = make_local<stream>(id, record.config, record.created_at, *log);
  added->board = &board_;
  streams_[record.config.name] = added;
  by_id_[id] = added;
  return added;
}

void shard_impl::remove_stream(const stream_ref& gone) {
  gone->deleted = true;
  const auto at = streams_.find(gone->config().name);
  if (at != streams_.end() && at->second == gone) streams_.erase(at);
  by_id_.erase(gone->id());
  forget_wake(*gone);
  leaving_.push_back(gone);
}

void shard_impl::bring_back(const stream_ref& back) {
  std::erase(leaving_, back);
  back->deleted = false;
  streams_[back->config().name] = back;
  by_id_[back->id()] = back;
  wake(*back);
}

task<result<stream_info>> shard_impl::create_stream(stream_config given) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  auto config = effective(std::move(given));
  if (!config) co_return config.err();
  const stream_record record{*config, ports_.clock.wall()};
  const std::string entry = encode_entry(stream_created{record});
  for (;;) {
    if (stream* other = find(record.config.name)) {
      const stream_ref held(other);
      auto safe = co_await reached(durability::fsync, held->control_end);
      if (!safe || held->deleted) continue;
      co_return fail(errc::already_exists, "stream " + quoted(record.config.name) + " exists already");
    }
    if (auto fine = can_create(record.config); !fine) co_return fine.err();
    auto room = co_await room_for(record.config, entry.size(), false);
    if (!room) co_return room.err();
    if (find(record.config.name) == nullptr) break;
  }
  const stream_ref added = add_stream(stream_id(next_stream_++), record);
  std::function<void()> revert = [this, added] { remove_stream(added); };
  const lsn end = append_control(*added, entry, std::move(revert));
  control_end_ = std::max(control_end_, end);
  auto safe = co_await reached(durability::fsync, end);
  if (!safe) co_return safe.err();
  announce(watch_kind::stream_created, record.config.name, {});
  co_return added->info();
}

task<result<void>> shard_impl::delete_stream(std::string name) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  const std::string entry = encode_entry(stream_deleted{});
  stream_ref gone;
  for (;;) {
    auto in = co_await existing(name);
    if (!in) co_return in.err();
    auto room = co_await room_for((*in)->config(), entry.size(), true);
    if (!room) co_return room.err();
    gone = *in;
    if (!gone->deleted) break;
  }
  remove_stream(gone);
  std::function<void()> revert = [this, gone] { bring_back(gone); };
  const lsn end = append_control(*gone, entry, std::move(revert));
  control_end_ = std::max(control_end_, end);
  auto safe = co_await reached(durability::fsync, end);
  if (!safe) co_return safe.err();
  dismiss(*gone);
  announce(watch_kind::stream_deleted, name, {});
  co_return ok();
}

task<result<stream_info>> shard_impl::get_stream(std::string name) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    auto in = co_await existing(name);
    if (!in) co_return in.err();
    if (!(*in)->log().exact()) {
      auto exact = co_await (*in)->log().become_exact();
      if (!exact) co_return exact.err();
      if ((*in)->deleted) continue;
    }
    stream_info info = (*in)->info();
    const bool safe = co_await settled(*in);
    if (safe) co_return info;
  }
}

task<result<std::vector<std::string>>> shard_impl::list_streams() {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  for (;;) {
    std::vector<std::string> names;
    names.reserve(streams_.size());
    for (const auto& [name, one] : streams_) names.push_back(name);
    std::sort(names.begin(), names.end());
    auto safe = co_await reached(durability::fsync, control_end_);
    if (safe) co_return names;
  }
}

task<result<update_outcome>> shard_impl::update_stream(stream_update update) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  stream_ref in;
  update_outcome done;
  std::string entry;
  for (;;) {
    auto found = co_await existing(update.name);
    if (!found) co_return found.err();
    in = *found;
    const stream_config seen = in->config();
    auto after = updated(seen, update);
    if (!after) co_return after.err();
    done.config = *after;
    entry = encode_entry(stream_updated{stream_record{*after, in->created_at()}});
    auto room = co_await room_for(seen, entry.size(), true);
    if (!room) co_return room.err();
    if (!in->deleted && in->config() == seen) break;
  }
  std::function<void()> revert = [in, before = in->config()] { in->set_config(before); };
  in->set_config(done.config);
  const lsn end = append_control(*in, entry, std::move(revert));
  done.pruned = co_await prune(in, true);
  auto safe = co_await stored(durability::fsync, std::max(end, in->log().last_change()));
  if (!safe) co_return safe.err();
  announce(watch_kind::stream_updated, update.name, {});
  co_return done;
}

}  // namespace weir
