// The random run: what it does next, and how answers are compared.
#include "tests/broker/delivery_model_run.h"

#include <algorithm>

namespace weir {
namespace {

constexpr const char* subjects[] = {"a", "b", "a.b", "a.c", "a.b.c", "k.1", "k.2", "k.3", "a", "k.1"};
constexpr const char* filters[] = {"", "", "a", "a.*", "a.>", "k.*", "*", ">", "*.b", "k.2", "q.>", "b"};
constexpr size_t story_max = 60;

broker_limits small_limits() {
  broker_limits limits;
  limits.payload_bytes_max = 400;
  limits.headers_max = 4;
  limits.header_bytes_max = 64;
  limits.fetch_messages_max = 50;
  limits.fetch_bytes_max = 2'000;
  limits.pending_max = 40;
  limits.held_back_max = 6;
  limits.parked_max = 10;
  limits.dedup_ids_max = 20;
  limits.atomic_messages_max = 6;
  limits.batch_messages_max = 12;
  return limits;
}

}  // namespace

// For the story of a mismatch.
std::string shown(const stream_config& config) {
  static constexpr const char* policies[] = {"limits", "work_queue", "interest"};
  std::string text = std::string(" ") + policies[static_cast<size_t>(config.policy)];
  for (const std::string& filter : config.subjects_filter) text += " " + filter;
  const auto number = [&text](const char* name, uint64_t value) {
    if (value != 0) text += std::string(" ") + name + " " + std::to_string(value);
  };
  const auto flag = [&text](const char* name, bool value) {
    if (value) text += std::string(" ") + name;
  };
  number("block_size", config.block_size);
  number("max_msgs", config.limits.max_msgs.value_or(0));
  number("max_bytes", config.limits.max_bytes.value_or(0));
  number("max_age", config.limits.max_age_ms.value_or(0));
  flag("strict", config.limits.strict);
  flag("discard_new", config.discard_new);
  flag("discard_new_per_subject", config.discard_new_per_subject);
  number("max_msgs_per_subject", config.max_msgs_per_subject);
  number("window", config.dedup_window_ms);
  number("level", static_cast<uint64_t>(config.level.value_or(durability::fsync)));
  flag("ephemeral", config.ephemeral);
  return text;
}

std::string shown(const consumer_config& config) {
  std::string text = " filter '" + config.filter_subject + "'";
  for (const std::string& filter : config.filter_subjects) text += "," + filter;
  text += " policy " + std::to_string(static_cast<int>(config.policy)) + "/" + std::to_string(config.start_seq) +
          " wait " + std::to_string(config.ack_wait_ms) + " backoff";
  for (const uint64_t ms : config.backoff_ms) text += " " + std::to_string(ms);
  return text + " max " + std::to_string(config.max_deliver) + (config.unlimited_deliver ? " unlimited" : "") +
         " pending " + std::to_string(config.max_ack_pending) + " per subject " +
         std::to_string(config.max_ack_pending_per_subject) + " dlq '" + config.dead_letter_subject + "' inactive " +
         std::to_string(config.inactive_ms);
}

delivery_run::delivery_run(uint64_t seed) : random_(seed), naive_(small_limits()) {
  real_.limits = small_limits();
  real_.storage.journal.segment_bytes = 64u << 10;
  real_.storage.journal.batch_bytes_max = 16u << 10;
  real_.storage.cache_bytes_max = seed % 2 == 0 ? 4u << 10 : 1u << 20;
  real_.clock.advance_ms(2);  // at 3, see above
  auto opened = real_.open();
  expect(static_cast<bool>(opened), "open");
  follow_clock();
  naive_.between_steps = [this](naive::stream& in) { serve_meanwhile(in); };
  reopened();
}

delivery_run::~delivery_run() {
  for (auto& one : subscriptions_) one->real->end();
  if (real_.now) real_.settle();
  subscriptions_.clear();
}

void delivery_run::step() {
  ++steps_;
  struct choice {
    unsigned weight;
    void (delivery_run::*what)();
    bool when_suspect;
  };
  static constexpr choice choices[] = {
      {220, &delivery_run::publish, true},       {15, &delivery_run::publish_all, true},
      {16, &delivery_run::create_stream, true},  {3, &delivery_run::delete_stream, true},
      {12, &delivery_run::update_stream, true},  {4, &delivery_run::list_streams, true},
      {5, &delivery_run::list_subjects, true},   {8, &delivery_run::scan, true},
      {12, &delivery_run::get_message, true},    {12, &delivery_run::delete_message, true},
      {6, &delivery_run::purge, true},           {30, &delivery_run::create_consumer, true},
      {6, &delivery_run::delete_consumer, true}, {12, &delivery_run::update_consumer, true},
      {6, &delivery_run::pause, true},           {6, &delivery_run::reset, true},
      {140, &delivery_run::fetch, true},         {90, &delivery_run::ack, true},
      {25, &delivery_run::ack_many, true},       {45, &delivery_run::nak, true},
      {20, &delivery_run::term, true},           {15, &delivery_run::in_progress, true},
      {8, &delivery_run::list_parked, true},     {6, &delivery_run::requeue, true},
      {5, &delivery_run::purge_parked, true},    {10, &delivery_run::subscribe, true},
      {45, &delivery_run::ask_next, true},       {35, &delivery_run::send_some, true},
      {6, &delivery_run::end_some, true},        {45, &delivery_run::advance, true},
      {1, &delivery_run::nudge_wall, false},     {1, &delivery_run::jump_wall, true},
      {3, &delivery_run::restart, false},        {60, &delivery_run::place_frames, true},
      {50, &delivery_run::answer_frame, true},
  };
  static constexpr unsigned total = [] {
    unsigned sum = 0;
    for (const choice& one : choices) sum += one.weight;
    return sum;
  }();
  if (suspect_ && !stays_ && naive_.mono - suspect_since_ > 30 * 60'000) jump_wall();
  if (stays_ && one_in(200)) wait_for_trust();
  uint64_t dice = up_to(total - 1);
  for (const choice& one : choices) {
    if (dice >= one.weight) {
      dice -= one.weight;
      continue;
    }
    if (suspect_ && !one.when_suspect) return;
    (this->*one.what)();
    appended_from_ = UINT64_MAX;
    break;
  }
  observe_inactive(false);
  drop_orphans();
  serve();
  observe();
  serve();
  if (steps_ % check_every_ == 0) check_everything();
}

void delivery_run::check_everything() {
  list_streams();
  for (const std::string& name : naive_.list_streams()) {
    compare_stream(name);
    compare_list(name);
    const naive::stream& in = *naive_.find(name);
    std::vector<std::string> consumers;
    for (const auto& [which, one] : in.consumers) {
      if (one.config.inactive_ms == 0) consumers.push_back(which);  // asking would keep it alive
    }
    for (const std::string& which : consumers) {
      compare_consumer(name, which);
      compare_parked(name, which, 0, 1'000);
    }
    for (const char* subject : subjects) compare_latest(name, subject);
    const auto subjects_now = real_.run(real_.now->list_subjects(name, ""));
    expect(subjects_now && *subjects_now == *naive_.list_subjects(name, ""), "subjects of " + name);
  }
}

// What the real shard holds, if it still answers.
std::string delivery_run::reality() {
  std::string text;
  for (const std::string& name : naive_.list_streams()) {
    const auto info = real_.run(real_.now->get_stream(name));
    if (!info) continue;
    text += "  really " + name + ": last " + std::to_string(info->stats.last_seq) + ", count " +
            std::to_string(info->stats.msg_count) + ", bytes " + std::to_string(info->stats.bytes) + ", live";
    for (uint64_t seq = 1; seq <= info->stats.last_seq; ++seq) {
      const auto found = real_.run(real_.now->get_message(name, seq_no(seq)));
      if (found && *found) text += " " + std::to_string(seq);
    }
    text += "\n";
  }
  return text;
}

std::string delivery_run::story() const {
  std::string text;
  for (const std::string& line : story_) text += "  " + line + "\n";
  for (const auto& [name, in] : naive_.streams) {
    text += "  " + name + shown(in.config) + ", last " + std::to_string(in.last) + ", live";
    for (const auto& [seq, one] : in.live) text += " " + std::to_string(seq);
    if (!in.later.empty()) text += ", scheduled";
    for (const auto& one : in.later) text += " " + one.what.subject + "@" + std::to_string(one.deliver_at);
    text += "\n";
    for (const auto& [which, at] : in.consumers) text += "    " + which + shown(at.config) + naive::shown(at) + "\n";
  }
  return text;
}

void delivery_run::note(const std::string& what) {
  story_.push_back(std::to_string(steps_) + " @" + std::to_string(naive_.mono) + " " + what);
  if (story_.size() > story_max) story_.pop_front();
  if (told_at_once_) std::fprintf(stderr, "%s\n", story_.back().c_str());
}

// --- chance

std::string delivery_run::any_subject() {
  return subjects[random_() % std::size(subjects)];
}
std::string delivery_run::any_filter() {
  return filters[random_() % std::size(filters)];
}

std::optional<uint64_t> delivery_run::maybe(uint64_t most) {
  if (one_in(2)) return std::nullopt;
  return up_to(most);
}

delivery_run::name_pair delivery_run::some_consumer() {
  if (one_in(12)) return {any_stream(), any_consumer()};
  std::vector<name_pair> all;
  for (const auto& [name, in] : naive_.streams) {
    for (const auto& [which, one] : in.consumers) all.push_back({name, which});
  }
  if (all.empty()) return {any_stream(), any_consumer()};
  return all[random_() % all.size()];
}

uint64_t delivery_run::some_pending(name_pair& at) {
  for (int attempt = 0; attempt < 4; ++attempt) {
    at = some_consumer();
    const naive::consumer* one = naive_.find(at.first, at.second);
    if (one == nullptr || one->pending.empty() || one_in(15)) continue;
    auto chosen = one->pending.begin();
    std::advance(chosen, static_cast<long>(random_() % one->pending.size()));
    return chosen->first;
  }
  return up_to(80);
}

uint64_t delivery_run::some_parked(name_pair& at) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    at = some_consumer();
    const naive::consumer* one = naive_.find(at.first, at.second);
    if (one == nullptr || one->given_up.empty()) continue;
    auto chosen = one->given_up.begin();
    std::advance(chosen, static_cast<long>(random_() % one->given_up.size()));
    return chosen->first;
  }
  return up_to(80);
}

// --- comparing

void delivery_run::same_code(const std::optional<error>& real, const std::optional<errc>& naive) const {
  const std::string really = real ? std::string(to_string(real->code)) : "success";
  const std::string model = naive ? std::string(to_string(*naive)) : "success";
  if (really != model)
    throw mismatch{"really " + really + (real ? " (" + real->message + ")" : "") + ", by the model " + model};
}

void delivery_run::same_message(const found_record& real, const naive::message& naive) const {
  const auto view = decode_record(real.bytes.bytes());
  expect(static_cast<bool>(view), "a record that cannot be decoded");
  same(real.seq.raw(), naive.seq, "seq");
  same(view->seq.raw(), naive.seq, "seq in the record");
  same(view->subject, naive.subject, "subject");
  same(view->time.raw(), naive.time, "time");
  same(as_text(view->headers), naive.headers, "headers");
  same(as_text(view->payload), naive.payload, "payload");
}

bool delivery_run::equal(const fetch_outcome& real, const std::vector<naive::delivered>& naive) {
  return std::equal(real.deliveries.begin(), real.deliveries.end(), naive.begin(), naive.end(),
                    [](const delivery& left, const naive::delivered& right) {
                      return left.record.seq.raw() == right.seq && left.deliver_count == right.deliveries;
                    });
}

void delivery_run::same_deliveries(const std::string& stream, const fetch_outcome& real,
                                   const std::vector<naive::delivered>& naive) {
  const auto shown = [](const auto& list, auto seq, auto count) {
    std::string text = "[";
    for (const auto& one : list) text += " " + std::to_string(seq(one)) + "*" + std::to_string(count(one));
    return text + " ]";
  };
  const std::string really = shown(
      real.deliveries, [](const delivery& one) { return one.record.seq.raw(); },
      [](const delivery& one) { return one.deliver_count; });
  const std::string model = shown(
      naive, [](const naive::delivered& one) { return one.seq; },
      [](const naive::delivered& one) { return one.deliveries; });
  same(really, model, "deliveries");
  expect(real.damaged.empty(), "damaged messages");
  const naive::stream& in = *naive_.find(stream);
  for (const delivery& one : real.deliveries) {
    const auto at = in.live.find(one.record.seq.raw());
    if (at != in.live.end()) same_message(one.record, at->second);
  }
}

// Who waits may have looked at what does not match, or not; and at what its subject's cap holds back, if it looked
// before something else was removed and made room for what it was waiting for.
void delivery_run::settle_look(const std::string& name, const std::string& which, const consumer_info& real) {
  naive::consumer* at = naive_.find(name, which);
  if (at == nullptr || !at->looked_lately) return;
  if (at->pending.empty()) naive_.look_up_to(*naive_.find(name), *at, real.ack_floor + 1);
  naive_.hold_ahead(*naive_.find(name), *at, real.held);
}

void delivery_run::same_info(const consumer_info& real, const consumer_info& naive) const {
  same(shown(real.config), shown(naive.config), "config");
  expect(real.config == naive.config, "config, in what is not shown here");
  same(real.created_at_ms, naive.created_at_ms, "created_at_ms");
  same(real.pending, naive.pending, "pending");
  same(real.ack_floor, naive.ack_floor, "ack_floor");
  same(real.last_delivered, naive.last_delivered, "last_delivered");
  same(real.redelivered_dropped, naive.redelivered_dropped, "redelivered_dropped");
  same(real.held, naive.held, "held");
  same(real.parked, naive.parked, "parked");
  same(real.lag, naive.lag, "lag");
  same(real.paused_until_ms, naive.paused_until_ms, "paused_until_ms");
  same(real.waiting, naive.waiting, "waiting");
}

void delivery_run::compare_stream(const std::string& name) {
  const auto naive = naive_.get_stream(name);
  const auto real = real_.run(real_.now->get_stream(name));
  if (!both(real, naive)) return;
  try {
    same_stream(*real, *naive);
  } catch (mismatch& found) {
    found.what = name + ": " + found.what;
    throw;
  }
}

void delivery_run::same_stream(const stream_info& real, const stream_info& naive) const {
  same(shown(real.config), shown(naive.config), "config");
  expect(real.config == naive.config, "config, in what is not shown here");
  same(real.stats.last_seq, naive.stats.last_seq, "last_seq");
  same(real.stats.msg_count, naive.stats.msg_count, "msg_count");
  same(real.stats.bytes, naive.stats.bytes, "bytes");
  same(real.stats.block_count, naive.stats.block_count, "block_count");
  same(real.stats.first_block, naive.stats.first_block, "first_block");
  same(real.scheduled, naive.scheduled, "scheduled");
  same(real.damaged_records, 0u, "damaged_records");
}

// To be asked makes a consumer look after what is to be done, and a dead letter that found no room tries again then.
void delivery_run::look_after(const std::string& name) {
  const naive::stream* in = naive_.find(name);
  if (in == nullptr || !naive_.anything_open(*in)) return;
  const auto real = real_.run(real_.now->list_consumers(name));
  real_.settle();
  observe();
  serve();
}

void delivery_run::compare_consumer(const std::string& name, const std::string& which) {
  look_after(name);
  const auto real = real_.run(real_.now->get_consumer(name, which));
  if (real) settle_look(name, which, *real);
  const auto naive = naive_.get_consumer(name, which);
  if (!both(real, naive)) return;
  try {
    same_info(*real, *naive);
    const naive::stream& in = *naive_.find(name);
    const naive::consumer& at = *naive_.find(name, which);
    if (naive_.deliverable(in, at)) {
      expect(real->blocked == blocked_by::nothing,
             "blocked: really " + std::to_string(static_cast<int>(real->blocked)) + ", but something can be delivered");
    } else {
      expect(naive_.reasons(in, at).contains(real->blocked),
             "blocked: really " + std::to_string(static_cast<int>(real->blocked)) + ", and that is not why");
    }
    compare_account(name, which, *real);
  } catch (mismatch& found) {
    found.what = name + "/" + which + ": " + found.what;
    throw;
  }
}

// published = acknowledged + pending + parked, of what the cursor passed, the consumer wanted and nothing else removed.
void delivery_run::compare_account(const std::string& name, const std::string& which, const consumer_info& real) {
  const naive::stream& in = *naive_.find(name);
  const naive::consumer& at = *naive_.find(name, which);
  uint64_t concerned = 0;
  uint64_t acked = 0;
  uint64_t forgotten = 0;
  for (const uint64_t seq : at.concerned) {
    if (!in.live.contains(seq)) continue;
    ++concerned;
    acked += at.acked.contains(seq) ? 1u : 0u;
    forgotten += at.forgotten.contains(seq) ? 1u : 0u;
  }
  same(concerned, acked + forgotten + real.pending + real.parked, "the account of live messages");
  if (in.config.policy != retention_policy::work_queue) return;
  same(acked, 0u, "acknowledged messages that are there still");
  same(forgotten, 0u, "forgotten messages of a work queue");
}

void delivery_run::compare_list(const std::string& name) {
  look_after(name);
  const auto real = real_.run(real_.now->list_consumers(name));
  if (real) {
    for (const consumer_info& one : *real) settle_look(name, one.config.name, one);
  }
  const auto naive = naive_.list_consumers(name);
  if (!both(real, naive)) return;
  same(real->size(), naive->size(), "consumers");
  for (size_t i = 0; i < naive->size(); ++i) {
    try {
      same_info((*real)[i], (*naive)[i]);
    } catch (mismatch& found) {
      found.what = "listed " + name + "/" + (*naive)[i].config.name + ": " + found.what;
      throw;
    }
  }
}

void delivery_run::compare_parked(const std::string& name, const std::string& which, uint64_t from, uint32_t limit) {
  const auto real = real_.run(real_.now->list_parked(name, which, seq_no(from), limit));
  uint64_t total = 0;
  const auto naive = naive_.list_parked(name, which, from, limit, total);
  if (!both(real, naive)) return;
  same(real->total, total, "total of parked");
  // A page ends where its records are as many bytes as an answer may hold.
  uint64_t bytes = 0;
  for (const parked_page::item& item : real->items) bytes += item.record ? item.record->bytes.size() : 0;
  expect(real->items.size() == naive->size() ||
             (real->items.size() < naive->size() && bytes + 600 > real_.limits.fetch_bytes_max),
         "parked listed: really " + std::to_string(real->items.size()) + ", by the model " +
             std::to_string(naive->size()));
  for (size_t i = 0; i < real->items.size(); ++i) {
    const parked_page::item& item = real->items[i];
    same(item.parked.seq.raw(), (*naive)[i].seq.raw(), "seq of a parked one");
    same(item.parked.parked_at.raw(), (*naive)[i].parked_at.raw(), "parked_at");
    same(static_cast<int>(item.parked.reason), static_cast<int>((*naive)[i].reason), "reason of a parked one");
    expect(item.record.has_value(), "a parked message without its record");
    same_message(*item.record, naive_.find(name)->live.at(item.parked.seq.raw()));
  }
}

void delivery_run::compare_latest(const std::string& name, const std::string& subject) {
  const auto naive = naive_.read_latest(name, subject);
  const auto real = real_.run(real_.now->read_latest(name, subject));
  if (!both(real, naive)) return;
  same(real->has_value(), naive->has_value(), "whether there is a latest message");
  if (*naive) same_message(**real, **naive);
}

}  // namespace weir
