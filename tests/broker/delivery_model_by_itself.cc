// The random run: what happens by itself, looked up in the real shard, and who was served in the middle of it.
#include <algorithm>
#include <numeric>
#include <utility>

#include "tests/broker/delivery_model_run.h"

namespace weir {
namespace {

naive::message naive_of(const found_record& real) {
  const auto view = decode_record(real.bytes.bytes());
  WEIR_CHECK(static_cast<bool>(view));
  naive::message made;
  made.seq = real.seq.raw();
  made.subject = std::string(view->subject);
  made.time = view->time.raw();
  made.headers = std::string(as_text(view->headers));
  made.payload = std::string(as_text(view->payload));
  return made;
}

std::vector<naive::message> behind(const std::vector<std::optional<naive::message>>& all, size_t which) {
  std::vector<naive::message> after;
  for (size_t i = which + 1; i < all.size(); ++i) {
    if (all[i]) after.push_back(*all[i]);
  }
  return after;
}

}  // namespace

void delivery_run::observe() {
  std::vector<std::string> names;
  for (const auto& [name, in] : naive_.streams) {
    if (in.config.policy == retention_policy::interest || naive_.anything_open(in) || !naive_.outlived(in).empty())
      names.push_back(name);
  }
  for (const std::string& name : names) observe_stream(name, *naive_.find(name));
}

// True if what appeared has explanations one after another, those who wait left out of it.
bool delivery_run::explains(naive::stream in, const appearances& appeared) {
  const auto between_steps = std::exchange(naive_.between_steps, [](naive::stream&) {});
  bool all = true;
  for (size_t i = 0; i < appeared.size() && all; ++i) {
    all = naive_.explain(in, appeared[i] ? &*appeared[i] : nullptr, behind(appeared, i));
  }
  naive_.between_steps = between_steps;
  return all;
}

// Live by the model, and gone.
std::vector<uint64_t> delivery_run::outlived_and_gone(const std::string& name, const naive::stream& in) {
  std::vector<uint64_t> gone;
  for (const uint64_t seq : naive_.outlived(in)) {
    const auto found = real_.run(real_.now->get_message(name, seq_no(seq)));
    expect(static_cast<bool>(found), "message " + std::to_string(seq) + " of " + name);
    if (*found) continue;
    note("outlived " + name + " " + std::to_string(seq));
    gone.push_back(seq);
  }
  return gone;
}

delivery_run::appearances delivery_run::look_for_new(const std::string& name, const naive::stream& in, uint64_t last) {
  appearances appeared;
  for (uint64_t seq = in.last + 1; seq <= last; ++seq) {
    const auto found = real_.run(real_.now->get_message(name, seq_no(seq)));
    expect(static_cast<bool>(found), "message " + std::to_string(seq) + " of " + name);
    appeared.emplace_back();
    if (*found) appeared.back() = naive_of(**found);
  }
  return appeared;
}

naive::stream delivery_run::swept(naive::stream in) {
  const auto between_steps = std::exchange(naive_.between_steps, [](naive::stream&) {});
  naive_.sweep_ages(in);
  naive_.between_steps = between_steps;
  return in;
}

// What a sweep of this instant removes may have its dead letter before.
void delivery_run::observe_before_sweep() {
  for (auto& [name, in] : naive_.streams) {
    if (!in.config.limits.max_age_ms || !naive_.anything_open(in)) continue;
    const auto info = real_.run(real_.now->get_stream(name));
    expect(static_cast<bool>(info), "info of " + name);
    const appearances appeared = look_for_new(name, in, info->stats.last_seq);
    naive_.sweeping = false;
    const bool after = explains(swept(in), appeared);
    naive_.sweeping = true;
    if (!after && explains(in, appeared)) observe_stream(name, in);
    naive_.sweeping = false;
  }
}

void delivery_run::observe_stream(const std::string& name, naive::stream& in) {
  const auto shown = shown_if_somebody_got(name);
  const auto info = real_.run(real_.now->get_stream(name));
  expect(static_cast<bool>(info), "info of " + name);
  const std::vector<uint64_t> outlived = outlived_and_gone(name, in);
  if (in.config.policy == retention_policy::interest) {
    const bool empty = info->stats.msg_count == 0;
    for (const uint64_t seq : outlived) naive_.remove(in, seq);
    naive_.prune_interest_up_to(in, empty ? UINT64_MAX : info->stats.first_block);
  }
  const appearances appeared = look_for_new(name, in, info->stats.last_seq);
  for (size_t i = 0; i < appeared.size(); ++i) {
    note("appears " + name + " " + std::to_string(in.last + 1 + i) +
         (appeared[i] ? " " + appeared[i]->subject : ", and is gone"));
  }
  // What outlived its time goes before or after what appears in the same instant (a dead letter of it, say).
  naive::stream without = in;
  for (const uint64_t seq : outlived) naive_.remove(without, seq);
  if (explains(without, appeared)) {
    for (const uint64_t seq : outlived) naive_.remove(in, seq);
  }
  if (shown) {
    std::vector<size_t> visible(appeared.size() + 1);
    std::iota(visible.begin(), visible.end(), size_t{0});
    find_moment(in, *shown, visible, [this, &in, &appeared] { happen(in, appeared); });
  } else {
    happen(in, appeared);
  }
  for (const uint64_t seq : outlived) naive_.remove(in, seq);
}

void delivery_run::happen(naive::stream& in, const appearances& appeared) {
  const uint64_t before = in.last;
  appended_from_ = before + 1;
  not_yet_visible_ = !in.config.ephemeral;
  for (size_t i = 0; i < appeared.size(); ++i) {
    serve_meanwhile(in);
    const std::string seen = appeared[i] ? appeared[i]->subject + " " + appeared[i]->headers : "gone";
    expect(naive_.explain(in, appeared[i] ? &*appeared[i] : nullptr, behind(appeared, i)),
           in.config.name + ": message " + std::to_string(before + 1 + i) + " has no explanation: " + seen);
  }
  naive_.park_the_rest(in);
  not_yet_visible_ = false;
  if (in.last != before) serve_meanwhile(in);
  appended_from_ = UINT64_MAX;
}

// The latest moment that gives everybody what they got and leaves what is shown of the consumers; else the latest that
// leaves the most of that.
void delivery_run::find_moment(naive::stream& in, const std::vector<consumer_info>& shown,
                               const std::vector<size_t>& visible, const std::function<void()>& happens) {
  struct waiting_one {
    open_subscription* who;
    open_subscription before;
  };
  const naive::stream before = in;
  const std::deque<std::string> story_before = story_;
  std::vector<waiting_one> all;
  for (auto& one : subscriptions_) all.push_back({one.get(), *one});
  const auto attempt = [&](size_t from, size_t appended) {
    in = before;
    story_ = story_before;
    for (const waiting_one& one : all) *one.who = one.before;
    serve_from_ = from;
    visible_ = appended;
    moments_ = 0;
    happens();
    serve_from_ = visible_ = 0;
  };
  const auto as_shown = [this, &in](const consumer_info& one) {
    const naive::consumer* at = naive_.find(in.config.name, one.config.name);
    return at == nullptr || (at->pending.size() == one.pending && naive::broker::held(*at) == one.held);
  };
  const auto floors = [this, &in, &shown] {
    const auto now = naive_.list_consumers(in.config.name);
    return now && std::equal(now->begin(), now->end(), shown.begin(), shown.end(),
                             [](const auto& one, const auto& other) { return one.ack_floor == other.ack_floor; });
  };
  fitted_ = false;
  attempt(SIZE_MAX, 0);
  const size_t moments = moments_;
  std::optional<std::pair<size_t, size_t>> served;
  std::optional<std::pair<size_t, size_t>> fits;
  for (const size_t appended : visible) {
    for (size_t from = moments; from-- > 0;) {
      attempt(from, appended);
      if (somebody_got(in)) continue;
      if (!served) served = {from, appended};
      if (!std::all_of(shown.begin(), shown.end(), as_shown)) continue;
      fitted_ = true;
      if (floors()) return;
      if (!fits) fits = {from, appended};
    }
  }
  if (fits) served = fits;
  if (!served) served = {SIZE_MAX, 0};
  attempt(served->first, served->second);
}

bool delivery_run::got_something(const open_subscription& one) {
  if (!one.waiting || !one.waiting->done() || !one.waiting->value()) return false;
  const naive::consumer* of = naive_.find(one.stream, one.consumer);
  return of != nullptr && of->instance == one.instance && !one.waiting->value()->deliveries.empty();
}

std::optional<std::vector<consumer_info>> delivery_run::shown_if_somebody_got(const std::string& name) {
  const naive::stream* in = naive_.find(name);
  if (in == nullptr || !somebody_got(*in)) return std::nullopt;
  auto shown = real_.run(real_.now->list_consumers(name));
  expect(static_cast<bool>(shown), "consumers of " + name);
  return std::move(*shown);
}

bool delivery_run::somebody_got(const naive::stream& in) {
  return std::any_of(subscriptions_.begin(), subscriptions_.end(),
                     [this, &in](const auto& one) { return one->stream == in.config.name && got_something(*one); });
}

void delivery_run::serve_meanwhile(naive::stream& in) {
  if (moments_++ < serve_from_) return;
  for (auto& one : subscriptions_) {
    if (one->stream != in.config.name || !got_something(*one)) continue;
    if (!in.config.ephemeral && appended_from_ != UINT64_MAX) in.hidden_from = appended_from_ + visible_;
    bool served = serve_if_same(*one, in);
    in.hidden_from = UINT64_MAX;
    served = served || (!not_yet_visible_ && serve_if_same(*one, in));
    if (served) one->waiting.reset();
  }
}

// The end of a dead letter makes room at its subject while a batch is taken: a lower sequence may come after a higher.
void delivery_run::order_as_given(const open_subscription& one, std::vector<naive::delivered>& these) {
  const consumer_config& config = naive_.find(one.stream, one.consumer)->config;
  if (config.max_ack_pending_per_subject == 0 || config.dead_letter_subject.empty()) return;
  std::vector<naive::delivered> given;
  for (const delivery& each : one.waiting->value()->deliveries) {
    given.push_back({each.record.seq.raw(), each.deliver_count});
  }
  if (std::is_permutation(given.begin(), given.end(), these.begin(), these.end())) these = given;
}

bool delivery_run::serve_if_same(open_subscription& one, naive::stream& in) {
  naive::consumer& at = *naive_.find(one.stream, one.consumer);
  if (!naive_.outlived(in).empty() || !naive_.deliverable(in, at)) return false;
  const naive::consumer before = at;
  auto naive = naive_.fetch(one.stream, one.consumer, one.messages_max, one.bytes_max, one.id);
  if (naive) order_as_given(one, *naive);
  if (!naive || !equal(*one.waiting->value(), *naive)) {
    at = before;
    return false;
  }
  took(one, *naive);
  return true;
}

}  // namespace weir
