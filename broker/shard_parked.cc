// Messages that a consumer gave up on and kept: list, requeue, purge.
#include <algorithm>

#include "broker/open_subscription.h"

namespace weir {
namespace {

constexpr size_t purged_at_once_max = 1'000;  // messages of one journal entry

}  // namespace

task<result<parked_page>> shard_impl::list_parked(std::string stream_name, std::string name, seq_no from,
                                                  uint32_t limit) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  const size_t listed_max = limit == 0 ? limits_.parked_listed_max : std::min<size_t>(limit, limits_.parked_listed_max);
  for (;;) {
    auto held = co_await existing(stream_name, name);
    if (!held) co_return held.err();
    co_await catch_up(*held);
    co_await journal_progress_patiently(*held);
    if (held->gone()) continue;
    parked_page page;
    const auto& parked = held->at->parked().by_seq();
    page.total = parked.size();
    for (auto at = parked.lower_bound(from); at != parked.end() && page.items.size() < listed_max; ++at) {
      page.items.push_back({at->second, std::nullopt});
    }
    auto read = co_await read_parked(*held, page);
    if (!read) co_return read.err();
    const bool safe = co_await settled(held->in);
    if (safe && !held->gone()) co_return page;
  }
}

// As many as fit in an answer; what was removed meanwhile is not listed.
task<result<void>> shard_impl::read_parked(place held, parked_page& page) {
  size_t bytes = 0;
  std::vector<parked_page::item> listed;
  for (parked_page::item& one : page.items) {
    scan_request wanted;
    wanted.from = one.parked.seq;
    wanted.to = one.parked.seq;
    wanted.records_max = 1;
    auto found = co_await held.in->log().scan(wanted);
    if (!found) co_return found.err();
    if (found->records.empty() && found->damaged.empty()) continue;
    if (!found->records.empty()) {
      bytes += found->records.front().bytes.size();
      if (!listed.empty() && bytes > limits_.fetch_bytes_max) break;
      one.record = std::move(found->records.front());
    }
    listed.push_back(std::move(one));
  }
  page.items = std::move(listed);
  co_return ok();
}

size_t shard_impl::whole_bytes(const consumer& at, size_t more) const {
  constexpr size_t split_run_max = 3 * 10 + 21;  // what one message more or less may add
  return encode_entry(consumer_state{record_of(at)}).size() + 64 + more * split_run_max;
}

void shard_impl::reload(stream& in, consumer& at, const consumer_record& record) {
  at.reset(record.next);
  at.load(record.next, record.last_delivered, record.dropped);
  at.load_floor_min(record.floor_min);
  restore_runs(in, at, record.pending);
  for (const dying_message& one : record.dying) at.load_dying(one);
  for (const parked_message& one : record.parked) at.load_parked(one);
  at.journaled();
}

lsn shard_impl::journal_whole(const place& held, const consumer_record& before) {
  if (held.in->ephemeral()) {
    held.at->journaled();
    return lsn();
  }
  const lsn end = journal_progress(*held.in, *held.at);
  std::function<void()> revert = [this, held, before] { reload(*held.in, *held.at, before); };
  undo_.add(end, std::move(revert));
  return end;
}

task<result<uint64_t>> shard_impl::requeue_parked(std::string stream_name, std::string name, std::vector<seq_no> seqs) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  place held;
  std::vector<seq_no> chosen;
  for (;;) {
    auto found = co_await existing(stream_name, name);
    if (!found) co_return found.err();
    held = *found;
    used(*held.at);
    co_await catch_up(held);
    if (held.gone()) continue;
    chosen = held.at->find_parked(seqs);
    if (chosen.empty()) {
      auto safe = co_await reached(held.in->level(), held.at->changed_end);
      if (!safe) co_return safe.err();
      co_return 0;
    }
    if (held.in->ephemeral()) break;
    const size_t bytes = whole_bytes(*held.at, chosen.size());
    if (journal_of().has_room(bytes)) break;
    auto room = co_await room_for(held.in->config(), bytes, true);
    if (!room) co_return room.err();
    if (!held.gone() && whole_bytes(*held.at, chosen.size()) <= bytes && held.at->find_parked(seqs) == chosen) break;
  }
  const consumer_record before = record_of(*held.at);
  const uint64_t floor = held.in->info_of(*held.at).ack_floor;
  held.at->requeue(chosen, seq_no(floor));
  for (open_subscription* one : subscriptions_) {
    if (one->where().at == held.at) one->disown(chosen);
  }
  const lsn end = journal_whole(held, before);
  auto safe = co_await reached(held.in->level(), end);
  if (!safe) co_return safe.err();
  co_return chosen.size();
}

task<result<uint64_t>> shard_impl::purge_parked(std::string stream_name, std::string name, std::vector<seq_no> seqs) {
  const request_count::guard inside(requests_);
  if (stopping_) co_return unavailable();
  auto held = co_await existing(stream_name, name);
  if (!held) co_return held.err();
  used(*held->at);
  co_await catch_up(*held);
  if (held->gone()) co_return fail(errc::no_such_consumer, "consumer " + quoted(name) + " was deleted");
  std::vector<seq_no> all = held->at->find_parked(std::move(seqs));
  uint64_t purged = 0;
  while (!all.empty()) {
    const std::vector<seq_no> wanted(all.begin(),
                                     all.begin() + static_cast<ptrdiff_t>(std::min(all.size(), purged_at_once_max)));
    const size_t bytes = finish_bytes(*held, wanted.size()) + entry_overhead;
    if (!held->in->ephemeral() && !journal_of().has_room(bytes)) {
      auto room = co_await room_for(held->in->config(), bytes, true);
      if (!room) co_return room.err();
      if (held->gone()) co_return fail(errc::no_such_consumer, "consumer " + quoted(name) + " was deleted");
      if (finish_bytes(*held, wanted.size()) + entry_overhead > bytes) continue;
    }
    all.erase(all.begin(), all.begin() + static_cast<ptrdiff_t>(wanted.size()));
    const std::vector<seq_no> still = held->at->find_parked(wanted);
    if (still.empty()) continue;
    purged += still.size();
    forget_parked(*held, still);
  }
  auto safe = co_await reached(held->in->level(), std::max(held->at->changed_end, held->in->log().last_change()));
  if (!safe) co_return safe.err();
  co_return purged;
}

void shard_impl::forget_parked(const place& held, const std::vector<seq_no>& seqs) {
  std::vector<parked_message> before;
  for (const seq_no seq : seqs) before.push_back(held.at->parked().by_seq().at(seq));
  held.at->drop_parked(seqs);
  const bool removes = held.in->config().policy == retention_policy::work_queue;
  if (removes) held.in->remove(seqs);
  if (held.in->ephemeral()) {
    held.at->journaled();
    return;
  }
  const lsn end = journal_progress(*held.in, *held.at);
  if (removes) return;
  std::function<void()> revert = [at = held.at, before = std::move(before)] {
    for (const parked_message& one : before) at->load_parked(one);
  };
  undo_.add(end, std::move(revert));
}

}  // namespace weir
